"""The transition table as data: every state, every operation, and what becomes of a job, legal or not.

Tests walk all of it on real servers, and the table of docs/lifecycle.md is checked against it. Whoever adds a
transition enters an operation here; whoever adds a state, in `job_states.py` how a job gets there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.support import job_operations as do
from tests.support.engine import NAME, Engine
from tests.support.job_states import JOB, SHOWN, STATES, TTL_MS

from jobs_core.flows.modes import Mode, Sign


@dataclass(frozen=True)
class To:
    """What becomes of the job: its state, the answer, what it costs the job, and which totals grow (None: all go)."""

    state: str
    verdict: object
    spends: str = ""
    totals: Mapping[str, int] | None = field(default_factory=dict[str, int])
    fresh: bool = False


@dataclass(frozen=True)
class Operation:
    """What is done, where it is legal, and what it answers elsewhere: then nothing is changed.

    `row` is its row in the table of docs/lifecycle.md ("" for what moves no job). `refused` is the answer
    elsewhere, or a function of the state.
    """

    do: Callable[[Engine], Awaitable[object]]
    legal: Mapping[str, To] = field(default_factory=dict[str, To])
    refused: object | Callable[[str], object] = None
    row: str = ""

    def expected(self, state: str) -> To:
        """Return what becomes of a job in a state."""
        # Whatever it waits for, a blocked job is one.
        legal = self.legal.get(state) or self.legal.get(SHOWN.get(state, state))
        if legal is not None:
            return legal
        shown = "blocked" if state == "joined" else state
        return To(state, self.refused(shown) if callable(self.refused) else self.refused)


def _state_or_unknown(state: str) -> object:
    return ["0" if state in {"new", "gone"} else state]


KEPT = ("completed", "failed", "cancelled", "expired")
STAT = {
    verb: f"{verb}:{NAME}" for verb in (*KEPT, "added", "retried", "stalled", "lost", "snoozed", "limited")
}

OPERATIONS: dict[str, Operation] = {
    "enqueue": Operation(
        do.enqueue, {"new": To("waiting", b"1", totals={STAT["added"]: 1})}, refused=b"0", row="enqueue"
    ),
    "enqueue, delayed": Operation(
        do.enqueue_delayed,
        {"new": To("delayed", b"1", totals={STAT["added"]: 1})},
        refused=b"0",
        row="enqueue",
    ),
    "claim": Operation(do.claim, {"waiting": To("active", (JOB,))}, refused=(), row="claim"),
    "claim, when due": Operation(
        do.claim_late, {"waiting": To("active", (JOB,)), "delayed": To("active", (JOB,))}, refused=()
    ),
    "claim, paused": Operation(do.claim_paused, refused=()),
    "complete, kept": Operation(
        do.settle("complete", keep_count=-1),
        {"active": To("completed", b"1", totals={STAT["completed"]: 1})},
        refused=b"0",
        row="complete",
    ),
    "complete, removed": Operation(
        do.settle("complete"),
        {"active": To("gone", b"1", totals={STAT["completed"]: 1})},
        refused=b"0",
        row="complete",
    ),
    "complete, with a result": Operation(
        do.settle("complete", ttl_ms=TTL_MS),
        {"active": To("finished", b"1", totals={STAT["completed"]: 1})},
        refused=b"0",
    ),
    "complete, too late": Operation(do.settle("complete", late=1), refused=b"0"),
    "fail, kept": Operation(
        do.settle("fail", keep_count=-1),
        {"active": To("failed", b"1", totals={STAT["failed"]: 1})},
        refused=b"0",
        row="fail",
    ),
    "fail, removed": Operation(
        do.settle("fail"), {"active": To("gone", b"1", totals={STAT["failed"]: 1})}, refused=b"0", row="fail"
    ),
    "fail, too late": Operation(do.settle("fail", late=1, keep_count=-1), refused=b"0"),
    "retry, after a wait": Operation(
        do.settle("retry", arg=500),
        {"active": To("delayed", b"1", "attempts", {STAT["retried"]: 1})},
        refused=b"0",
        row="retry",
    ),
    "retry, at once": Operation(
        do.settle("retry", arg=0),
        {"active": To("waiting", b"1", "attempts", {STAT["retried"]: 1})},
        refused=b"0",
        row="retry",
    ),
    "retry, too late": Operation(do.settle("retry", arg=500, late=1), refused=b"0"),
    "reschedule": Operation(
        do.reschedule(delay_ms=5000),
        {each: To("delayed", ["1"]) for each in ("waiting", "delayed")},
        refused=_state_or_unknown,
        row="reschedule",
    ),
    "reschedule, now": Operation(
        do.reschedule(delay_ms=0),
        {each: To("waiting", ["1"]) for each in ("waiting", "delayed")},
        refused=_state_or_unknown,
        row="reschedule",
    ),
    "priority": Operation(
        do.priority,
        {each: To(each, ["1"]) for each in ("waiting", "delayed")},
        refused=_state_or_unknown,
        row="priority",
    ),
    "obliterate": Operation(
        do.obliterate, {each: To("gone", "done", totals=None) for each in STATES}, row="obliterate"
    ),
    "cancel": Operation(
        do.cancel,
        {
            "active": To("active", ["requested"]),
            "new": To("new", ["not_found"]),
            **{
                each: To("cancelled", ["cancelled"], totals={STAT["cancelled"]: 1})
                for each in ("waiting", "delayed", "unroutable", "blocked")
            },
        },
        refused=["already_finished"],
        row="cancel",
    ),
    "cancel, by its handler": Operation(
        do.settle("cancel", keep_count=-1),
        {"active": To("cancelled", b"1", totals={STAT["cancelled"]: 1})},
        refused=b"0",
        row="cancel",
    ),
    "cancel, then a retry": Operation(
        do.cancel_and(do.settle("retry", arg=500)),
        {"active": To("cancelled", b"c", "attempts", {STAT["cancelled"]: 1})},
        refused=b"0",
        row="cancel",
    ),
    "cancel, then a failure": Operation(
        do.cancel_and(do.settle("fail", keep_count=-1)),
        {"active": To("cancelled", b"c", "attempts", {STAT["cancelled"]: 1})},
        refused=b"0",
        row="cancel",
    ),
    "cancel, then a reap": Operation(
        do.cancel_and(do.reap),
        {
            "active": To(
                "cancelled", ((), ()), "crashes", {STAT["stalled"]: 1, STAT["lost"]: 1, STAT["cancelled"]: 1}
            )
        },
        refused=((), ()),
        row="cancel",
    ),
    "snooze": Operation(
        do.settle("snooze", arg=500),
        {"active": To("delayed", b"1", "releases", {STAT["snoozed"]: 1})},
        refused=b"0",
        row="snooze",
    ),
    "limit of the job": Operation(
        do.settle("limit", arg=500, info=b"job"),
        {"active": To("delayed", b"1", "releases", {STAT["limited"]: 1})},
        refused=b"0",
        row="limit",
    ),
    "limit of the queue": Operation(
        do.settle("limit", arg=500, info=b"queue"),
        {"active": To("waiting", b"1", "releases", {STAT["limited"]: 1})},
        refused=b"0",
        row="limit",
    ),
    "let in": Operation(
        do.let_in,
        {"blocked": To("waiting", None, totals={STAT["completed"]: 1}), "joined": To("joined", None)},
        row="let in",
    ),
    "wait": Operation(do.wait, {"active": To("joined", b"1")}, refused=b"0", row="wait"),
    "resolve, completed": Operation(
        do.resolve(Mode.FAIL_PARENT, Sign.COMPLETED),
        {"joined": To("waiting", None), "blocked": To("blocked", None)},
        row="resolve",
    ),
    "resolve, failed": Operation(
        do.resolve(Mode.FAIL_PARENT, Sign.FAILED),
        {"joined": To("failed", None, totals={STAT["failed"]: 1}), "blocked": To("blocked", None)},
        row="resolve",
    ),
    "resolve, skipped": Operation(
        do.resolve(Mode.AFTER_SUCCESS, Sign.FAILED),
        {"joined": To("cancelled", None, totals={STAT["cancelled"]: 1}), "blocked": To("blocked", None)},
        row="resolve",
    ),
    "expire": Operation(
        do.expire,
        {
            **{
                each: To("expired", None, totals={STAT["expired"]: 1})
                for each in ("waiting", "delayed", "blocked")
            },
            "finished": To("gone", None),
        },
        row="expire",
    ),
    "release": Operation(
        do.settle("release", arg=0), {"active": To("waiting", b"1", "releases")}, refused=b"0", row="release"
    ),
    "release, too late": Operation(do.settle("release", arg=0, late=1), refused=b"0"),
    "park": Operation(
        do.settle("unroutable", arg=0), {"active": To("unroutable", b"1")}, refused=b"0", row="park"
    ),
    "park, too late": Operation(do.settle("unroutable", arg=0, late=1), refused=b"0"),
    "reap": Operation(
        do.reap,
        {"active": To("waiting", ((JOB,), ()), "crashes", {STAT["stalled"]: 1, STAT["lost"]: 1})},
        refused=((), ()),
        row="reap",
    ),
    "reap of the living": Operation(do.reap_living, refused=True),
    "poison": Operation(
        do.reap_poison,
        {
            "active": To(
                "failed", ((), (JOB,)), "crashes", {STAT["stalled"]: 1, STAT["lost"]: 1, STAT["failed"]: 1}
            )
        },
        refused=((), ()),
        row="poison",
    ),
    "stop of an owner": Operation(
        do.release(charge=False),
        {"active": To("waiting", ((JOB,), ()), "releases")},
        refused=((), ()),
        row="release",
    ),
    "release of the dead": Operation(
        do.release(charge=True),
        {"active": To("waiting", ((JOB,), ()), "crashes", {STAT["stalled"]: 1})},
        refused=((), ()),
        row="release of the dead",
    ),
    "promote": Operation(do.promote, {"delayed": To("waiting", 1)}, refused=0, row="promote"),
    "promote, when due": Operation(do.promote_due, {"delayed": To("waiting", 1)}, refused=0, row="promote"),
    "reroute": Operation(do.reroute, {"unroutable": To("waiting", 1)}, refused=0, row="reroute"),
    "retry by hand": Operation(
        do.retry,
        {"failed": To("waiting", ["1"], totals={"replayed": 1}, fresh=True)},
        refused=_state_or_unknown,
        row="retry by hand, replay",
    ),
    "retry of a flow": Operation(
        do.again,
        {each: To("waiting", None, totals={"replayed": 1}, fresh=True) for each in ("failed", "cancelled")},
        row="retry of a flow",
    ),
    "replay": Operation(
        do.replay,
        {"failed": To("waiting", ["1"], totals={"replayed": 1}, fresh=True)},
        refused=_state_or_unknown,
        row="retry by hand, replay",
    ),
    "replay, made anew": Operation(
        do.replay_anew,
        {
            each: To("waiting", ["1"], totals={"replayed": 1}, fresh=True)
            for each in ("failed", "gone", "new", "finished")
        },
        refused=_state_or_unknown,
        row="retry by hand, replay",
    ),
    "remove": Operation(
        do.remove,
        {
            **{
                each: To("gone", ["1"], totals={"removed": 1})
                for each in ("waiting", "delayed", "unroutable", "blocked")
            },
            **{each: To("gone", ["1"]) for each in (*KEPT, "finished")},
            "active": To("active", ["active"]),
        },
        refused=["0"],
        row="remove, drain, clean",
    ),
    "drain": Operation(
        do.drain("waiting"),
        {"waiting": To("gone", 1, totals={"removed": 1})},
        refused=0,
        row="remove, drain, clean",
    ),
    "drain, delayed": Operation(
        do.drain("delayed"),
        {"delayed": To("gone", 1, totals={"removed": 1})},
        refused=0,
        row="remove, drain, clean",
    ),
    **{
        f"clean of {home}": Operation(
            do.clean(home), {home: To("gone", 1)}, refused=0, row="remove, drain, clean"
        )
        for home in KEPT
    },
    "trim, when its time is over": Operation(do.trim, {"finished": To("gone", None)}),
    "progress": Operation(do.progress, {"active": To("active", b"1")}, refused=b"0"),
    "await": Operation(do.await_, refused=lambda state: SHOWN.get(state, state)),
}
