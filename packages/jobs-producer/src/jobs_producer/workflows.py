"""Flows that are given whole: workflows of steps, graphs of dependencies, trees of parents and children.

workflow = Workflow("nightly import", metadata={"created_by": "cron"})
extract = workflow.add("extract", EXTRACT, source)
workflow.add("load", LOAD, target, after=[extract])
run = await workflow.start(producer)
await run.result(timeout=60)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, Unpack, cast

import msgspec

from jobs_core.errors import FlowError, OptionError
from jobs_core.flows.calls import Call
from jobs_core.flows.graph import Dependency, Graph, Node, Passed
from jobs_core.flows.modes import EdgePolicy, Mode, policy_mode
from jobs_core.job_type import check_job
from jobs_core.payloads import JsonValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.options import MetaValue, StepOptions
    from jobs_core.queue import JobType
    from jobs_producer._flows import FlowRun
    from jobs_producer.producer import Producer

__all__ = ["Child", "Flow", "Nested", "Step", "Workflow", "child", "step"]

P = TypeVar("P")
R = TypeVar("R")


class After(msgspec.Struct, frozen=True):
    """A dependency on a step of a workflow. Made by `Step.on`, `Step.failed` and `Step.ended`."""

    label: str
    mode: Mode


class AnyStep:
    """A step of a workflow, whatever its result: what others wait for."""

    def __init__(self, label: str) -> None:
        """Made by `Workflow.add`."""
        self.label: Final = label

    def on(self, policy: EdgePolicy) -> After:
        """Return a dependency on this step with another policy than `fail_parent`."""
        return After(self.label, policy_mode(policy))

    @property
    def failed(self) -> After:
        """A dependency that comes true when this step failed; where it completed, the step that waits is skipped."""
        return After(self.label, Mode.AFTER_FAILURE)

    @property
    def ended(self) -> After:
        """A dependency that comes true when this step ended, however that was, unless it was skipped."""
        return After(self.label, Mode.AFTER_ALL)


class Step(AnyStep, Generic[R]):
    """A step of a workflow, whose result the run gives."""

    def __init__(self, label: str, job: JobType[object, R]) -> None:
        """Made by `Workflow.add`."""
        super().__init__(label)
        self.job: Final = job

    def __repr__(self) -> str:
        return f"Step({self.label!r}, {self.job.queue.name}/{self.job.wire_name})"


class Nested(msgspec.Struct, frozen=True):
    """A step with the steps that follow it. Made by `step`."""

    label: str
    call: Call
    on_success: tuple[Nested, ...] = ()
    on_failure: tuple[Nested, ...] = ()
    finally_: tuple[Nested, ...] = ()


def step(
    job: JobType[P, R],
    payload: P,
    *,
    name: str = "",
    on_success: Sequence[Nested] = (),
    on_failure: Sequence[Nested] = (),
    finally_: Sequence[Nested] = (),
    **options: Unpack[StepOptions],
) -> Nested:
    """Return a step of a workflow: `on_success` run when it completed, `on_failure` when it failed for good, `finally_` after all of these.

    `name` is by default the name of the job. `options` are those of the job.
    """
    check_job(job)
    return Nested(
        name or job.name, job.call(payload, **options), tuple(on_success), tuple(on_failure), tuple(finally_)
    )


class Workflow:
    """Steps that wait for each other, in any queues. Submitted all or nothing; its state is on the server.

    `steps` run one after the other: each when the one before, and all that is nested in it, has ended well. More can be added by
    `add`, each with what it waits for. `id` is given by whoever wants to start it once: starting it again answers with the run
    that is there. `metadata` and `tags` pass on to all its jobs.
    """

    def __init__(
        self,
        name: str,
        *,
        id: str | None = None,  # noqa: A002 - the word that records use
        metadata: Mapping[str, MetaValue] | None = None,
        tags: Sequence[str] = (),
        steps: Sequence[Nested] = (),
    ) -> None:
        """Begin with these steps. Raises FlowError."""
        self.name: Final = name
        self.id: Final = id
        self.metadata: Final[dict[str, MetaValue]] = dict(metadata or {})
        self.tags: Final = tuple(tags)
        self._nodes: list[Node] = []
        self._waits: list[list[After]] = []
        self._numbers: dict[str, int] = {}
        self._add_all(steps)

    def add(
        self,
        name: str,
        job: JobType[P, R],
        payload: P,
        *,
        after: Sequence[AnyStep | After | str] = (),
        **options: Unpack[StepOptions],
    ) -> Step[R]:
        """Add a step that runs when all those in `after` have completed: steps, their names, or a step's `on`, `failed`, `ended`.

        Names may be of steps that are added later. Its handler finds their results in `ctx.results`. Raises FlowError for a name
        that is there already.
        """
        check_job(job)
        self._append(name, job.call(payload, **options), [_as_after(each) for each in after])
        return Step(name, cast("JobType[object, R]", job))

    def graph(self) -> Graph:
        """Return its steps, checked. Raises FlowError for a step that is not there, and for steps that wait for each other."""
        for node, waits in zip(self._nodes, self._waits, strict=True):
            node.after = []
            for each in waits:
                at = self._numbers.get(each.label)
                if at is None:
                    raise FlowError(
                        f"step {node.label!r} waits for {each.label!r}, and there is no such step"
                    )
                node.after.append(Dependency(at, each.mode))
        return Graph(self._nodes)

    async def start(self, producer: Producer) -> FlowRun[dict[str, JsonValue]]:
        """Submit it, all steps or none. Raises FlowError, PayloadError, OptionError or ConnectionFailed."""
        return await producer.flows.start(self)

    def _append(self, label: str, call: Call, waits: list[After]) -> None:
        if label in self._numbers:
            raise FlowError(f"there are two steps {label!r}; give each a name of its own")
        self._numbers[label] = len(self._nodes)
        self._nodes.append(Node(label, call, []))
        self._waits.append(waits)

    def _add_all(self, steps: Sequence[Nested]) -> None:
        before: list[After] = []
        for each in steps:
            inner = self._nest(each, before)
            before = [After(inner[0], Mode.AFTER_SUCCESS)]
            before += [After(label, Mode.IGNORE) for label in inner[1:]]

    def _nest(self, nested: Nested, waits: list[After]) -> list[str]:
        """Add a step and all that follows it. Returns their labels, its own first."""
        label = self._free(nested.label)
        self._append(label, nested.call, waits)
        labels = [label]
        branches = ((nested.on_success, Mode.AFTER_SUCCESS), (nested.on_failure, Mode.AFTER_FAILURE))
        for steps, mode in branches:
            for each in steps:
                labels += self._nest(each, [After(label, mode)])
        ended = [After(label, Mode.AFTER_ALL), *(After(each, Mode.IGNORE) for each in labels[1:])]
        for each in nested.finally_:
            labels += self._nest(each, ended)
        return labels

    def _free(self, label: str) -> str:
        """Return a label that is not taken: the same job may be a step twice."""
        if label not in self._numbers:
            return label
        return next(
            f"{label}-{n}" for n in range(2, len(self._numbers) + 3) if f"{label}-{n}" not in self._numbers
        )


def _as_after(given: AnyStep | After | str) -> After:
    if isinstance(given, After):
        return given
    return After(given if isinstance(given, str) else given.label, Mode.FAIL_PARENT)


class Child(msgspec.Struct, frozen=True):
    """A child with another policy than `fail_parent`. Made by `child`."""

    of: Call | AnyFlow
    mode: Mode


def child(job: Call | AnyFlow, *, policy: EdgePolicy = "fail_parent") -> Child:
    """Return a child of a parent, with what becomes of that one if the child does not complete. Raises OptionError."""
    if not isinstance(job, Call | AnyFlow):  # pyright: ignore[reportUnnecessaryIsInstance] - who does not check types may leave out the payload
        raise OptionError("child", job, "it must be made by JOB.call(payload) or Flow(JOB, payload)")
    return Child(job, policy_mode(policy))


class AnyFlow:
    """A parent with children, whatever its result."""

    def __init__(self, call: Call, children: Sequence[Call | AnyFlow | Child]) -> None:
        """Made by `Flow`."""
        self.call: Final = call
        self.children: Final = tuple(each if isinstance(each, Child) else child(each) for each in children)


class Flow(AnyFlow, Generic[R]):
    """A parent that runs when all its children have ended, and finds their results in `ctx.children`. Children may have their own.

    flow = Flow(REPORT, report, children=[COUNT.call(one), COUNT.call(two), child(PLOT.call(three), policy="ignore")])
    run = await flow.submit(producer)
    """

    def __init__(
        self,
        job: JobType[P, R],
        payload: P,
        *,
        children: Sequence[Call | AnyFlow | Child] = (),
        name: str = "",
        id: str | None = None,  # noqa: A002 - the word that records use
        **options: Unpack[StepOptions],
    ) -> None:
        """Begin with these children; `options` are those of the parent, whose `metadata`, `tags` and `deadline` pass on to all jobs below it."""
        check_job(job)
        self.job: Final = cast("JobType[object, R]", job)
        super().__init__(job.call(payload, **options), children)
        self.name: Final = name or job.name
        self.id: Final = id
        self.metadata: Final[dict[str, MetaValue]] = dict(options.get("metadata") or {})
        self.tags: Final = tuple(options.get("tags") or ())

    def graph(self) -> Graph:
        """Return the tree as a graph, the parent first. Raises FlowError or OptionError."""
        nodes: list[Node] = []
        top = cast("Flow[object]", self)
        stack: list[tuple[Call | AnyFlow, int, Mode, Passed]] = [(top, -1, Mode.FAIL_PARENT, Passed())]
        # Breadth first, so that children stand in the order in which they were given.
        for given, parent, mode, passed in stack:
            own = given.call if isinstance(given, AnyFlow) else given
            place = len(nodes)
            nodes.append(Node(f"{own.job.name}-{place}" if place else own.job.name, own, [], passed))
            if parent >= 0:
                nodes[parent].after.append(Dependency(place, mode))
            if isinstance(given, AnyFlow):
                below = passed.below(own.options)
                stack += [(each.of, place, each.mode, below) for each in given.children]
            if len(nodes) > 10_000:
                break
        return Graph(nodes, tree=True)

    async def submit(self, producer: Producer) -> FlowRun[R]:
        """Submit it, all jobs or none. Raises FlowError, PayloadError, OptionError or ConnectionFailed."""
        return await producer.flows.submit(self)
