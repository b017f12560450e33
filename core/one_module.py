"""Import one module of a package without running the package, which may import hundreds of others."""

import importlib
import importlib.util
import sys
import threading
from types import ModuleType

_importing = threading.Lock()


def one_module(package: str, name: str) -> ModuleType:
    """Return the module `package.name`; raise ModuleNotFoundError where there is none.

    It is imported below an empty package, which is forgotten again, so that importing the package elsewhere
    still gives the whole.
    """
    with _importing:
        already = package in sys.modules
        if not already:
            spec = importlib.util.find_spec(package)
            if spec is None:
                raise ModuleNotFoundError(f"The package {package} is not installed.", name=package)
            sys.modules[package] = importlib.util.module_from_spec(spec)
        try:
            return importlib.import_module(f"{package}.{name}")
        finally:
            if not already:
                del sys.modules[package]
