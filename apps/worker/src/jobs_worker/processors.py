"""The `@processor` decorator: marks a function as the handler of a job or of a whole queue, and checks its annotations."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Awaitable, Callable, Sequence
from types import GenericAlias, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union, cast, get_args, get_origin, overload

import msgspec

from jobs_core.errors import DeclarationError
from jobs_core.payloads import JsonValue
from jobs_core.queue import MAX_CONCURRENCY, Executor, JobType, Queue
from jobs_worker.chunk_context import Chunk
from jobs_worker.hooks import Hooks
from jobs_worker.judging import Matcher, Rules, make_rules

if TYPE_CHECKING:
    from types import ModuleType

    from jobs_worker.chunk_context import ChunkContext
    from jobs_worker.context import JobContext

P = TypeVar("P")
R = TypeVar("R")

Handler = Callable[[object, "JobContext"], object]
# What these return is a list; a Sequence, so that a list of results alone is one too.
ChunkHandler: TypeAlias = Callable[[list[P], "ChunkContext"], Sequence[R | Exception]]
AsyncChunkHandler: TypeAlias = Callable[[list[P], "ChunkContext"], Awaitable[Sequence[R | Exception]]]
_MARK = "__jobs_processors__"


class ProcessorSpec(msgspec.Struct, frozen=True):
    """What the decorator was told. `job` None means all names of the queue that have no processor of their own."""

    queue: Queue
    job: JobType[object, object] | None
    handler: Handler
    is_async: bool
    executor: Executor | None
    concurrency: int | None
    requires: tuple[str, ...]
    source: str
    hooks: Hooks | None = None
    rules: Rules = Rules()
    chunk: Chunk | None = None

    def missing(self) -> list[str]:
        """Name the environment variables that the handler needs and that are unset or empty."""
        return [name for name in self.requires if not os.environ.get(name, "").strip()]


@overload
def processor(
    target: JobType[P, R],
    /,
    *,
    concurrency: int | None = None,
    executor: Executor | None = None,
    requires: Sequence[str] = (),
    hooks: Hooks | None = None,
    retry_on: Sequence[Matcher] = (),
    no_retry_on: Sequence[Matcher] = (),
    chunk: None = None,
) -> _Decorator[P, R]: ...
@overload
def processor(
    target: JobType[P, R],
    /,
    *,
    chunk: Chunk,
    concurrency: int | None = None,
    executor: Executor | None = None,
    requires: Sequence[str] = (),
    hooks: Hooks | None = None,
    retry_on: Sequence[Matcher] = (),
    no_retry_on: Sequence[Matcher] = (),
) -> _ChunkDecorator[P, R]: ...
@overload
def processor(
    target: Queue,
    /,
    *,
    concurrency: int | None = None,
    executor: Executor | None = None,
    requires: Sequence[str] = (),
    hooks: Hooks | None = None,
    retry_on: Sequence[Matcher] = (),
    no_retry_on: Sequence[Matcher] = (),
) -> _Decorator[JsonValue, JsonValue]: ...
def processor(
    target: JobType[P, R] | Queue,
    /,
    *,
    concurrency: int | None = None,
    executor: Executor | None = None,
    requires: Sequence[str] = (),
    hooks: Hooks | None = None,
    retry_on: Sequence[Matcher] = (),
    no_retry_on: Sequence[Matcher] = (),
    chunk: Chunk | None = None,
) -> _Decorator[P, R] | _ChunkDecorator[P, R] | _Decorator[JsonValue, JsonValue]:
    """Make the decorated function the handler of a job, or of every other job of a queue.

    `concurrency` limits this job inside its queue and never holds up the others; `requires` names environment variables without which
    a worker does not serve it; `hooks` hear what becomes of its jobs. `retry_on` and `no_retry_on` list exception classes, their names, or
    functions that are asked, for what the options of the job do not decide. With `chunk` the handler takes many jobs in one call: a list
    of payloads and a `ChunkContext`, and returns a list with a result, or an exception, for each.

    Raises OptionError, or DeclarationError for a handler whose annotations contradict the declared types.
    """
    rules = make_rules(retry_on, no_retry_on)
    if isinstance(target, Queue) and chunk is not None:
        raise DeclarationError(target.source, f"chunk= takes a job, not the whole of queue {target.name!r}")
    if isinstance(target, Queue):
        return _Decorator[JsonValue, JsonValue](
            target, None, concurrency, executor, tuple(requires), hooks, rules
        )
    if not isinstance(target, JobType):  # pyright: ignore[reportUnnecessaryIsInstance] - `@processor` without a job is a mistake of beginners
        source = _source(target) if callable(target) else repr(target)
        raise DeclarationError(
            source, "@processor needs the job or the queue that this handles: @processor(SEND_EMAIL)"
        )
    job = cast("JobType[object, object]", target)
    if chunk is not None:
        return _ChunkDecorator[P, R](
            job.queue, job, concurrency, executor, tuple(requires), hooks, rules, chunk
        )
    return _Decorator[P, R](job.queue, job, concurrency, executor, tuple(requires), hooks, rules)


class _Marker:
    """Notes on a function what the decorator was told."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        queue: Queue,
        job: JobType[object, object] | None,
        concurrency: int | None,
        executor: Executor | None,
        requires: tuple[str, ...],
        hooks: Hooks | None,
        rules: Rules,
        chunk: Chunk | None = None,
    ) -> None:
        self._made = (queue, job, concurrency, executor, requires, hooks, rules, chunk)

    def _mark(self, handler: Callable[..., object]) -> None:
        queue, job, concurrency, executor, requires, hooks, rules, chunk = self._made
        spec = ProcessorSpec(
            queue,
            job,
            handler,
            inspect.iscoroutinefunction(handler),
            executor,
            concurrency,
            requires,
            _source(handler),
            hooks,
            rules,
            chunk,
        )
        _check(spec)
        marks = cast("list[ProcessorSpec]", handler.__dict__.setdefault(_MARK, []))
        marks.append(spec)


class _Decorator(_Marker, typing.Generic[P, R]):
    @overload
    def __call__(
        self, handler: Callable[[P, JobContext], Awaitable[R]], /
    ) -> Callable[[P, JobContext], Awaitable[R]]: ...
    @overload
    def __call__(self, handler: Callable[[P, JobContext], R], /) -> Callable[[P, JobContext], R]: ...
    def __call__(
        self, handler: Callable[[P, JobContext], Awaitable[R]] | Callable[[P, JobContext], R], /
    ) -> Callable[[P, JobContext], Awaitable[R]] | Callable[[P, JobContext], R]:
        self._mark(handler)
        return handler


class _ChunkDecorator(_Marker, typing.Generic[P, R]):
    @overload
    def __call__(self, handler: AsyncChunkHandler[P, R], /) -> AsyncChunkHandler[P, R]: ...
    @overload
    def __call__(self, handler: ChunkHandler[P, R], /) -> ChunkHandler[P, R]: ...
    def __call__(
        self, handler: AsyncChunkHandler[P, R] | ChunkHandler[P, R], /
    ) -> AsyncChunkHandler[P, R] | ChunkHandler[P, R]:
        self._mark(handler)
        return handler


def specs_of(module: ModuleType) -> list[ProcessorSpec]:
    """Return the processors that a module defines, in the order they stand there."""
    found: list[ProcessorSpec] = []
    for value in vars(module).values():
        if getattr(value, "__module__", None) == module.__name__:
            found += marks_of(value)
    return found


def marks_of(handler: object) -> list[ProcessorSpec]:
    """Return what the decorator noted on a function."""
    return cast("list[ProcessorSpec]", getattr(handler, _MARK, []))


def _source(handler: Callable[..., object]) -> str:
    code = getattr(handler, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(handler)


def _check(spec: ProcessorSpec) -> None:
    name = f"{spec.queue.name}/{spec.job.name if spec.job else '*'}"
    wrong = _wrong_use(spec, name) or _wrong_chunk(spec, name) or _wrong_form(spec, name)
    if not wrong and spec.job is not None:
        wrong = _wrong_types(spec.handler, spec.job, name, in_chunks=spec.chunk is not None)
    if wrong:
        raise DeclarationError(spec.source, wrong)


def _wrong_use(spec: ProcessorSpec, name: str) -> str:
    """Say what is wrong with the arguments of the decorator."""
    limit, most = spec.concurrency, spec.queue.concurrency
    if limit is not None and (isinstance(limit, bool) or not 1 <= limit <= most):
        return f"concurrency of {name} must be 1 to {most}, that of its queue, not {limit!r}"
    if spec.executor is not None and spec.executor not in get_args(Executor):
        return f"executor of {name} must be one of {', '.join(get_args(Executor))}, not {spec.executor!r}"
    if not inspect.isfunction(spec.handler):
        return f"the handler of {name} must be a function, not {spec.handler!r}"
    if spec.executor == "async" and not spec.is_async:
        return f"the handler of {name} is no `async def`, so it cannot run on the loop; use executor='thread'"
    if spec.executor == "thread" and spec.is_async:
        return (
            f"the handler of {name} is an `async def`, so it cannot run in a thread; "
            "use executor='async' or 'process'"
        )
    return ""


def _wrong_chunk(spec: ProcessorSpec, name: str) -> str:
    """Say why a handler cannot take chunks as it is to."""
    chunk, most = spec.chunk, spec.queue.concurrency
    if chunk is None:
        return ""
    if not isinstance(chunk, Chunk):  # pyright: ignore[reportUnnecessaryIsInstance] - who does not check types may give 100
        return f"chunk of {name} must be Chunk(size=, wait=, by_key=), not {chunk!r}"
    if spec.executor == "process":
        return f"the handler of {name} takes chunks, which run on the loop or in threads, so executor cannot be 'process'"
    if chunk.by_key and not spec.queue.keyed:
        return f"{name} cannot have chunks by key: its queue is declared without `key`"
    if chunk.size * most > MAX_CONCURRENCY:
        return (
            f"chunks of {chunk.size} jobs, {most} at a time (the concurrency of the queue of {name}), would be "
            f"{chunk.size * most} jobs in one process; at most {MAX_CONCURRENCY} are allowed"
        )
    return ""


def _wrong_form(spec: ProcessorSpec, name: str) -> str:
    """Say what is wrong with the parameters of a handler: it is called with payload and context, nothing else."""
    signature = inspect.signature(spec.handler)
    swapped = next(iter(signature.parameters), "") == "ctx"
    try:
        signature.bind(None, None)
    except TypeError:
        swapped = True
    if swapped:
        return f"the handler of {name} must take ({'payload' if spec.chunk is None else 'payloads'}, ctx)"
    return ""


def _wrong_types(handler: Handler, job: JobType[object, object], name: str, *, in_chunks: bool) -> str:
    """Say which annotation contradicts the declared types."""
    first = next(iter(inspect.signature(handler).parameters))
    takes, gives = _annotation(handler, first), _annotation(handler, "return")
    payload, result = job.payload_type, job.result_type
    if in_chunks:
        gives = _without_errors(gives)
    if _contradict(takes, _listed(payload) if in_chunks else payload):
        declared = _shown(payload) + (
            f", of which it takes a {_shown(_listed(payload))}" if in_chunks else ""
        )
        return f"the handler of {name} takes {_shown(takes)}, but the job is declared with payload {declared}"
    if result is not None and _contradict(gives, _listed(result) if in_chunks else result):
        declared = _shown(result) + (
            f", of which it returns a {_shown(_listed(result))}" if in_chunks else ""
        )
        return (
            f"the handler of {name} returns {_shown(gives)}, but the job is declared with result {declared}"
        )
    return ""


def _listed(kind: object) -> object:
    return GenericAlias(list, (kind,))


def _without_errors(kind: object) -> object:
    """Leave out of what a list may hold the exceptions, where results of one type remain."""
    parts = get_args(kind)
    if len(parts) != 1 or get_origin(parts[0]) not in {UnionType, Union}:
        return kind
    results: list[object] = [
        each
        for each in cast("tuple[object, ...]", get_args(parts[0]))
        if not (isinstance(each, type) and issubclass(each, BaseException))
    ]
    return _listed(results[0]) if len(results) == 1 else kind


def _annotation(handler: Handler, name: str) -> object:
    """Return what a parameter is annotated with, None where that cannot be told."""
    try:
        # One by one: another annotation may use names that exist for the type checker alone.
        hints = {name: handler.__annotations__[name]}
        return typing.get_type_hints(SimpleNamespace(__annotations__=hints), handler.__globals__)[name]
    except (KeyError, NameError, TypeError, AttributeError):
        return None


def _contradict(one: object, other: object) -> bool:
    """Tell whether nothing can be of both types; what is less plain than that is for the type checker."""
    if one is None or Any in (one, other) or one == other:
        return False
    plain, other_plain = get_origin(one) or one, get_origin(other) or other
    if not isinstance(plain, type) or not isinstance(other_plain, type) or UnionType in (plain, other_plain):
        return False
    try:
        related = issubclass(plain, other_plain) or issubclass(other_plain, plain)
    except TypeError:
        return False
    if not related:
        return {plain, other_plain} != {int, float}
    parts, other_parts = get_args(one), get_args(other)
    return len(parts) == len(other_parts) and any(map(_contradict, parts, other_parts))


def _shown(kind: object) -> str:
    return kind.__qualname__ if isinstance(kind, type) else str(kind)


__all__ = ["Handler", "ProcessorSpec", "marks_of", "processor", "specs_of"]
