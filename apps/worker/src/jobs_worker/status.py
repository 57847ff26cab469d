"""What a worker answers over HTTP: is it alive, is it ready, what does it do, how much does it use."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from jobs_core.errors import ConfigurationError
from jobs_worker import health, logs, own_metrics

if TYPE_CHECKING:
    import asyncio

    from jobs_worker.crew import Crew
    from jobs_worker.presence import Presence

_log = logs.get("jobs.worker")


class StatusPages:
    """The pages of one worker."""

    def __init__(self, crew: Crew, presence: Presence) -> None:
        """Tell of these."""
        self._crew = crew
        self._presence = presence

    async def serve(self) -> tuple[asyncio.Server, int]:
        """Serve them. Returns the server and its port. Raises ConfigurationError where the port cannot be used."""
        settings = self._presence.settings
        routes = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/status": self._status,
            "/metrics": self._metrics,
        }
        try:
            server, port = await health.serve(
                settings.http_host, settings.http_port, routes, may_move=not settings.http_port_given
            )
        except OSError as error:
            reason = error.strerror or error
            message = f"WORKER_HTTP_PORT={settings.http_port} on {settings.http_host} cannot be used: {reason}; set another"
            raise ConfigurationError(message) from None
        if settings.http_port and port != settings.http_port:
            _log.info("http_port_moved", wanted=settings.http_port, port=port)
        return server, port

    def _healthz(self) -> health.Answer:
        return health.Answer(200, {"status": "ok"})

    def _readyz(self) -> health.Answer:
        ready = (
            not self._crew.shutdown.begun
            and self._presence.client.is_connected
            and any(child.ready for child in self._crew.children.values())
        )
        return health.Answer(200 if ready else 503, {"status": "ready" if ready else "not ready"})

    def _status(self) -> health.Answer:
        ranks = {child.pid: rank for rank, child in enumerate(self._crew.ranked())}
        children = [
            {
                "pid": child.pid,
                "ready": child.ready,
                "quiet": self._crew.staffing.quiet(ranks[child.pid])
                if child.pid in ranks
                else sorted(child.queues),
                "silent_s": round(child.page.silence(), 2),
                "queues": sorted(child.queues),
                "stats": child.stats,
            }
            for child in self._crew.children.values()
        ]
        return health.Answer(
            200,
            {
                "id": self._presence.id,
                "worker_type": list(self._presence.settings.weights),
                "stopping": self._crew.shutdown.begun,
                "state": self._crew.state,
                "connected": self._presence.client.is_connected,
                "server": self._presence.client.address.display,
                "last_beat_s": round(time.monotonic() - self._crew.beaten, 1) if self._crew.beaten else None,
                "children": children,
            },
        )

    def _metrics(self) -> health.Answer:
        facts = own_metrics.Facts(
            version=version("jobs-worker"),
            worker_type=",".join(self._presence.settings.weights),
            slots=self._crew.open_slots(),
            connected=self._presence.client.is_connected,
            started_ms=self._presence.started_ms,
            renewed_s=time.monotonic() - self._crew.beaten if self._crew.beaten else None,
        )
        text = own_metrics.describe(
            facts, self._crew.children.values(), self._crew.ended, self._presence.usage.look()
        )
        return health.Answer(200, text, own_metrics.MEDIA)
