"""A queue by name, for queues and jobs that no code declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

if TYPE_CHECKING:
    from jobs_core.flows.calls import Call
    from jobs_core.options import JobOptions
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import Queue, QueueOptions
    from jobs_producer._handle import JobHandle
    from jobs_producer.producer import Producer


class QueueHandle:
    """A queue by name: its jobs are named at the call and carry any JSON.

    `options` are what was given to `Producer.queue`; without any, nothing is declared to the server.
    """

    def __init__(self, producer: Producer, declaration: Queue, options: QueueOptions) -> None:
        """Made by `Producer.queue`."""
        self.name = declaration.name
        self.declaration = declaration
        self.options = options
        self._producer = producer

    async def enqueue(
        self, job_name: str, data: JsonValue = None, **options: Unpack[JobOptions]
    ) -> JobHandle[JsonValue]:
        """Add a job; errors as `Producer.enqueue`."""
        return await self._producer.enqueue(self.declaration.dynamic_job(job_name), data, **options)

    def call(self, job_name: str, data: JsonValue = None, **options: Unpack[JobOptions]) -> Call:
        """Return a job with its payload, for `chain_to` and `on_success` of another, as `JobType.call`."""
        return self.declaration.dynamic_job(job_name).call(data, **options)

    def handle(self, job_name: str, job_id: str) -> JobHandle[JsonValue]:
        """Return a handle on a job enqueued elsewhere."""
        return self._producer.handle(self.declaration.dynamic_job(job_name), job_id)
