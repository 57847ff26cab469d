"""Commands for workers that run, and the numbers of children that hold until they are released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_admin.records import ScaleRecord, WorkerStack
from jobs_core.commands import (
    WorkerCommand,
    command_worker,
    read_scales,
    write_scale,
)
from jobs_core.errors import OptionError
from jobs_core.names import check_queue_name

if TYPE_CHECKING:
    from jobs_admin._calls import Calls
    from jobs_core.commands import CommandVerb, WorkerAnswer

MOST_CHILDREN = 1024
MOST_SLOTS = 10_000


async def command(
    calls: Calls, prefix: str, worker_id: str, verb: CommandVerb, *, queue: str = "", number: int = 0
) -> WorkerAnswer:
    """Tell a worker something and return its answer.

    Raises WorkerNotFound, WorkerSilent, ConnectionFailed, and OptionError where the worker refuses.
    """
    told = WorkerCommand(verb=verb, queue=queue, number=number)
    answer = await command_worker(calls.client, prefix, worker_id, told, timeout=calls.timeout)
    if answer.refused:
        raise OptionError("queue", queue, answer.refused)
    return answer


def check_slots(queue: str, number: int) -> None:
    """Refuse a concurrency that no queue could have. Raises OptionError."""
    check_queue_name(queue)
    if not 1 <= number <= MOST_SLOTS:
        raise OptionError("concurrency", number, f"it must be 1 to {MOST_SLOTS}")


def stacks_of(answer: WorkerAnswer) -> tuple[WorkerStack, ...]:
    """Return what the children of a worker were doing."""
    return tuple(WorkerStack(pid=each.pid, stack=each.stack) for each in answer.stacks)


async def scale(calls: Calls, prefix: str, queue: str, number: int | None) -> bool:
    """Keep a number, or let go of it (None). Tells whether anything changed. Raises OptionError."""
    if number is not None and not 0 <= number <= MOST_CHILDREN:
        raise OptionError("number", number, f"it must be 0 to {MOST_CHILDREN}, or None to let go of it")
    return await calls.change(write_scale(calls.client, prefix, check_queue_name(queue), number))


async def scales(calls: Calls, prefix: str) -> list[ScaleRecord]:
    """List the numbers that hold."""
    found = await calls.read(read_scales(calls.client, prefix))
    return [ScaleRecord(queue=queue, number=number) for queue, number in sorted(found.items())]
