"""The workers of an installation: who they are, what they are told, and how many there should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_admin._limits import read_limits
from jobs_admin._numbers import worker_record
from jobs_admin._scaler import queues_of, read_scaler
from jobs_admin.records import ScaleRecord, WorkerStack
from jobs_core.commands import WorkerCommand, command_worker, read_scales, write_scale
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.names import check_queue_name
from jobs_core.registry import list_workers

if TYPE_CHECKING:
    from jobs_admin._context import Context
    from jobs_admin.records import ScalerRecord, WorkerRecord
    from jobs_core.commands import CommandVerb, WorkerAnswer

MOST_CHILDREN = 1024
MOST_SLOTS = 10_000


class Workers:
    """Those that run. What they are told is entered in the audit."""

    def __init__(self, context: Context) -> None:
        """Made by the admin."""
        self._calls = context.calls
        self._directory = context.directory
        self._audit = context.audit
        self._prefix = context.prefix

    async def list(self) -> list[WorkerRecord]:
        """List the workers that were heard of lately, sorted by id."""
        entries = await self._calls.read(list_workers(self._calls.client, self._prefix))
        return [worker_record(entry) for entry in entries]

    async def tell(self, worker_id: str, verb: CommandVerb) -> str:
        """Tell a worker to be quiet, to resume or to stop. Returns its state."""
        return (await self._told(worker_id, WorkerCommand(verb=verb))).state

    async def set_concurrency(self, worker_id: str, queue: str, number: int) -> str:
        """Let each child of a worker run so many jobs of a queue at once. Returns its state."""
        check_queue_name(queue)
        if not 1 <= number <= MOST_SLOTS:
            raise OptionError("concurrency", number, f"it must be 1 to {MOST_SLOTS}")
        command = WorkerCommand(verb="concurrency", queue=queue, number=number)
        return (await self._told(worker_id, command, f"to {number}")).state

    async def stacks(self, worker_id: str) -> tuple[WorkerStack, ...]:
        """Return what all threads of a worker's children are doing."""
        answer = await self._ask(worker_id, WorkerCommand(verb="stacks"))
        return tuple(WorkerStack(pid=each.pid, stack=each.stack) for each in answer.stacks)

    async def scale(self, queue: str, number: int | None) -> bool:
        """Keep a number of children for a queue, or let go of it (None). Returns whether anything changed."""
        if number is not None:
            await self._directory.check(queue)
            if not 0 <= number <= MOST_CHILDREN:
                raise OptionError(
                    "number", number, f"it must be 0 to {MOST_CHILDREN}, or None to let go of it"
                )
        call = write_scale(self._calls.client, self._prefix, check_queue_name(queue), number)
        changed = await self._calls.change(call)
        if changed:
            await self._audit.enter("scale", queue, "", 1, "auto" if number is None else f"to {number}")
        return changed

    async def scales(self) -> list[ScaleRecord]:
        """List the numbers of children that hold, by queue."""
        found = await self._calls.read(read_scales(self._calls.client, self._prefix))
        return [ScaleRecord(queue=queue, number=number) for queue, number in sorted(found.items())]

    async def scaler(self, profile: str, within: Duration) -> ScalerRecord:
        """Say how many workers of a weight class there should be to do within a time what there is."""
        seconds = to_ms(within, name="within") / 1000
        if not seconds:
            raise OptionError("within", within, "it must be longer than 0")
        entries = await queues_of(self._calls, self._prefix, profile)
        read = await self._calls.read_all([read_limits(self._calls, each.queue) for each in entries])
        limits = {entry.queue: each for entry, each in zip(entries, read, strict=True)}
        return await read_scaler(self._calls, self._prefix, profile, limits, entries, within_s=seconds)

    async def _told(self, worker_id: str, command: WorkerCommand, detail: str = "") -> WorkerAnswer:
        answer = await self._ask(worker_id, command)
        await self._audit.enter(f"worker {command.verb}", command.queue, f"worker:{worker_id}", 1, detail)
        return answer

    async def _ask(self, worker_id: str, command: WorkerCommand) -> WorkerAnswer:
        calls = self._calls
        answer = await command_worker(calls.client, self._prefix, worker_id, command, timeout=calls.timeout)
        if answer.refused:
            raise OptionError("queue", command.queue, answer.refused)
        return answer
