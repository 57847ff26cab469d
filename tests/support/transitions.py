"""The transition table as data: every state, every operation, and what becomes of a job, legal or not.

Tests walk all of it on real servers, and the table of docs/lifecycle.md is checked against it. Whoever adds a
transition enters an operation here; whoever adds a state, how a job gets there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.support.engine import NAME, Engine, draft, group

from jobs_core.dead_letters import replay_arguments
from jobs_core.errors import ServerError
from jobs_core.flows.edges import Edge
from jobs_core.flows.modes import Mode, Sign
from jobs_core.scripts import Claimed
from jobs_core.wire import EFFECTS, OWN_ID, Others

JOB = "j"
TTL_MS = 60_000
EXPIRES = "expires=100000"


# Where a job can be, and how it gets there. `new` is an id that nobody used, `gone` one whose job was removed,
# `finished` one of whose job only the result is left.


async def _waiting(engine: Engine) -> None:
    await engine.add(JOB, flags=OWN_ID, options=EXPIRES)


async def _delayed(engine: Engine) -> None:
    await engine.add(JOB, flags=OWN_ID, delay_ms=10_000, options=EXPIRES)


async def _blocked(engine: Engine) -> None:
    """Let it wait behind a job of the same unique key, which somebody else runs."""
    await engine.add("before", unique="dkey", options="conflict=replace")
    await engine.claim(1, owner="other")
    await engine.add(JOB, flags=OWN_ID, unique="dkey", options=f"conflict=replace,{EXPIRES}")


async def _child(engine: Engine) -> None:
    """Add a job elsewhere that it waits for, or will."""
    kids = Engine(engine.client, engine.scripts.prefix, "kids")
    kids.us = engine.us
    edge = Edge(engine.queue, JOB, 0, Mode.FAIL_PARENT)
    await kids.add("k", flags=OWN_ID | EFFECTS, options=f"edges={edge}")


async def _joined(engine: Engine) -> None:
    """Let it wait for a job of another queue."""
    await engine.add(JOB, flags=OWN_ID, options=f"blocks=1,{EXPIRES}")
    await _child(engine)


async def _cancelled(engine: Engine) -> None:
    await _waiting(engine)
    await engine.scripts.cancel(engine.queue, ids=[JOB])


async def _expired(engine: Engine) -> None:
    await _waiting(engine)
    await engine.advance(200)
    await engine.scripts.trim(engine.queue)


async def _active(engine: Engine) -> None:
    await _waiting(engine)
    await engine.claim(1)


def _settled(verb: str, **options: int) -> Callable[[Engine], Awaitable[None]]:
    async def settled(engine: Engine) -> None:
        await _waiting(engine)
        jobs = (await engine.claim(1)).jobs
        assert await engine.settle(group(verb, *jobs, arg=OWN_ID, **options)) == b"1"  # pyright: ignore[reportArgumentType]

    return settled


async def _gone(engine: Engine) -> None:
    await _waiting(engine)
    await engine.scripts.remove(engine.queue, ids=[JOB])


async def _new(engine: Engine) -> None:
    await engine.add("another")
    await engine.scripts.remove(engine.queue, ids=["another"])


STATES: dict[str, Callable[[Engine], Awaitable[None]]] = {
    "new": _new,
    "waiting": _waiting,
    "delayed": _delayed,
    "active": _active,
    "completed": _settled("complete", keep_count=-1),
    "failed": _settled("fail", keep_count=-1),
    "cancelled": _cancelled,
    "expired": _expired,
    "unroutable": _settled("unroutable"),
    "blocked": _blocked,
    "joined": _joined,
    "finished": _settled("complete", ttl_ms=TTL_MS),
    "gone": _gone,
}
# What a lookup says of those that have no home, and of those that are blocked for another reason.
SHOWN = {"new": "", "gone": "", "finished": "finished", "joined": "blocked"}


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


def _mine(engine: Engine, held: Mapping[str, float]) -> Claimed:
    # Who never had the job names a fence of his own making.
    return Claimed(JOB, b"", int(held.get(JOB, engine.us)), None)


def _settle(
    verb: str, *, arg: int = OWN_ID, late: int = 0, **options: int | bytes
) -> Callable[[Engine], Awaitable[object]]:
    async def settle(engine: Engine) -> object:
        job = _mine(engine, await engine.zset("active:w1"))
        job = Claimed(job.id, b"", job.fence - late, None)
        return await engine.settle(group(verb, job, arg=arg, **options))  # pyright: ignore[reportArgumentType]

    return settle


async def _enqueue(engine: Engine) -> object:
    return await engine.add(JOB, flags=OWN_ID)


async def _enqueue_delayed(engine: Engine) -> object:
    return await engine.add(JOB, flags=OWN_ID, delay_ms=5000)


async def _claim(engine: Engine) -> object:
    return tuple(job.id for job in (await engine.claim(1)).jobs)


async def _claim_late(engine: Engine) -> object:
    await engine.advance(10)
    return await _claim(engine)


async def _claim_paused(engine: Engine) -> object:
    await engine.scripts.pause(engine.queue)
    return await _claim(engine)


async def _silence(engine: Engine) -> None:
    """Let the lease of the owner run out, while others are heard of."""
    await engine.claim(0, owner="w1")
    for _ in range(5):
        await engine.advance(5)
        await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=[])


async def _reap(engine: Engine) -> object:
    await _silence(engine)
    given = await engine.scripts.reap(engine.queue, owner="w1")
    return tuple(given.ids), tuple(given.poisoned)


async def _reap_living(engine: Engine) -> object:
    await engine.claim(0, owner="w1")
    try:
        await engine.scripts.reap(engine.queue, owner="w1")
    except ServerError as error:
        return str(error).split("OWNER_ALIVE")[0] != str(error)
    return False


async def _reap_poison(engine: Engine) -> object:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    return await _reap(engine)


def _release(*, charge: bool) -> Callable[[Engine], Awaitable[object]]:
    async def release(engine: Engine) -> object:
        given = await engine.scripts.release(
            engine.queue, owner="w1", others=Others.CHARGED if charge else Others.RELEASED
        )
        return tuple(given.ids), tuple(given.poisoned)

    return release


async def _promote(engine: Engine) -> object:
    return (await engine.scripts.promote(engine.queue, ids=[JOB]))[0]


async def _promote_due(engine: Engine) -> object:
    await engine.advance(10)
    return (await engine.scripts.promote(engine.queue))[0]


async def _reroute(engine: Engine) -> object:
    return (await engine.scripts.reroute(engine.queue, offset=0, names=[NAME]))[0]


async def _retry(engine: Engine) -> object:
    return await engine.scripts.retry(engine.queue, ids=[JOB])


async def _replay(engine: Engine) -> object:
    return await engine.scripts.replay(engine.queue, jobs=replay_arguments(JOB, failed_ms=0))


async def _replay_anew(engine: Engine) -> object:
    made = draft(JOB, flags=OWN_ID)
    arguments = replay_arguments(JOB, failed_ms=engine.ms - 1000, job=(made.lead, NAME, made.body))
    return await engine.scripts.replay(engine.queue, jobs=arguments)


async def _remove(engine: Engine) -> object:
    return await engine.scripts.remove(engine.queue, ids=[JOB])


def _drain(home: str) -> Callable[[Engine], Awaitable[object]]:
    async def drain(engine: Engine) -> object:
        return (await engine.scripts.drain(engine.queue, home=home, limit=10))[0]

    return drain


def _clean(home: str) -> Callable[[Engine], Awaitable[object]]:
    async def clean(engine: Engine) -> object:
        return await engine.scripts.clean(engine.queue, home=home, age_ms=0, limit=10)

    return clean


async def _cancel(engine: Engine) -> object:
    return (await engine.scripts.cancel(engine.queue, ids=[JOB])).verdicts


def _reschedule(*, delay_ms: int) -> Callable[[Engine], Awaitable[object]]:
    async def reschedule(engine: Engine) -> object:
        return await engine.scripts.reschedule(engine.queue, delay_ms=delay_ms, ids=[JOB])

    return reschedule


async def _priority(engine: Engine) -> object:
    return await engine.scripts.priority(engine.queue, priority=1, ids=[JOB])


async def _obliterate(engine: Engine) -> object:
    jobs, _, _ = await engine.scripts.obliterate(engine.queue, force=True)
    return "refused" if jobs < 0 else "done"


def _cancel_and(settle: Callable[[Engine], Awaitable[object]]) -> Callable[[Engine], Awaitable[object]]:
    async def cancelled(engine: Engine) -> object:
        if await engine.state(JOB) == "active":
            await _cancel(engine)
        return await settle(engine)

    return cancelled


async def _let_in(engine: Engine) -> object:
    held = await engine.zset("active:other")
    jobs = [Claimed(each, b"", int(fence), None) for each, fence in held.items()]
    if jobs:
        await engine.settle(group("complete", *jobs, arg=16), owner="other")
    return None


async def _wait(engine: Engine) -> object:
    await _child(engine)
    return await _settle("wait", arg=1)(engine)


def _resolve(mode: Mode, sign: Sign) -> Callable[[Engine], Awaitable[object]]:
    async def resolve(engine: Engine) -> object:
        edge = [JOB, 0, mode.value, sign.value, "kids k", b"x"]
        effects = ["resolve", len(edge), *edge]
        await engine.scripts.apply(engine.queue, source="kids", epoch="0", entry=1, mark=1, effects=effects)
        return None

    return resolve


async def _expire(engine: Engine) -> object:
    await engine.advance(200)
    await engine.scripts.trim(engine.queue)
    return None


async def _trim(engine: Engine) -> object:
    await engine.advance(TTL_MS / 1000)
    await engine.scripts.trim(engine.queue)
    return None


async def _progress(engine: Engine) -> object:
    fence = _mine(engine, await engine.zset("active:w1")).fence
    return await engine.scripts.progress(engine.queue, owner="w1", items=[JOB, fence, b"50%"])


async def _await(engine: Engine) -> object:
    return (await engine.scripts.await_(engine.queue, inbox="i", job_id=JOB)).state


def _state_or_unknown(state: str) -> object:
    return ["0" if state in {"new", "gone"} else state]


KEPT = ("completed", "failed", "cancelled", "expired")
STAT = {
    verb: f"{verb}:{NAME}" for verb in (*KEPT, "added", "retried", "stalled", "lost", "snoozed", "limited")
}

OPERATIONS: dict[str, Operation] = {
    "enqueue": Operation(
        _enqueue, {"new": To("waiting", b"1", totals={STAT["added"]: 1})}, refused=b"0", row="enqueue"
    ),
    "enqueue, delayed": Operation(
        _enqueue_delayed, {"new": To("delayed", b"1", totals={STAT["added"]: 1})}, refused=b"0", row="enqueue"
    ),
    "claim": Operation(_claim, {"waiting": To("active", (JOB,))}, refused=(), row="claim"),
    "claim, when due": Operation(
        _claim_late, {"waiting": To("active", (JOB,)), "delayed": To("active", (JOB,))}, refused=()
    ),
    "claim, paused": Operation(_claim_paused, refused=()),
    "complete, kept": Operation(
        _settle("complete", keep_count=-1),
        {"active": To("completed", b"1", totals={STAT["completed"]: 1})},
        refused=b"0",
        row="complete",
    ),
    "complete, removed": Operation(
        _settle("complete"),
        {"active": To("gone", b"1", totals={STAT["completed"]: 1})},
        refused=b"0",
        row="complete",
    ),
    "complete, with a result": Operation(
        _settle("complete", ttl_ms=TTL_MS),
        {"active": To("finished", b"1", totals={STAT["completed"]: 1})},
        refused=b"0",
    ),
    "complete, too late": Operation(_settle("complete", late=1), refused=b"0"),
    "fail, kept": Operation(
        _settle("fail", keep_count=-1),
        {"active": To("failed", b"1", totals={STAT["failed"]: 1})},
        refused=b"0",
        row="fail",
    ),
    "fail, removed": Operation(
        _settle("fail"), {"active": To("gone", b"1", totals={STAT["failed"]: 1})}, refused=b"0", row="fail"
    ),
    "fail, too late": Operation(_settle("fail", late=1, keep_count=-1), refused=b"0"),
    "retry, after a wait": Operation(
        _settle("retry", arg=500),
        {"active": To("delayed", b"1", "attempts", {STAT["retried"]: 1})},
        refused=b"0",
        row="retry",
    ),
    "retry, at once": Operation(
        _settle("retry", arg=0),
        {"active": To("waiting", b"1", "attempts", {STAT["retried"]: 1})},
        refused=b"0",
        row="retry",
    ),
    "retry, too late": Operation(_settle("retry", arg=500, late=1), refused=b"0"),
    "reschedule": Operation(
        _reschedule(delay_ms=5000),
        {each: To("delayed", ["1"]) for each in ("waiting", "delayed")},
        refused=_state_or_unknown,
        row="reschedule",
    ),
    "reschedule, now": Operation(
        _reschedule(delay_ms=0),
        {each: To("waiting", ["1"]) for each in ("waiting", "delayed")},
        refused=_state_or_unknown,
        row="reschedule",
    ),
    "priority": Operation(
        _priority,
        {each: To(each, ["1"]) for each in ("waiting", "delayed")},
        refused=_state_or_unknown,
        row="priority",
    ),
    "obliterate": Operation(
        _obliterate, {each: To("gone", "done", totals=None) for each in STATES}, row="obliterate"
    ),
    "cancel": Operation(
        _cancel,
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
        _settle("cancel", keep_count=-1),
        {"active": To("cancelled", b"1", totals={STAT["cancelled"]: 1})},
        refused=b"0",
        row="cancel",
    ),
    "cancel, then a retry": Operation(
        _cancel_and(_settle("retry", arg=500)),
        {"active": To("cancelled", b"c", "attempts", {STAT["cancelled"]: 1})},
        refused=b"0",
        row="cancel",
    ),
    "cancel, then a failure": Operation(
        _cancel_and(_settle("fail", keep_count=-1)),
        {"active": To("cancelled", b"c", "attempts", {STAT["cancelled"]: 1})},
        refused=b"0",
        row="cancel",
    ),
    "cancel, then a reap": Operation(
        _cancel_and(_reap),
        {
            "active": To(
                "cancelled", ((), ()), "crashes", {STAT["stalled"]: 1, STAT["lost"]: 1, STAT["cancelled"]: 1}
            )
        },
        refused=((), ()),
        row="cancel",
    ),
    "snooze": Operation(
        _settle("snooze", arg=500),
        {"active": To("delayed", b"1", "releases", {STAT["snoozed"]: 1})},
        refused=b"0",
        row="snooze",
    ),
    "limit of the job": Operation(
        _settle("limit", arg=500, info=b"job"),
        {"active": To("delayed", b"1", "releases", {STAT["limited"]: 1})},
        refused=b"0",
        row="limit",
    ),
    "limit of the queue": Operation(
        _settle("limit", arg=500, info=b"queue"),
        {"active": To("waiting", b"1", "releases", {STAT["limited"]: 1})},
        refused=b"0",
        row="limit",
    ),
    "let in": Operation(
        _let_in,
        {"blocked": To("waiting", None, totals={STAT["completed"]: 1}), "joined": To("joined", None)},
        row="let in",
    ),
    "wait": Operation(_wait, {"active": To("joined", b"1")}, refused=b"0", row="wait"),
    "resolve, completed": Operation(
        _resolve(Mode.FAIL_PARENT, Sign.COMPLETED),
        {"joined": To("waiting", None), "blocked": To("blocked", None)},
        row="resolve",
    ),
    "resolve, failed": Operation(
        _resolve(Mode.FAIL_PARENT, Sign.FAILED),
        {"joined": To("failed", None, totals={STAT["failed"]: 1}), "blocked": To("blocked", None)},
        row="resolve",
    ),
    "resolve, skipped": Operation(
        _resolve(Mode.AFTER_SUCCESS, Sign.FAILED),
        {"joined": To("cancelled", None, totals={STAT["cancelled"]: 1}), "blocked": To("blocked", None)},
        row="resolve",
    ),
    "expire": Operation(
        _expire,
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
        _settle("release", arg=0), {"active": To("waiting", b"1", "releases")}, refused=b"0", row="release"
    ),
    "release, too late": Operation(_settle("release", arg=0, late=1), refused=b"0"),
    "park": Operation(
        _settle("unroutable", arg=0), {"active": To("unroutable", b"1")}, refused=b"0", row="park"
    ),
    "park, too late": Operation(_settle("unroutable", arg=0, late=1), refused=b"0"),
    "reap": Operation(
        _reap,
        {"active": To("waiting", ((JOB,), ()), "crashes", {STAT["stalled"]: 1, STAT["lost"]: 1})},
        refused=((), ()),
        row="reap",
    ),
    "reap of the living": Operation(_reap_living, refused=True),
    "poison": Operation(
        _reap_poison,
        {
            "active": To(
                "failed", ((), (JOB,)), "crashes", {STAT["stalled"]: 1, STAT["lost"]: 1, STAT["failed"]: 1}
            )
        },
        refused=((), ()),
        row="poison",
    ),
    "stop of an owner": Operation(
        _release(charge=False),
        {"active": To("waiting", ((JOB,), ()), "releases")},
        refused=((), ()),
        row="release",
    ),
    "release of the dead": Operation(
        _release(charge=True),
        {"active": To("waiting", ((JOB,), ()), "crashes", {STAT["stalled"]: 1})},
        refused=((), ()),
        row="release of the dead",
    ),
    "promote": Operation(_promote, {"delayed": To("waiting", 1)}, refused=0, row="promote"),
    "promote, when due": Operation(_promote_due, {"delayed": To("waiting", 1)}, refused=0, row="promote"),
    "reroute": Operation(_reroute, {"unroutable": To("waiting", 1)}, refused=0, row="reroute"),
    "retry by hand": Operation(
        _retry,
        {"failed": To("waiting", ["1"], totals={"replayed": 1}, fresh=True)},
        refused=_state_or_unknown,
        row="retry by hand, replay",
    ),
    "replay": Operation(
        _replay,
        {"failed": To("waiting", ["1"], totals={"replayed": 1}, fresh=True)},
        refused=_state_or_unknown,
        row="retry by hand, replay",
    ),
    "replay, made anew": Operation(
        _replay_anew,
        {
            each: To("waiting", ["1"], totals={"replayed": 1}, fresh=True)
            for each in ("failed", "gone", "new", "finished")
        },
        refused=_state_or_unknown,
        row="retry by hand, replay",
    ),
    "remove": Operation(
        _remove,
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
        _drain("waiting"),
        {"waiting": To("gone", 1, totals={"removed": 1})},
        refused=0,
        row="remove, drain, clean",
    ),
    "drain, delayed": Operation(
        _drain("delayed"),
        {"delayed": To("gone", 1, totals={"removed": 1})},
        refused=0,
        row="remove, drain, clean",
    ),
    **{
        f"clean of {home}": Operation(
            _clean(home), {home: To("gone", 1)}, refused=0, row="remove, drain, clean"
        )
        for home in KEPT
    },
    "trim, when its time is over": Operation(_trim, {"finished": To("gone", None)}),
    "progress": Operation(_progress, {"active": To("active", b"1")}, refused=b"0"),
    "await": Operation(_await, refused=lambda state: SHOWN.get(state, state)),
}
