"""Jobs that a handler enqueues as effects of its success: collected while it runs, sent with its completion or not at all."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import msgspec

from jobs_core.dead_letters import pack_parts
from jobs_core.drafts import derived_id, make_draft
from jobs_core.errors import JobsError, OptionError
from jobs_core.flows.edges import Edge, with_edges
from jobs_core.flows.modes import Mode
from jobs_core.flows.successors import make_plan
from jobs_core.options import resolve
from jobs_core.outbox import encode_jobs
from jobs_core.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobs_core.codecs import Codecs
    from jobs_core.flows.calls import Step
    from jobs_core.options import DefaultJobOptions, JobOptions, MetaValue, Resolved
    from jobs_core.queue import JobType, Queue
    from jobs_core.wire import Draft

P = TypeVar("P")
R = TypeVar("R")

__all__ = ["Collector", "Effect", "Enqueued", "in_parts"]

MAX_JOBS = 10_000
MAX_BYTES = 16 * 1024 * 1024
_CHUNK_JOBS = 128
_CHUNK_BYTES = 256 * 1024
_OWNED = 1000


class Effect(msgspec.Struct, array_like=True, frozen=True):
    """What follows the end of one job in another queue: `jobs` is how many jobs `content` adds there."""

    kind: str
    target: str
    jobs: int
    content: bytes


class Enqueued(msgspec.Struct, frozen=True):
    """One job that a handler enqueued, for tests of handlers; `steps` are the links of a chain behind it."""

    id: str
    job: JobType[object, object]
    payload: object
    options: JobOptions
    steps: tuple[Step, ...] = ()


class ChildrenNotAwaited(JobsError):
    """A handler added children and then returned: nobody would have waited for them."""

    code = "children_not_awaited"

    def __init__(self, children: int) -> None:
        self.children = children
        super().__init__(
            f"The handler added {children:,} children and returned. Raise WaitForChildren when all are added, and give the result in "
            f"the run that finds them in ctx.children; for jobs that nobody waits for there is ctx.enqueue."
        )


class _Defaults:
    """The service's job options, read when the first handler asks for them."""

    def __init__(self) -> None:
        self._read = False
        self._options: DefaultJobOptions | None = None

    def get(self) -> DefaultJobOptions | None:
        if not self._read:
            self._options, self._read = CommonSettings.from_env().default_job_options, True
        return self._options


_defaults = _Defaults()


class Collector:
    """The jobs that one run of one job enqueues; handlers may call it from threads of their own."""

    def __init__(
        self,
        queue: str,
        job_id: str,
        stamp_us: int,
        metadata: Mapping[str, MetaValue],
        *,
        deadline_ms: int = 0,
        codecs: Codecs | None = None,
        keep: bool = False,
    ) -> None:
        """Begin with none; `keep` remembers them as they were given."""
        self.queues: dict[str, Queue] = {}
        self.enqueued: list[Enqueued] = []
        self._origin = (queue, job_id, stamp_us)
        self._metadata = metadata
        self._deadline_ms = deadline_ms
        self._codecs = codecs
        self._keep = keep
        self._drafts: dict[str, list[Draft]] = {}
        self._count = 0
        self._bytes = 0
        self.children = 0
        self._owned: dict[str, list[str]] = {}
        self._flows: list[tuple[str, str]] = []
        self._lock = Lock()

    def add(self, job: JobType[P, R], payload: P, options: JobOptions, steps: Sequence[Step] = ()) -> str:
        """Take one job, and the links of a chain behind it. Returns its id. Raises PayloadError, PayloadTooLarge or OptionError."""
        return self._take(job, payload, options, steps)

    def add_child(self, job: JobType[P, R], payload: P, options: JobOptions, number: int, mode: Mode) -> str:
        """Take one job that this one waits for, as its child of this number. Returns its id. Errors as `add`."""
        return self._take(job, payload, options, (), (number, mode))

    def _take(
        self,
        job: JobType[P, R],
        payload: P,
        options: JobOptions,
        steps: Sequence[Step],
        child: tuple[int, Mode] | None = None,
    ) -> str:
        resolved = resolve(job, options, _defaults.get())
        _refuse_bound(resolved)
        plan = make_plan(resolved, steps=steps, service=_defaults.get(), codecs=self._codecs)
        with self._lock:
            # Children are counted beside the others, so that neither changes the ids of the other.
            place = self._count if child is None else -1 - child[0]
            own = resolved.job_id or derived_id(*self._origin, place)
            draft = make_draft(
                job,
                payload,
                resolved,
                job_id=own,
                metadata=self._metadata,
                deadline_ms=self._deadline_ms,
                codecs=self._codecs,
                flow=None if plan is None else plan.flow,
            )
            self._count_in(draft)
            if child is not None:
                queue, job_id, _ = self._origin
                draft = with_edges(draft, str(Edge(queue, job_id, *child)))
                self.children += 1
                self._owned.setdefault(job.queue.name, []).append(own)
            self._drafts.setdefault(job.queue.name, []).append(draft)
            for each in (job.queue, *(() if plan is None else plan.queues)):
                self.queues[each.name] = each
            if self._keep:
                self.enqueued.append(Enqueued(own, job, payload, options, tuple(steps)))  # pyright: ignore[reportArgumentType] - of any type
            return own

    def _count_in(self, draft: Draft) -> None:
        if self._count >= MAX_JOBS or self._bytes + len(draft.body) > MAX_BYTES:
            raise OptionError(
                "enqueue",
                self._count,
                f"one job may enqueue {MAX_JOBS:,} jobs or {MAX_BYTES >> 20} MiB as its effects; use a producer for more",
            )
        self._count += 1
        self._bytes += len(draft.body)

    def wait_for_flow(self, queue: str, flow_id: str, jobs: int) -> None:
        """Wait for so many jobs of a flow that was submitted with edges to this job."""
        with self._lock:
            self.children += jobs
            self._flows.append((queue, flow_id))

    def owned(self) -> bytes:
        """Return what calls off the children, should this job be cancelled while it waits for them: as effects, for the settlement."""
        queue, job_id, _ = self._origin
        whose = str(Edge(queue, job_id, 0, Mode.FAIL_PARENT)).rpartition(":0:")[0] + ":"
        effects: list[tuple[str, str, bytes]] = []
        with self._lock:
            for target, ids in self._owned.items():
                chunks = (ids[at : at + _OWNED] for at in range(0, len(ids), _OWNED))
                effects += [(target, "disown", msgspec.msgpack.encode([whose, *chunk])) for chunk in chunks]
            effects += [(target, "cancel_flow", flow.encode()) for target, flow in self._flows]
        return b"".join(
            pack_parts(target.encode(), kind.encode(), content) for target, kind, content in effects
        )

    def effects(self, *, waits: bool = False) -> tuple[Effect, ...]:
        """Return what travels with the completion, or where the job `waits` with the beginning of that. Raises ChildrenNotAwaited."""
        if self.children and not waits:
            raise ChildrenNotAwaited(self.children)
        with self._lock:
            return tuple(each for target, drafts in self._drafts.items() for each in in_parts(target, drafts))


def _refuse_bound(resolved: Resolved) -> None:
    for option in ("after", "on_failure"):
        if getattr(resolved, option):
            raise OptionError(
                option,
                "…",
                "it is for a producer's calls; add children, or start a workflow, where a handler needs it",
            )


def in_parts(target: str, drafts: Iterable[Draft]) -> list[Effect]:
    """Return jobs for one queue in parts that an entry of the outbox can hold."""
    found: list[Effect] = []
    part: list[Draft] = []
    size = 0
    for draft in drafts:
        if part and (len(part) >= _CHUNK_JOBS or size + len(draft.body) > _CHUNK_BYTES):
            found.append(Effect("jobs", target, len(part), encode_jobs(part)))
            part, size = [], 0
        part.append(draft)
        size += len(draft.body)
    if part:
        found.append(Effect("jobs", target, len(part), encode_jobs(part)))
    return found
