"""Run the webhook server under gunicorn: `gunicorn webhook_server:app` reads this file by itself."""

import os

from gunicorn import glogging
from gunicorn.workers.gthread import ThreadWorker

import log
import settings

_settings = settings.load()

wsgi_app = "webhook_server:app"
bind = f"[{_settings.listen_address}]" if ":" in _settings.listen_address else _settings.listen_address
bind += f":{_settings.webhook_port}"
workers = _settings.webhook_processes
# A request that waits for its outcome (`?wait=`) holds a thread; at most four may
threads = 8
timeout = 30
graceful_timeout = 10
keepalive = 5
control_socket_disable = True
# Not what the host's FORWARDED_ALLOW_IPS says
forwarded_allow_ips = "127.0.0.1,::1"
# The file by which a process shows that it lives must not wait for a slow disk
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108


class worker_class(ThreadWorker):  # type: ignore[misc]  # noqa: N801
    """Leave the port as soon as the first process is gone, so that the next can listen; finish what was asked.

    Gunicorn's own keeps it until its last request is answered: nobody takes alerts meanwhile.
    """

    def is_parent_alive(self) -> bool:
        """Tell whether the first process lives; where it does not, stop listening at once."""
        if super().is_parent_alive():
            return True
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        return False


def worker_exit(_server: object, worker: object) -> None:
    """Write down what a process counted last, before it ends."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["dashtrade"].counted.write()


class logger_class(glogging.Logger):  # type: ignore[misc]  # noqa: N801
    """Let gunicorn's own words go where all others go; the name is gunicorn's setting."""

    def setup(self, cfg: object) -> None:
        """Take away the handlers that gunicorn gives itself."""
        super().setup(cfg)
        log.logging_setup("webhook", _settings)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
