"""The dashboard as a program."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from jobs_admin import Admin
from jobs_core import log_lines
from jobs_core.errors import ConfigurationError
from jobs_core.settings import FeatureSettings
from jobs_dashboard.access import check_exposure
from jobs_dashboard.app import create_app
from jobs_dashboard.services import Services

if TYPE_CHECKING:
    from jobs_core.settings import DashboardSettings

__all__ = ["run"]

_CONNECT_TIMEOUT = 3.0
_BACKLOG = 128
_GRACE_S = 10
_log = logging.getLogger("jobs_dashboard")


def run(settings: DashboardSettings) -> int:
    """Serve the dashboard until SIGTERM (returns 0) or Ctrl-C (130).

    Raises ConfigurationError where it would be open to everybody, its port is taken or the server is refused,
    and ConnectionFailed where the server cannot be reached.
    """
    check_exposure(settings)
    # It serves the files of the features; what is wrong with them is told now.
    FeatureSettings.from_env()
    log_lines.configure(settings.log_level, settings.log_format)
    with _bound(settings.host, settings.port) as listener:
        return asyncio.run(_serve(settings, listener))


async def _serve(settings: DashboardSettings, listener: socket.socket) -> int:
    admin = Admin(settings.redis_url, prefix=settings.prefix, timeout=_CONNECT_TIMEOUT)
    async with admin:
        await admin.check_server()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=settings.log_level,
        access_log=settings.log_level == "debug",
        # Who asks is judged by the connection; what a proxy says of it is not believed.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, app.state.services)
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    if settings.log_format == "json":
        _log.info("serving", extra=log_lines.fields(address=address))
    else:
        print(f"dashboard at {address}", file=sys.stderr, flush=True)  # noqa: T201 - whoever starts it reads it there
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop, number)
    # What is there by now stays. To look through it for garbage takes some 50 ms, in which nobody would be answered.
    gc.collect()
    gc.freeze()
    await server.serve(sockets=[listener])
    return 130 if server.stopped_by == signal.SIGINT else 0


class _Server(uvicorn.Server):
    """A server whose signals are ours: uvicorn's own would end the process by the signal it got."""

    stopped_by: signal.Signals | None = None

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services
        self._closing: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield

    def stop(self, number: signal.Signals) -> None:
        """Finish what is under way and end; a second signal ends at once."""
        self.stopped_by = number
        if self._closing is None:
            # Open pages would be waited for: they are told that it ends.
            self._closing = asyncio.create_task(self._services.hub.stop(), name="jobs-hub-stop")
        self.handle_exit(number, None)


def _bound(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ConfigurationError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        message = f"DASHBOARD_HOST={host} is no address of this machine: {error.strerror or error}."
        raise ConfigurationError(message) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        message = (
            f"Port {port} of {host} cannot be listened on: {error.strerror or error}. "
            f"Choose another with DASHBOARD_PORT, or stop what listens there."
        )
        raise ConfigurationError(message) from None
    return listener
