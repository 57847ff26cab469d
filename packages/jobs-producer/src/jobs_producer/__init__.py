"""Enqueue typed background jobs and await their results.

    async with Producer.from_env() as producer:
        job = await producer.enqueue(SEND_EMAIL, SendEmail(to="ada@example.com", template="welcome"))
        receipt = await job.result(timeout=30)

`Producer` is for asyncio programs, `SyncProducer` for all others.
"""

from jobs_core.flows.dependencies import on
from jobs_producer._bulk import Bulk, BulkInterrupted, BulkItem, BulkSummary, ItemOutcome
from jobs_producer._chain import ChainHandle
from jobs_producer._flows import FlowRun, Flows
from jobs_producer._handle import JobHandle
from jobs_producer._queue_handle import QueueHandle
from jobs_producer._schedules import ScheduleHandle, Schedules, SyncSchedules
from jobs_producer.batches import Batch, MapReduce
from jobs_producer.declared import DeclaredWorkflow, UnknownWorkflow, workflow
from jobs_producer.producer import Producer
from jobs_producer.sync import SyncChainHandle, SyncJobHandle, SyncProducer, SyncQueueHandle
from jobs_producer.workflows import Child, Flow, Nested, Step, Workflow, child, step

__all__ = [
    "Batch",
    "Bulk",
    "BulkInterrupted",
    "BulkItem",
    "BulkSummary",
    "ChainHandle",
    "Child",
    "DeclaredWorkflow",
    "Flow",
    "FlowRun",
    "Flows",
    "ItemOutcome",
    "JobHandle",
    "MapReduce",
    "Nested",
    "Producer",
    "QueueHandle",
    "ScheduleHandle",
    "Schedules",
    "Step",
    "SyncChainHandle",
    "SyncJobHandle",
    "SyncProducer",
    "SyncQueueHandle",
    "SyncSchedules",
    "UnknownWorkflow",
    "Workflow",
    "child",
    "on",
    "step",
    "workflow",
]
