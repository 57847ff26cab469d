"""What `import jobs_producer` promises."""

import inspect

import pytest

import jobs_producer
from jobs_producer import (
    JobHandle,
    Producer,
    QueueHandle,
    Schedules,
    SyncJobHandle,
    SyncProducer,
    SyncQueueHandle,
    SyncSchedules,
)


def test_public_names_are_these() -> None:
    assert jobs_producer.__all__ == [
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
    assert all(hasattr(jobs_producer, name) for name in jobs_producer.__all__)


def members(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_public_methods_are_these() -> None:
    assert members(Producer) == {
        "cancel",
        "chain_handle",
        "close",
        "connect",
        "connection_info",
        "enqueue",
        "enqueue_chain",
        "enqueue_llm_request",
        "enqueue_many",
        "enqueue_notification",
        "enqueue_workflow",
        "from_env",
        "handle",
        "is_connected",
        "queue",
        "resubmit",
        "schedule_recurring",
        "status",
    }
    assert members(SyncProducer) == members(Producer) - {"connect"} | {"run"}
    assert members(Schedules) == members(SyncSchedules)
    assert members(Schedules) == {
        "backfill",
        "get",
        "list",
        "next",
        "pause",
        "remove",
        "resume",
        "trigger",
        "upsert",
    }
    assert members(SyncJobHandle) == {"cancel", "done", "result", "status"}
    assert members(JobHandle) == members(SyncJobHandle) | {"created", "id", "name", "outcome", "queue"}
    assert members(QueueHandle) == members(SyncQueueHandle) == {"call", "enqueue", "handle"}


@pytest.mark.parametrize("name", sorted(members(SyncProducer) - {"run"}))
def test_both_producers_take_the_same_arguments(name: str) -> None:
    plain, sync = (inspect.signature(getattr(kind, name)) for kind in (Producer, SyncProducer))
    assert list(plain.parameters) == list(sync.parameters)


@pytest.mark.parametrize("name", sorted(members(Schedules)))
def test_both_kinds_of_schedules_take_the_same_arguments(name: str) -> None:
    plain, sync = (inspect.signature(getattr(kind, name)) for kind in (Schedules, SyncSchedules))
    assert list(plain.parameters) == list(sync.parameters)


def test_both_are_made_alike() -> None:
    assert inspect.signature(Producer) == inspect.signature(SyncProducer)
