"""The chaos run: everything that `make run` starts, in a storm of faults, and what must hold when it is over.

`python -m tests.chaos`; docs/chaos.md tells what it does and what its report says.
"""
