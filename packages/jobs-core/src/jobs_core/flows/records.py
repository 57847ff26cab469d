"""A flow as it is told to people and programs: the same keys in Python, `--json` and REST."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from jobs_core.flows.ends import Ended, end_reason, read_ended
from jobs_core.flows.graph import decode_node
from jobs_core.flows.modes import STATES, Mode, Sign
from jobs_core.options import MetaValue
from jobs_core.records import job_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.scripts.flows import FlowJob, FlowTold

__all__ = [
    "MODES",
    "FlowInfo",
    "FlowJobRecord",
    "FlowKind",
    "FlowRecord",
    "FlowState",
    "ShownKind",
    "Waited",
    "decode_info",
    "encode_info",
    "flow_record",
    "job_record",
    "with_labels",
]

MOST_AFTER = 200
FlowKind = Literal["workflow", "flow", "batch", "map_reduce"]
ShownKind = Literal["workflow", "flow", "batch", "map_reduce", "chain", "job"]
FlowState = Literal["staging", "open", "running", "completed", "failed", "cancelled"]


class FlowInfo(msgspec.Struct, array_like=True, frozen=True):
    """What a flow says of itself: kept by the server, read by nobody there."""

    kind: FlowKind
    name: str
    metadata: dict[str, MetaValue] = {}
    tags: tuple[str, ...] = ()


class FlowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A flow: how many jobs it has and how they ended. Times are UTC, None is not yet.

    `queue` is the queue that keeps it. `state` is `staging` or `open` while it is filled, then `running` until all its jobs ended:
    `completed`, `failed` where one did not complete that it needed, or `cancelled`. Of the `kind` `chain` is a job with those before
    and behind it, of `job` one with those that it waits for, and those that wait for it: these are no flows of their own.
    """

    id: str
    queue: str
    name: str
    kind: ShownKind
    state: FlowState
    total: int
    pending: int
    completed: int
    failed: int
    cancelled: int
    expired: int
    removed: int
    skipped: int
    missing: int
    created_at: datetime
    ended_at: datetime | None
    metadata: dict[str, MetaValue]
    tags: tuple[str, ...]


class Waited(msgspec.Struct, frozen=True):
    """That a job of a flow waits for another: which (its number and label), and on what condition.

    `child` says that the job added the other one while it ran, as its child.
    """

    number: int
    label: str
    mode: str
    child: bool = False


class FlowJobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One job of a flow. `state` is that of the job, or how it ended as the flow knows it: `skipped` and `missing` besides.

    It waits for `after_total` jobs, of which `after` names at most 200: those that are told along with it before others.
    """

    number: int
    label: str
    queue: str
    id: str
    name: str
    state: str
    after: tuple[Waited, ...] = ()
    after_total: int = 0
    error: str | None = None


encode_info = msgspec.msgpack.Encoder().encode
decode_info = msgspec.msgpack.Decoder(FlowInfo).decode
MODES = {
    Mode.FAIL_PARENT: "fail_parent",
    Mode.IGNORE: "ignore",
    Mode.CONTINUE: "continue",
    Mode.REMOVE: "remove",
    Mode.AFTER_SUCCESS: "on_success",
    Mode.AFTER_FAILURE: "on_failure",
    Mode.AFTER_ALL: "finally",
    Mode.COUNTED: "counted",
    Mode.TOLERATED: "tolerated",
    Mode.TOP: "top",
}


def flow_record(queue: str, flow_id: str, told: FlowTold) -> FlowRecord:
    """Return what is known of a flow of its own, as a record."""
    info = decode_info(told.info)
    counts = {STATES[Sign(sign)]: count for sign, count in told.counts.items()}
    return FlowRecord(
        id=flow_id,
        queue=queue,
        name=info.name,
        kind=info.kind,
        state=told.state,  # pyright: ignore[reportArgumentType] - the scripts write no other
        total=told.total,
        pending=told.total - told.resolved,
        created_at=_time(told.created_ms),
        ended_at=_time(told.ended_ms) if told.ended_ms else None,
        metadata=info.metadata,
        tags=info.tags,
        **counts,
    )


def job_record(number: int, job: FlowJob, labels: dict[int, str], near: range) -> FlowJobRecord | None:
    """Return one job of a flow as far as the flow knows it; None of one that it does not list and that ended without a word.

    `labels` are those of the flow's jobs so far; the job's own is added. `near` are the numbers of those that are told along with it.
    """
    node = decode_node(job.node) if job.node else None
    sign, ended = read_ended(job.told) if job.told else (Sign.COMPLETED, None)
    if node is None and ended is None:
        return None
    queue, job_id, name = (node.queue, node.id, node.name) if node else _named(ended)
    label = labels[number] = node.label if node else job_id
    waits = node.after if node else ()
    after = tuple(Waited(at, labels.get(at, str(at)), MODES[Mode(mode)]) for at, mode in _some(waits, near))
    return FlowJobRecord(
        number=number,
        label=label,
        queue=queue,
        id=job_id,
        name=job_name(name),
        state=STATES[sign] if job.ended else "",
        after=after,
        after_total=len(waits),
        error=_error(sign, ended) if job.ended and sign is not Sign.COMPLETED else None,
    )


def with_labels(record: FlowJobRecord, labels: dict[int, str]) -> FlowJobRecord:
    """Return a record that names the jobs it waits for, those that stand behind it in the flow too."""
    after = tuple(replace(each, label=labels.get(each.number, each.label)) for each in record.after)
    return replace(record, after=after) if after else record


def _some(waits: Sequence[tuple[int, str]], near: range) -> Sequence[tuple[int, str]]:
    """Return what is told of the jobs that one waits for, which may be ten thousand: those `near` it first."""
    if len(waits) <= MOST_AFTER:
        return waits
    places = sorted(range(len(waits)), key=lambda place: waits[place][0] not in near)
    return [waits[place] for place in sorted(places[:MOST_AFTER])]


def _named(ended: Ended | None) -> tuple[str, str, str]:
    return ("", "", "") if ended is None else (ended.queue, ended.id, ended.name)


def _error(sign: Sign, ended: Ended | None) -> str:
    if ended is None:
        return end_reason(sign)
    return f"{ended.error_type}: {ended.error}" if ended.error_type else ended.error


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
