"""Where a job can be, and how it gets there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.support.engine import Engine, group

from jobs_core.flows.edges import Edge
from jobs_core.flows.modes import Mode
from jobs_core.wire import EFFECTS, OWN_ID

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


async def child(engine: Engine) -> None:
    """Add a job elsewhere that it waits for, or will."""
    kids = Engine(engine.client, engine.scripts.prefix, "kids")
    kids.us = engine.us
    edge = Edge(engine.queue, JOB, 0, Mode.FAIL_PARENT)
    await kids.add("k", flags=OWN_ID | EFFECTS, options=f"edges={edge}")


async def _joined(engine: Engine) -> None:
    """Let it wait for a job of another queue."""
    await engine.add(JOB, flags=OWN_ID, options=f"blocks=1,{EXPIRES}")
    await child(engine)


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
