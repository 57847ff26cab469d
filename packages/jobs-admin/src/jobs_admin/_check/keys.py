"""Every key that a queue may have. A key that is not here is a breach, so a new one is entered here first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FINAL", "HOMES", "KEYS", "SYSTEM_KEYS", "Key", "kind_of", "names"]

FINAL = ("completed", "failed", "cancelled", "expired")
HOMES = ("waiting", "delayed", "unroutable", "blocked", *FINAL)


@dataclass(frozen=True)
class Key:
    """A key of a queue, or with a colon at its end a family of keys (`active:OWNER`).

    `of` says what its fields or members are, or for a string what the part behind the colon is: ids of jobs
    (then every rule finds what it holds of the jobs under judgement) or something else. Of hashes by id whose
    `values` no rule needs only whether there is a field is read.
    """

    name: str
    kind: Literal["hash", "zset", "string", "stream", "list"]
    of: Literal["id", ""] = ""
    values: bool = False


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("rec", "hash", "id"),
        Key("big:", "string", "id"),
        *(Key(home, "zset", "id") for home in HOMES),
        Key("active:", "zset", "id"),
        Key("state", "hash", "id", values=True),
        Key("history", "hash", "id"),
        Key("progress", "hash", "id"),
        Key("checkpoint", "hash", "id"),
        Key("cancels", "hash", "id", values=True),
        Key("logs", "hash", "id", values=True),
        Key("log:", "stream", "id"),
        Key("result", "hash", "id"),
        Key("result.due", "zset", "id"),
        Key("tomb", "zset", "id"),
        Key("waiters", "hash", "id"),
        Key("expiring", "zset", "id"),
        Key("uniq", "hash"),
        Key("uniq.next", "hash"),
        Key("uniq.due", "zset"),
        Key("trash.rec", "hash", "id"),
        Key("trash.waiters", "hash"),
        Key("trash.logs", "hash", "id"),
        Key("owners", "zset"),
        Key("idle", "zset"),
        Key("unroutable.names", "hash"),
        Key("meta", "hash"),
        Key("sessions", "zset"),
        Key("k:", "zset"),
        Key("ring", "zset"),
        Key("kparked", "zset"),
        Key("kbucket", "zset"),
        Key("kactive", "hash"),
        Key("cfg", "hash"),
        Key("stats", "hash"),
        Key("out", "stream"),
        Key("in:", "zset"),
        Key("inlow", "hash"),
        Key("letters", "hash"),
        Key("letters.kept", "hash"),
        Key("errors", "hash"),
        Key("series:", "string"),
        Key("series.due", "zset"),
        Key("hist:", "string"),
        Key("hist.names", "zset"),
        Key("rows", "stream"),
        Key("events", "stream"),
        Key("sched", "zset"),
        Key("sched.rows", "hash"),
        Key("sched.state", "hash"),
        Key("sched.notes", "hash"),
        Key("sched.watch", "hash", "id"),
        Key("follows", "hash", "id"),
        Key("joins", "zset", "id"),
        Key("join:", "hash"),
        Key("join.done:", "string"),
        Key("join.results:", "hash"),
        Key("join.owned:", "list"),
        Key("flow:", "hash"),
        Key("flow.done:", "string"),
        Key("flow.results:", "hash"),
        Key("flow.nodes:", "hash"),
        Key("flow.staged:", "list"),
        Key("flow.chunks:", "hash"),
        Key("flows", "zset"),
        Key("flows.ended", "zset"),
        Key("flows.due", "zset"),
        Key("early", "zset", "id"),
        Key("attach", "list"),
        Key("trash.follows", "hash"),
        Key("trash.flows", "zset"),
        Key("trash.flows.ended", "zset"),
        Key("trash.joins", "zset"),
        Key("trash.early", "zset"),
    )
}
# What lies beside the queues, under PREFIX:{~}:.
SYSTEM_KEYS = {
    "queues": "hash",
    "workers": "hash",
    "audit": "stream",
    "scale": "hash",
    "bulks": "hash",
    "signed_out": "zset",
    "alerts": "hash",
    "alerts.live": "hash",
    "alerts.seen": "hash",
    "alerts.untold": "hash",
    "alerts.judged": "hash",
}


def kind_of(name: str) -> Key | None:
    """Return what is known of a key by its name without the prefix of its queue; None: nothing."""
    known = KEYS.get(name)
    if known is None:
        family, colon, rest = name.partition(":")
        known = KEYS.get(family + colon) if rest else None
    return known


def names(kind: str, of: str = "id") -> list[str]:
    """Return the plain keys of a kind whose members are of one sort."""
    return [key.name for key in KEYS.values() if (key.kind, key.of) == (kind, of) and key.name[-1] != ":"]
