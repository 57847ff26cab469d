"""Whether a failed attempt is followed by another, and when: the one place that knows, in the worker as in executor processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from jobs_core.backoff import Custom
from jobs_core.durations import to_ms
from jobs_core.errors import JobsError
from jobs_core.policies import error_names
from jobs_worker import logs
from jobs_worker.outcomes import Fail, Retry

if TYPE_CHECKING:
    from jobs_core.options import Policy
    from jobs_worker.backoffs import NamedBackoff

Predicate: TypeAlias = Callable[[BaseException], bool]
Matcher: TypeAlias = type[BaseException] | str | Predicate
_log = logs.get("jobs.worker")


class BadPayload(Exception):
    """The payload does not fit the type that its handler takes, and never will."""


class Rules(msgspec.Struct, frozen=True):
    """What a processor says of exceptions: names of classes, and functions that are asked first."""

    retry_on: tuple[str, ...] = ()
    no_retry_on: tuple[str, ...] = ()
    retry_if: tuple[Predicate, ...] = ()
    no_retry_if: tuple[Predicate, ...] = ()


class Judgement(msgspec.Struct, frozen=True):
    """`final` allows no retry, and `note` says why where it is not plain; `after_ms` overrides the backoff."""

    final: bool = False
    after_ms: int | None = None
    note: str = ""


def make_rules(retry_on: Sequence[Matcher], no_retry_on: Sequence[Matcher]) -> Rules:
    """Sort what a processor says of exceptions. Raises OptionError."""
    yes, no = _sorted("retry_on", retry_on), _sorted("no_retry_on", no_retry_on)
    return Rules(yes[0], no[0], yes[1], no[1])


def _sorted(option: str, matchers: Sequence[Matcher]) -> tuple[tuple[str, ...], tuple[Predicate, ...]]:
    names = [each for each in matchers if isinstance(each, (str, type)) or not callable(each)]
    predicates = [each for each in matchers if not isinstance(each, (str, type)) and callable(each)]
    return error_names(option, names), tuple(predicates)


def judge(  # noqa: PLR0917 - once for each failure
    error: BaseException,
    policy: Policy,
    rules: Rules,
    named: NamedBackoff | None,
    attempt: int,
    payload: object,
) -> Judgement:
    """Judge the exception that ended an attempt; `named` is the function of a custom backoff, if there is one here."""
    match error:
        case Fail() | BadPayload():
            return Judgement(final=True)
        case Retry():
            return Judgement(after_ms=error.after_ms)
        case _ if not may_retry(error, policy, rules):
            return Judgement(final=True)
        case _ if attempt >= policy.attempts or not isinstance(policy.backoff, Custom):
            return Judgement()
        case _ if named is None:
            return Judgement(final=True, note=f"this worker has no @backoff({policy.backoff.name!r})")
        case _:
            return _ask(named, attempt, error, payload)


def may_retry(error: BaseException, policy: Policy, rules: Rules) -> bool:
    """Tell whether an exception allows a retry: the job's options say it, else its processor's, else it does."""
    said = _nearest(error, policy.retry_on, policy.no_retry_on)
    if said is None and any(_holds(each, error) for each in rules.retry_if):
        return True
    if said is None and any(_holds(each, error) for each in rules.no_retry_if):
        return False
    if said is None:
        said = _nearest(error, rules.retry_on, rules.no_retry_on)
    return said is not False


def _nearest(error: BaseException, yes: Sequence[str], no: Sequence[str]) -> bool | None:
    """Tell what is said of the nearest class that an exception is of; None: nothing."""
    for kind in type(error).__mro__ if yes or no else ():
        names = {kind.__name__, f"{kind.__module__}.{kind.__qualname__}"}
        if not names.isdisjoint(no):
            return False
        if not names.isdisjoint(yes):
            return True
    return None


def _holds(predicate: Predicate, error: BaseException) -> bool:
    try:
        return bool(predicate(error))
    except Exception:  # noqa: BLE001 - logged with its traceback; a predicate that fails says nothing
        _log.exception("predicate_failed", predicate=getattr(predicate, "__qualname__", repr(predicate)))
        return False


def _ask(named: NamedBackoff, attempt: int, error: BaseException, payload: object) -> Judgement:
    try:
        arguments = (attempt, error, payload) if named.takes_payload else (attempt, error)
        return Judgement(after_ms=to_ms(named.function(*arguments), name="backoff"))
    except JobsError as wrong:
        return Judgement(final=True, note=f"@backoff({named.name!r}): {wrong}")
    except Exception as wrong:  # noqa: BLE001 - the boundary around other people's code
        _log.exception("backoff_failed", backoff=named.name)
        return Judgement(final=True, note=f"@backoff({named.name!r}) raised {type(wrong).__name__}: {wrong}")


__all__ = ["BadPayload", "Judgement", "Matcher", "Predicate", "Rules", "judge", "make_rules", "may_retry"]
