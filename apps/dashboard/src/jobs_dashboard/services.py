"""What all requests share, from the start of the application to its end."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from jobs_core.errors import PayloadError
from jobs_core.redaction import Mask
from jobs_dashboard.bulks import Bulks
from jobs_dashboard.live import Hub

if TYPE_CHECKING:
    from jobs_admin import Admin
    from jobs_core.discovery import Catalog
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType
    from jobs_dashboard.access import Access
    from jobs_producer import Producer

__all__ = ["Services"]


class Services:
    """The admin, the producer, what code declares and who is let in; `openapi` is the document of the API."""

    openapi: dict[str, JsonValue]

    def __init__(
        self,
        admin: Admin,
        producer: Producer,
        catalog: Catalog,
        access: Access,
        trace_url: str | None = None,
    ) -> None:
        """Bind them together; who made them connects and closes them. `trace_url` has `{trace_id}` in it."""
        self.admin = admin
        self.producer = producer
        self.catalog = catalog
        self.access = access
        self.trace_url = trace_url
        self.bulks = Bulks()
        self.hub = Hub(admin)
        self.openapi = {}
        self.version = version("jobs-dashboard")

    async def close(self) -> None:
        """End what goes on by itself."""
        await self.hub.stop()
        await self.bulks.close()

    @staticmethod
    def unrepeated(job_type: JobType[object, object], error: PayloadError) -> PayloadError:
        """Return an error that repeats nothing of a payload of which something is never shown: what a type says of a value may."""
        if not Mask.of(job_type.payload_type).hides:
            return error
        reason = "it does not fit; why is not told, since some of this payload is never shown"
        return PayloadError(error.queue, error.job, error.path, reason, what=error.what)
