"""Which handler runs which job: built once at the start from the declarations and the processors of the served queues."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from jobs_core.codecs import NO_CODEC, Codec
from jobs_core.discovery import ALWAYS, Catalog, imported, load_features, processor_modules
from jobs_core.errors import ConfigurationError, DeclarationError, SettingsError
from jobs_core.queue import JobType, Queue, Upcast
from jobs_core.upcasts import chain
from jobs_worker import logs
from jobs_worker.backoffs import NamedBackoff, backoffs_of, by_name
from jobs_worker.hooks import Hooks
from jobs_worker.judging import Rules
from jobs_worker.processors import ProcessorSpec, specs_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jobs_worker.chunk_context import Chunk
    from jobs_worker.processors import Handler

RunsIn = Literal["async", "thread", "process", "chunk"]


class Route(msgspec.Struct, frozen=True):
    """One handler as a lane runs it. `job` None is the processor of a whole queue; `module` is where a process finds it again.

    `upcasts` lead from the payloads of an earlier version to those that the handler takes; `codec` is what is done to the results,
    `seals` whether that is anything. What runs in a `chunk` runs on the loop or in a thread, as it is async or not.
    """

    queue: Queue
    job: JobType[object, object] | None
    handler: Handler
    runs_in: RunsIn
    is_async: bool
    concurrency: int | None
    module: str
    source: str
    upcasts: tuple[Upcast, ...] = ()
    hooks: Hooks | None = None
    rules: Rules = Rules()
    backoffs: Mapping[str, NamedBackoff] = {}
    codec: Codec = NO_CODEC
    seals: bool = False
    chunk: Chunk | None = None

    @property
    def wire_name(self) -> str:
        """name@version, or `*`."""
        return self.job.wire_name if self.job is not None else "*"


class QueueRoutes(msgspec.Struct, frozen=True):
    """The routes of one queue. `missing` names the jobs that are not served and the variables they need."""

    queue: Queue
    named: dict[str, Route]
    fallback: Route | None
    missing: dict[str, list[str]]

    @property
    def routes(self) -> list[Route]:
        """All routes."""
        return [*self.named.values(), *([self.fallback] if self.fallback is not None else [])]

    @property
    def per_slot(self) -> int:
        """How many jobs a call of a handler takes at most; 0 where each takes one, and no list."""
        return max((route.chunk.size for route in self.routes if route.chunk is not None), default=0)

    @property
    def limits(self) -> dict[str, int]:
        """How many jobs of single names run at once."""
        own = {name: route.concurrency for name, route in self.named.items() if route.concurrency}
        if not self.per_slot:
            return own
        # Of several kinds of chunks none takes more jobs than its calls have room for.
        limited = bool(own) or len({route.chunk for route in self.named.values()}) > 1
        calls = self.queue.concurrency
        return {
            name: (route.concurrency or calls) * route.chunk.size
            for name, route in self.named.items()
            if limited and route.chunk is not None
        }

    def find(self, wire_name: str) -> Route | None:
        """Return the route of a job name@version."""
        route = self.named.get(wire_name)
        return self.fallback if route is None and wire_name not in self.missing else route


def build_routes(
    specs: Iterable[ProcessorSpec],
    queues: Iterable[Queue],
    backoffs: Iterable[NamedBackoff] = (),
    *,
    keys: bool | None = None,
) -> dict[str, QueueRoutes]:
    """Match processors with the queues that are served.

    What is encrypted is served only with `keys`, by default if JOBS_KEYS is set.
    Raises DeclarationError for a processor of an undeclared queue or job, and for two processors of one job.
    """
    served = {queue.name: queue for queue in queues}
    named = by_name(backoffs)
    chosen: dict[tuple[str, str], Route] = {}
    missing: dict[str, dict[str, list[str]]] = {name: {} for name in served}
    for spec in specs:
        queue = served.get(spec.queue.name)
        if queue is None:
            continue
        if spec.queue != queue:
            raise DeclarationError(
                spec.source,
                f"queue {queue.name!r} of this processor is declared differently in {queue.source}; "
                "declare it once",
            )
        route = _route(spec, named)
        known = chosen.setdefault((queue.name, route.wire_name), route)
        if known.handler is not route.handler:
            what = f"job {queue.name}/{route.wire_name}" if spec.job else f"queue {queue.name!r} as a whole"
            raise DeclarationError(spec.source, f"{what} already has a processor, in {known.source}")
        mixed = [
            each
            for (of, _), each in chosen.items()
            if of == queue.name and (each.chunk is None) != (route.chunk is None)
        ]
        if mixed:
            raise DeclarationError(
                spec.source,
                f"of queue {queue.name!r} this processor takes {_taken(route)} and another, in {mixed[0].source}, "
                f"{_taken(mixed[0])}; jobs that are handled in chunks have a queue of their own",
            )
        unset = spec.missing()
        if route.codec.encrypt and not (
            bool(os.environ.get("JOBS_KEYS", "").strip()) if keys is None else keys
        ):
            unset.append("JOBS_KEYS")
        if unset:
            missing[queue.name][route.wire_name] = unset
    return {name: _of_queue(queue, chosen, missing[name]) for name, queue in served.items()}


def _taken(route: Route) -> str:
    return "single jobs" if route.chunk is None else "chunks"


def _of_queue(
    queue: Queue, chosen: Mapping[tuple[str, str], Route], missing: dict[str, list[str]]
) -> QueueRoutes:
    named = {
        wire_name: route
        for (of, wire_name), route in chosen.items()
        if of == queue.name and wire_name not in missing
    }
    fallback = named.pop("*", None)
    handled = named.keys() | missing.keys()
    for start in queue.upcasts.keys() - named.keys() - missing.keys():
        steps = chain(queue.upcasts, start, handled)
        end = steps[-1].after.wire_name if steps else ""
        if end in missing:
            missing[start] = missing[end]
        elif steps:
            named[start] = replace(named[end], upcasts=steps)
    return QueueRoutes(queue, named, fallback, missing)


def load_routes(
    features: Sequence[str] | None,
    processors: Sequence[str] | None,
    *,
    weights: Collection[str],
    only: Sequence[str] | None,
) -> dict[str, QueueRoutes]:
    """Discover the queues of the weight classes (narrowed to `only`) and import their processors, and no others.

    Raises DeclarationError, UnknownQueue, or ConfigurationError where nothing is left to serve.
    """
    catalog = load_features(features)
    served = select_queues(catalog, weights=weights, only=only)
    specs: list[ProcessorSpec] = []
    backoffs: list[NamedBackoff] = []
    for module_name, _ in processor_modules(processors, catalog, [queue.name for queue in served]):
        module = imported(module_name)
        specs += specs_of(module)
        backoffs += backoffs_of(module)
    declared = set(catalog.queues)
    for spec in specs:
        if spec.queue.name not in declared:
            raise DeclarationError(
                spec.source,
                f"this is a processor of queue {spec.queue.name!r}, which no queue.py of JOBS_FEATURES declares",
            )
        if spec.job is not None and spec.job.wire_name not in catalog.queue(spec.queue.name).versions:
            raise DeclarationError(
                spec.source,
                f"this is a processor of job {spec.queue.name}/{spec.job.wire_name}, which is not declared with its queue",
            )
    return build_routes(specs, _with_processors(served, specs), backoffs)


def _with_processors(served: Sequence[Queue], specs: Sequence[ProcessorSpec]) -> list[Queue]:
    """Leave out the queues that no processor was found for: jobs taken from them would only be parked."""
    handled = {spec.queue.name for spec in specs}
    kept = [queue for queue in served if queue.name in handled]
    # What every worker has beside its own queues does not make up for them.
    own = [queue for queue in kept if queue.name not in ALWAYS] or [q for q in kept if len(served) == 1]
    left_out = [queue.name for queue in served if queue.name not in handled]
    mend = "JOBS_FEATURES names packages with queues, JOBS_PROCESSORS those with processors; set both"
    if not own:
        names = ", ".join(left_out)
        raise ConfigurationError(f"no processor was found for any of the queues {names}: {mend}")
    for name in left_out:
        logs.get("jobs.worker").warning("no_processor", queue=name, hint=mend)
    return kept


def select_queues(catalog: Catalog, *, weights: Collection[str], only: Sequence[str] | None) -> list[Queue]:
    """Return the declared queues of the weight classes, narrowed to the named ones."""
    if only is not None:
        for name in only:
            queue = catalog.queues.get(name)
            if queue is None:
                allowed = f"queues that code declares: {', '.join(sorted(catalog.queues))}"
                raise SettingsError("WORKER_QUEUES", name, allowed)
            if queue.weight not in weights:
                message = f"WORKER_QUEUES names {name!r}, a {queue.weight} queue, but WORKER_TYPE is {','.join(sorted(weights))}"
                raise ConfigurationError(message)
    chosen = [
        queue
        for queue in catalog.queues.values()
        if queue.weight in weights and (only is None or queue.name in only)
    ]
    if not chosen:
        message = f"no declared queue is of weight class {' or '.join(sorted(weights))}: this worker would have nothing to do"
        raise ConfigurationError(message)
    return chosen


def _route(spec: ProcessorSpec, backoffs: Mapping[str, NamedBackoff]) -> Route:
    chosen = spec.executor or spec.queue.executor
    if spec.chunk is not None and chosen == "process":
        raise DeclarationError(
            spec.source,
            f"queue {spec.queue.name!r} runs its handlers in processes, and chunks run on the loop or in threads: "
            f"give this processor executor={'async' if spec.is_async else 'thread'!r}",
        )
    if chosen == "process":
        runs_in: RunsIn = "process"
    elif chosen == "auto":
        runs_in = "async" if spec.is_async else "thread"
    elif chosen == "async" and not spec.is_async:
        raise DeclarationError(
            spec.source,
            f"queue {spec.queue.name!r} runs its handlers on the loop, but this one is no `async def`",
        )
    elif chosen == "thread" and spec.is_async:
        raise DeclarationError(
            spec.source,
            f"queue {spec.queue.name!r} runs its handlers in threads, but this one is an `async def`",
        )
    else:
        runs_in = chosen
    module = spec.handler.__module__
    codec = spec.queue.codec if spec.job is None else spec.job.codec
    if runs_in == "process" and (module == "__main__" or "." in spec.handler.__qualname__):
        raise DeclarationError(
            spec.source,
            "a handler that runs in a process must stand at the top of a module that the process can import, "
            "neither in the program itself nor inside a function",
        )
    return Route(
        queue=spec.queue,
        job=spec.job,
        handler=spec.handler,
        runs_in=runs_in if spec.chunk is None else "chunk",
        is_async=spec.is_async,
        concurrency=spec.concurrency,
        module=module,
        source=spec.source,
        hooks=spec.hooks,
        rules=spec.rules,
        backoffs=backoffs,
        codec=codec,
        seals=not codec.does_nothing,
        chunk=spec.chunk,
    )
