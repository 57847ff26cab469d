"""The workers of an installation: who they are, what they are told, and how many there should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_admin._limits import read_limits
from jobs_admin._listing import check_bounds
from jobs_admin._numbers import worker_record
from jobs_admin._scaler import queues_of, read_scaler
from jobs_admin.records import RunningRecord, ScaleRecord, WorkerStack
from jobs_core.commands import WorkerCommand, command_worker, read_scales, write_scale
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError, WorkerNotFound
from jobs_core.names import check_queue_name
from jobs_core.records import read_records
from jobs_core.registry import list_workers
from jobs_core.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_admin._context import Context
    from jobs_admin.records import ScalerRecord, WorkerRecord
    from jobs_core.commands import CommandVerb, WorkerAnswer
    from jobs_core.registry import WorkerEntry

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

    async def running(self, worker_id: str, limit: int) -> list[RunningRecord]:
        """List jobs that a worker runs, those that run for longest first; where more run than the limit it is any of them."""
        check_bounds(limit, 0, None)
        entries = await self._calls.read(list_workers(self._calls.client, self._prefix))
        entry = next((each for each in entries if each.id == worker_id), None)
        if entry is None:
            raise WorkerNotFound(worker_id)
        held = await self._held(entry, limit)
        scripts = self._calls.scripts
        read = await self._calls.read_all([read_records(scripts, queue, ids) for queue, ids in held])
        jobs = [job for records in read for job in records if job is not None and job.state is State.ACTIVE]
        jobs.sort(key=lambda job: job.processed_at or job.created_at)
        return [
            RunningRecord(
                queue=job.queue, id=job.id, name=job.name, started_at=job.processed_at, progress=job.progress
            )
            for job in jobs
        ]

    async def _held(self, entry: WorkerEntry, limit: int) -> list[tuple[str, Sequence[str]]]:
        """Return ids of jobs that the children of a worker hold, by queue, no more than the limit."""
        scripts = self._calls.scripts
        known = await self._calls.read_all([scripts.owners(queue) for queue in entry.queues])
        owners = [
            (queue, owner.owner)
            for queue, found in zip(entry.queues, known, strict=True)
            for owner in found
            if owner.active and owner.owner.rpartition(".")[0] in entry.children
        ]
        pages = await self._calls.read_all(
            [
                scripts.page(queue, home=f"active:{owner}", newest=False, limit=limit)
                for queue, owner in owners
            ]
        )
        left = limit
        held: list[tuple[str, Sequence[str]]] = []
        for (queue, _), page in zip(owners, pages, strict=True):
            held.append((queue, page.ids[:left]))
            left -= len(held[-1][1])
        return held

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
