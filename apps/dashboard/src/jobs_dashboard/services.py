"""What all requests share, from the start of the application to its end."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from jobs_core.errors import PayloadError
from jobs_core.redaction import Mask
from jobs_dashboard.bulks import Bulks
from jobs_dashboard.live import Hub
from jobs_dashboard.records import Declared, DeclaredJob

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

    @cached_property
    def declared(self) -> list[Declared]:
        """The queues and jobs that code declares, sorted by name: looked at once, for no code declares more while it runs."""
        return [
            Declared(
                queue=queue.name,
                profile=queue.profile.name if queue.profile is not None else "light",
                concurrency=queue.concurrency,
                jobs=tuple(
                    DeclaredJob(
                        name=job.name,
                        version=job.version,
                        result=job.declares_result,
                        redacts=Mask.of(job.payload_type, job.result_type or None).hides,
                    )
                    for job in queue.versions.values()
                ),
            )
            for _, queue in sorted(self.catalog.queues.items())
        ]

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
