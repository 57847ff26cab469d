"""What a worker tells of its settlements besides them: histograms, errors by type, summary rows and events.

All of a call travels with it, as groups behind the settlements, so it costs the server a command of each kind and not one a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.fingerprints import fingerprint
from jobs_core.measures import measure_items
from jobs_core.records import failure_text
from jobs_core.scripts import Group
from jobs_core.told import DATA_CAP, SummaryRow, Told, pack_rows, pack_told
from jobs_core.wire import encode_json_progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs_core.connection.protocol import Encodable
    from jobs_core.wire import ErrorInfo, Progress
    from jobs_worker.delivery import Delivery, Settlement

KINDS = {
    "complete": "completed",
    "fail": "failed",
    "retry": "retrying",
    "cancel": "cancelled",
    "release": "released",
    "unroutable": "unroutable",
    "snooze": "snoozed",
    "limit": "limited",
}
_OUTCOMES = {"complete": "completed", "fail": "failed", "cancel": "cancelled"}
_ATTEMPTS = frozenset({"complete", "fail", "retry"})
_TEXT_CAP = 1000
_TYPE_CAP = 64


class Teller:
    """Tells what one worker does. `off` names what is not to be told: metrics, events."""

    def __init__(self, worker: str, off: str = "") -> None:
        """Tell in the name of a worker."""
        self._worker = worker
        self._metrics = "metrics" not in off
        self._events = "events" not in off

    def groups(self, settlements: list[Settlement]) -> list[Group]:
        """Return what travels behind settlements, which are given in the order in which they are sent."""
        made: list[Group] = []
        if self._metrics:
            made += _measured(settlements)
        errors = [each for each in settlements if each.error is not None]
        if errors:
            made += _counted(errors)
        rows: list[SummaryRow | None] = []
        events: list[Told | None] = []
        ended = 0
        for each in settlements:
            # This loop runs for every job: its two calls a job are those that nothing can be left out of.
            verb, delivery, error = each.key[0], each.delivery, each.error
            header, attempt = delivery.header, delivery.entry.attempts + 1
            row = None
            outcome = _OUTCOMES.get(verb)
            if outcome is not None:
                ended += 1
                started_ms = delivery.fence // 1000
                row = SummaryRow(
                    delivery.id,
                    header.name,
                    outcome,
                    header.stamp_us // 1000,
                    started_ms,
                    started_ms + each.run_us // 1000,
                    each.wait_us,
                    each.run_us,
                    attempt,
                    "" if error is None else fingerprint(error),
                )
            rows.append(row)
            if self._events:
                kind = KINDS.get(verb)
                if kind is None:
                    events.append(None)
                elif error is None and not each.info:
                    events.append(Told(kind, delivery.id, header.name, attempt))
                else:
                    events.append(_event(kind, each))
        if ended or events:
            packed = pack_told(events) if self._events else b""
            made.append(
                Group("tell", "", [ended, pack_rows(self._worker, rows) if ended else b"", packed, ""])
            )
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


def _measured(settlements: list[Settlement]) -> list[Group]:
    durations: dict[str, list[tuple[int, int]]] = {}
    for each in settlements:
        if each.key[0] in _ATTEMPTS:
            durations.setdefault(each.key[1], []).append((each.run_us, each.wait_us))
    return [Group("measure", name, measure_items(found)) for name, found in durations.items()]


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


def _event(kind: str, settlement: Settlement) -> Told:
    delivery, data = settlement.delivery, settlement.result
    # A result that is kept and not told, for its size or its codec, is to be fetched.
    left_out = kind == "completed" and bool(settlement.info) and (data is None or len(data) > DATA_CAP)
    if left_out:
        data = None
    text = (failure_text(settlement.error) or "")[:_TEXT_CAP] if settlement.error is not None else ""
    return Told(kind, delivery.id, delivery.header.name, delivery.attempt, text, data, left_out)
