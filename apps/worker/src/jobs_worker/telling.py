"""What a worker tells of its settlements besides them: histograms, errors by type, summary rows and events.

All of a call travels with it, as groups behind the settlements, so it costs the server a command of each kind and not one a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.fingerprints import fingerprint
from jobs_core.measures import measure_items
from jobs_core.records import failure_text
from jobs_core.scripts import Group
from jobs_core.told import DATA_CAP, OUTCOMES, Batch, More, Told, pack_batches, pack_more, pack_told
from jobs_core.wire import encode_json_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobs_core.connection.protocol import Encodable
    from jobs_core.wire import ErrorInfo, Progress
    from jobs_worker.delivery import Delivery
    from jobs_worker.settlement import Settlement

KINDS = {
    "complete": "completed",
    "fail": "failed",
    "retry": "retrying",
    "cancel": "cancelled",
    "release": "released",
    "unroutable": "unroutable",
    "snooze": "snoozed",
    "limit": "limited",
    "wait": "blocked",
}
_ATTEMPTS = frozenset({"completed", "failed", "retrying"})
_TEXT_CAP = 1000
_TYPE_CAP = 64


class Teller:
    """Tells what one worker does. `off` names what is not to be told: metrics, events."""

    def __init__(self, worker: str, off: str = "") -> None:
        """Tell in the name of a worker."""
        self._worker = worker
        self._metrics = "metrics" not in off
        self._events = "events" not in off

    def groups(self, alike: Sequence[list[Settlement]]) -> list[Group]:
        """Return what travels behind settlements, which are given as they are sent: those with one key together."""
        batches = [_batch(members) for members in alike]
        made: list[Group] = []
        if self._metrics:
            made += _measured(batches)
        failed = [each for members in alike for each in members if each.error is not None]
        if failed:
            made += _counted(failed)
        ended = sum(len(each.ids) for each in batches if each.kind in OUTCOMES)
        if ended or self._events:
            more = b""
            if self._events and any(each[0].tells for each in alike):
                more = pack_more([_more(each) for members in alike for each in members])
            packed = pack_batches(self._worker, batches)
            made.append(Group("tell", "", [ended, packed, int(self._events), more]))
        return made

    def progress(self, reported: Iterable[tuple[Delivery, Progress]]) -> bytes:
        """Return what the events say of progress."""
        if not self._events:
            return b""
        return pack_told(
            [
                Told(
                    "progress",
                    delivery.id,
                    delivery.header.name,
                    delivery.attempt,
                    "",
                    encode_json_progress(progress),
                )
                for delivery, progress in reported
            ]
        )


def error_type(error: ErrorInfo) -> str:
    """Return what an error counts as; a handler's own `Fail` or `Retry` has no type of its own."""
    return error.type[:_TYPE_CAP] or "Fail"


def _batch(members: list[Settlement]) -> Batch:
    verb, name = members[0].key[:2]
    deliveries = [each.delivery for each in members]
    errors = None
    if verb != "complete" and any(each.error is not None for each in members):
        errors = ["" if each.error is None else fingerprint(each.error) for each in members]
    return Batch(
        KINDS[verb],
        name,
        [each.id for each in deliveries],
        [each.entry.attempts + 1 for each in deliveries],
        [each.header.stamp_us for each in deliveries],
        [each.fence for each in deliveries],
        [each.run_us for each in members],
        [each.wait_us for each in members],
        errors,
    )


def _measured(batches: Sequence[Batch]) -> list[Group]:
    durations: dict[str, tuple[list[int], list[int]]] = {}
    for each in batches:
        if each.kind in _ATTEMPTS:
            runs, waits = durations.get(each.name, ([], []))
            durations[each.name] = (runs + each.runs, waits + each.waits)
    return [Group("measure", name, measure_items(*found)) for name, found in durations.items()]


def _counted(failed: list[Settlement]) -> list[Group]:
    counts: dict[str, dict[str, int]] = {}
    for each in failed:
        if each.error is not None:
            kinds = counts.setdefault(each.key[1], {})
            kind = error_type(each.error)
            kinds[kind] = kinds.get(kind, 0) + 1
    groups: list[Group] = []
    for name, kinds in counts.items():
        items: list[Encodable] = []
        for kind, count in kinds.items():
            items += (kind, count, "", "")
        groups.append(Group("error", name, items))
    return groups


def _more(settlement: Settlement) -> More | None:
    data, error = settlement.result, settlement.error
    # A result that is kept and not told, for its size or its codec, is to be fetched.
    left_out = (
        settlement.verb == "complete" and bool(settlement.info) and (data is None or len(data) > DATA_CAP)
    )
    if left_out:
        data = None
    if error is None and data is None and not left_out:
        return None
    return More((failure_text(error) or "")[:_TEXT_CAP] if error is not None else "", data, left_out)
