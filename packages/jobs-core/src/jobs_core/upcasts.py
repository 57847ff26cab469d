"""Payloads of earlier versions, brought to the version that a worker handles.

    @upcast(SEND_V1, SEND)
    def _with_language(old: SendV1) -> Send:
        return Send(to=old.to, language="en")

They stand beside the queue, in its `queue.py`, and are pure functions: what a worker that knows version 2 makes of
a job of version 1 depends on its payload alone.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, TypeVar, cast

from jobs_core.errors import DeclarationError, PayloadError
from jobs_core.queue import JobType, Upcast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["chain", "upcast", "upcasted"]

P = TypeVar("P")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")


def upcast(before: JobType[P, R], after: JobType[Q, S], /) -> Callable[[Callable[[P], Q]], Callable[[P], Q]]:
    """Make the decorated function the way from payloads of one version of a job to those of a later one.

    Raises DeclarationError for jobs of two names or queues, for a way that does not lead upwards, and for a second
    one from the same version.
    """

    def declare(convert: Callable[[P], Q]) -> Callable[[P], Q]:
        code = getattr(convert, "__code__", None)
        source = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(convert)
        if before.queue != after.queue or before.name != after.name or before.version >= after.version:
            raise DeclarationError(
                source,
                f"an upcaster leads from one version of a job to a later one of the same job and queue, not from "
                f"{before.queue.name}/{before.wire_name} to {after.queue.name}/{after.wire_name}",
            )
        step = Upcast(
            cast("JobType[object, object]", before),
            cast("JobType[object, object]", after),
            cast("Callable[[object], object]", convert),
            source,
        )
        before.queue.add_upcast(step)
        return convert

    return declare


def chain(steps: Mapping[str, Upcast], wire_name: str, served: Container[str]) -> tuple[Upcast, ...]:
    """Return the steps from a `name@version` to the first one that is served; none where no way leads there."""
    found: list[Upcast] = []
    # Each step leads upwards, so this ends.
    while (step := steps.get(wire_name)) is not None:
        found.append(step)
        wire_name = step.after.wire_name
        if wire_name in served:
            return tuple(found)
    return ()


def upcasted(steps: Sequence[Upcast], payload: object) -> object:
    """Take a payload through the steps. Raises PayloadError for a step that fails, or leads to what does not fit."""
    for step in steps:
        after = step.after
        try:
            payload = step.convert(payload)
        except Exception as error:
            reason = f"its upcaster in {step.source} failed: {type(error).__name__}: {error}"
            raise PayloadError(after.queue.name, after.name, "$", reason) from error
        payload = after.decode(after.encode(payload))
    return payload
