"""The `@backoff` decorator: functions that say how long a failed job waits, by the name that its option `Custom(name)` has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TypeVar, cast

import msgspec

from jobs_core.backoff import Custom
from jobs_core.durations import Duration
from jobs_core.errors import DeclarationError

F = TypeVar("F", bound=Callable[..., Duration])
_MARK = "__jobs_backoff__"


class NamedBackoff(msgspec.Struct, frozen=True):
    """A function and the name it goes by; `module` is where a process finds it again."""

    name: str
    function: Callable[..., Duration]
    takes_payload: bool
    module: str


def backoff(name: str) -> Callable[[F], F]:
    """Make the decorated function the backoff `Custom(name)`.

    It is called with the number of the attempt that failed, its exception and, if it takes a third argument, the payload, and returns
    seconds or a timedelta. Raises OptionError for a wrong name, DeclarationError for a function that cannot be called so.
    """
    Custom(name)

    def mark(function: F) -> F:
        signature, takes_payload = inspect.signature(function), True
        try:
            signature.bind(1, None, None)
        except TypeError:
            takes_payload = False
            try:
                signature.bind(1, None)
            except TypeError:
                source = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
                message = f"the backoff {name!r} must take (attempt, error) or (attempt, error, payload)"
                raise DeclarationError(source, message) from None
        setattr(function, _MARK, NamedBackoff(name, function, takes_payload, function.__module__))
        return function

    return mark


def backoffs_of(module: ModuleType) -> list[NamedBackoff]:
    """Return the backoffs that a module defines."""
    found = [backoff_of(value) for value in vars(module).values()]
    return [each for each in found if each is not None and each.module == module.__name__]


def backoff_of(function: object) -> NamedBackoff | None:
    """Return what the decorator noted on a function."""
    return (
        cast("NamedBackoff | None", getattr(function, _MARK, None)) if inspect.isfunction(function) else None
    )


def by_name(backoffs: Iterable[NamedBackoff]) -> Mapping[str, NamedBackoff]:
    """Return backoffs by name. Raises DeclarationError for two of one name."""
    named: dict[str, NamedBackoff] = {}
    for each in backoffs:
        if named.setdefault(each.name, each).function is not each.function:
            raise DeclarationError(
                each.module, f"there is a backoff {each.name!r} already, in {named[each.name].module}"
            )
    return named


__all__ = ["NamedBackoff", "backoff", "backoff_of", "backoffs_of", "by_name"]
