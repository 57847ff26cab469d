"""The `@processor` decorator: marks a function as the handler of a job or of a whole queue, and checks its annotations."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_origin, overload

import msgspec

from jobs_core.errors import DeclarationError
from jobs_core.payloads import JsonValue
from jobs_core.queue import Executor, JobType, Queue
from jobs_worker.hooks import Hooks
from jobs_worker.judging import Matcher, Rules, make_rules

if TYPE_CHECKING:
    from types import ModuleType

    from jobs_worker.context import JobContext

P = TypeVar("P")
R = TypeVar("R")

Handler = Callable[[object, "JobContext"], object]
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
) -> _Decorator[P, R]: ...
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
) -> _Decorator[P, R] | _Decorator[JsonValue, JsonValue]:
    """Make the decorated function the handler of a job, or of every other job of a queue.

    `concurrency` limits this job inside its queue and never holds up the others; `requires` names environment variables without which
    a worker does not serve it; `hooks` hear what becomes of its jobs. `retry_on` and `no_retry_on` list exception classes, their names, or
    functions that are asked, for what the options of the job do not decide.

    Raises OptionError, or DeclarationError for a handler whose annotations contradict the declared types.
    """
    rules = make_rules(retry_on, no_retry_on)
    if isinstance(target, Queue):
        return _Decorator[JsonValue, JsonValue](
            target, None, concurrency, executor, tuple(requires), hooks, rules
        )
    job = cast("JobType[object, object]", target)
    return _Decorator[P, R](job.queue, job, concurrency, executor, tuple(requires), hooks, rules)


class _Decorator(typing.Generic[P, R]):
    def __init__(  # noqa: PLR0917 - made in one place
        self,
        queue: Queue,
        job: JobType[object, object] | None,
        concurrency: int | None,
        executor: Executor | None,
        requires: tuple[str, ...],
        hooks: Hooks | None,
        rules: Rules,
    ) -> None:
        self._made = (queue, job, concurrency, executor, requires, hooks, rules)

    @overload
    def __call__(
        self, handler: Callable[[P, JobContext], Awaitable[R]], /
    ) -> Callable[[P, JobContext], Awaitable[R]]: ...
    @overload
    def __call__(self, handler: Callable[[P, JobContext], R], /) -> Callable[[P, JobContext], R]: ...
    def __call__(
        self, handler: Callable[[P, JobContext], Awaitable[R]] | Callable[[P, JobContext], R], /
    ) -> Callable[[P, JobContext], Awaitable[R]] | Callable[[P, JobContext], R]:
        queue, job, concurrency, executor, requires, hooks, rules = self._made
        spec = ProcessorSpec(
            queue,
            job,
            cast("Handler", handler),
            inspect.iscoroutinefunction(handler),
            executor,
            concurrency,
            requires,
            _source(handler),
            hooks,
            rules,
        )
        _check(spec)
        marks = cast("list[ProcessorSpec]", handler.__dict__.setdefault(_MARK, []))
        marks.append(spec)
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
    wrong = _wrong_use(spec, name) or _wrong_form(spec.handler, name)
    if not wrong and spec.job is not None:
        wrong = _wrong_types(spec.handler, spec.job, name)
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


def _wrong_form(handler: Handler, name: str) -> str:
    """Say what is wrong with the parameters of a handler: it is called with payload and context, nothing else."""
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        return f"the handler of {name} must take (payload, ctx)"
    return ""


def _wrong_types(handler: Handler, job: JobType[object, object], name: str) -> str:
    """Say which annotation contradicts the declared types."""
    first = next(iter(inspect.signature(handler).parameters))
    takes = _annotation(handler, first)
    if _contradict(takes, job.payload_type):
        declared = _shown(job.payload_type)
        return f"the handler of {name} takes {_shown(takes)}, but the job is declared with payload {declared}"
    gives = _annotation(handler, "return")
    if job.result_type is not None and _contradict(gives, job.result_type):
        declared = _shown(job.result_type)
        return (
            f"the handler of {name} returns {_shown(gives)}, but the job is declared with result {declared}"
        )
    return ""


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
