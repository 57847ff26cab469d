"""What a tick of a schedule does: which of the fires that are due are sent, and when the next one is."""

from __future__ import annotations

import msgspec

from jobs_core.schedules.definition import GRACE_MS, ScheduleDefinition
from jobs_core.schedules.recurrence import AfterCompletion, Every, next_fire, spread

__all__ = ["Plan", "first_fire", "make_plan", "upcoming"]

_LOOKED_AT = 1000


class Plan(msgspec.Struct, frozen=True):
    """The fires to send (Unix ms, in order), the one after them, and how those that are not sent are counted.

    `late` of the sent ones come later than the grace. `skipped` fell to the misfire policy, `missed` are older than
    the catch-up window. Without a `next_ms` none is to come (of one that counts from the end of a run: before that).
    """

    sent: tuple[int, ...]
    next_ms: int | None
    late: int = 0
    skipped: int = 0
    missed: int = 0


def first_fire(definition: ScheduleDefinition, now_ms: int) -> int | None:
    """Return the first fire from now (or the start) on, or None where there is none before the end."""
    start = definition.start_ms
    after = now_ms - 1 if start is None else max(start, now_ms) - 1
    return _bounded(definition, next_fire(definition.recurrence, after))


def upcoming(definition: ScheduleDefinition, next_ms: int | None, count: int) -> list[int]:
    """Return the next fires, at most `count`, without the limit of how many."""
    found: list[int] = []
    while next_ms is not None and len(found) < count:
        found.append(next_ms)
        next_ms = _bounded(definition, next_fire(definition.recurrence, next_ms))
    return found


def make_plan(definition: ScheduleDefinition, next_ms: int, fired: int, now_ms: int) -> Plan:
    """Decide on all fires from `next_ms` to now, at most 1000 a call; `fired` were sent before.

    What is at most the grace late is sent, whatever the policy. Of older ones within the catch-up window, `run_once`
    sends the latest unless one is on time, `run_all` the latest `misfire_max`, `skip` none. A limit leaves fires out;
    whether it is reached is seen when they are sent, since a run that overlaps counts as none.
    """
    if isinstance(definition.recurrence, AfterCompletion):
        return _once(definition, next_ms, now_ms)
    missed, at = _forward(definition, next_ms, now_ms)
    due: list[int] = []
    following: int | None = at
    most = _LOOKED_AT + definition.misfire_max
    while following is not None and len(due) < most and _sent_at(definition, following) <= now_ms:
        due.append(following)
        following = _bounded(definition, next_fire(definition.recurrence, following))
    to_come = following is not None and _sent_at(definition, following) <= now_ms
    if to_come and definition.misfire_max:
        # Whether the latest of these are sent is known when those after them have been looked at too.
        following, due = due[-definition.misfire_max], due[: -definition.misfire_max]
    on_time = [each for each in due if now_ms - _sent_at(definition, each) <= GRACE_MS]
    old = due[: len(due) - len(on_time)]
    within = [each for each in old if now_ms - each <= definition.catch_up_ms]
    made_up: list[int] = []
    match definition.misfire:
        case "run_once" if not on_time and not to_come:
            made_up = within[-1:]
        case "run_all" if definition.misfire_max and not to_come:
            made_up = within[-definition.misfire_max :]
        case _:
            pass
    sent = made_up + on_time
    if definition.limit is not None:
        sent = sent[: max(definition.limit - fired, 0)]
    late = sum(1 for each in sent if each not in on_time)
    return Plan(
        sent=tuple(sent),
        next_ms=following,
        late=late,
        skipped=len(within) - len(made_up),
        missed=missed + len(old) - len(within),
    )


def _once(definition: ScheduleDefinition, fire_ms: int, now_ms: int) -> Plan:
    """Send the one fire that there is, however late: nothing else would go on from it."""
    at = _bounded(definition, fire_ms)
    if at is None:
        return Plan((), None)
    late = now_ms - _sent_at(definition, at)
    return Plan((), at) if late < 0 else Plan((at,), None, late=int(late > GRACE_MS))


def _forward(definition: ScheduleDefinition, next_ms: int, now_ms: int) -> tuple[int, int]:
    """Pass over what is older than the catch-up window without looking at each; returns how many, and where to begin."""
    recurrence = definition.recurrence
    oldest = now_ms - max(definition.catch_up_ms, GRACE_MS)
    if not isinstance(recurrence, Every) or next_ms >= oldest:
        return 0, next_ms
    count = (oldest - next_ms) // recurrence.interval_ms
    return count, next_ms + count * recurrence.interval_ms


def _sent_at(definition: ScheduleDefinition, fire_ms: int) -> int:
    return fire_ms + spread(definition.id, fire_ms, definition.jitter_ms)


def _bounded(definition: ScheduleDefinition, fire_ms: int | None) -> int | None:
    end = definition.end_ms
    return None if fire_ms is None or (end is not None and fire_ms > end) else fire_ms
