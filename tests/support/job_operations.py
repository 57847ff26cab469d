"""What can be done to a job, each as one call that answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from tests.support.engine import NAME, Engine, draft, group
from tests.support.job_states import JOB, TTL_MS, child

from jobs_core.dead_letters import replay_arguments
from jobs_core.errors import ServerError
from jobs_core.flows.modes import Mode, Sign
from jobs_core.scripts import Claimed
from jobs_core.wire import OWN_ID, Others


def _mine(engine: Engine, held: Mapping[str, float]) -> Claimed:
    # Who never had the job names a fence of his own making.
    return Claimed(JOB, b"", int(held.get(JOB, engine.us)), None)


def settle(
    verb: str, *, arg: int = OWN_ID, late: int = 0, **options: int | bytes
) -> Callable[[Engine], Awaitable[object]]:
    async def settle(engine: Engine) -> object:
        job = _mine(engine, await engine.zset("active:w1"))
        job = Claimed(job.id, b"", job.fence - late, None)
        return await engine.settle(group(verb, job, arg=arg, **options))  # pyright: ignore[reportArgumentType]

    return settle


async def enqueue(engine: Engine) -> object:
    return await engine.add(JOB, flags=OWN_ID)


async def enqueue_delayed(engine: Engine) -> object:
    return await engine.add(JOB, flags=OWN_ID, delay_ms=5000)


async def claim(engine: Engine) -> object:
    return tuple(job.id for job in (await engine.claim(1)).jobs)


async def claim_late(engine: Engine) -> object:
    await engine.advance(10)
    return await claim(engine)


async def claim_paused(engine: Engine) -> object:
    await engine.scripts.pause(engine.queue)
    return await claim(engine)


async def _silence(engine: Engine) -> None:
    """Let the lease of the owner run out, while others are heard of."""
    await engine.claim(0, owner="w1")
    for _ in range(5):
        await engine.advance(5)
        await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=[])


async def reap(engine: Engine) -> object:
    await _silence(engine)
    given = await engine.scripts.reap(engine.queue, owner="w1")
    return tuple(given.ids), tuple(given.poisoned)


async def reap_living(engine: Engine) -> object:
    await engine.claim(0, owner="w1")
    try:
        await engine.scripts.reap(engine.queue, owner="w1")
    except ServerError as error:
        return str(error).split("OWNER_ALIVE")[0] != str(error)
    return False


async def reap_poison(engine: Engine) -> object:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    return await reap(engine)


def release(*, charge: bool) -> Callable[[Engine], Awaitable[object]]:
    async def release(engine: Engine) -> object:
        given = await engine.scripts.release(
            engine.queue, owner="w1", others=Others.CHARGED if charge else Others.RELEASED
        )
        return tuple(given.ids), tuple(given.poisoned)

    return release


async def promote(engine: Engine) -> object:
    return (await engine.scripts.promote(engine.queue, ids=[JOB]))[0]


async def promote_due(engine: Engine) -> object:
    await engine.advance(10)
    return (await engine.scripts.promote(engine.queue))[0]


async def reroute(engine: Engine) -> object:
    return (await engine.scripts.reroute(engine.queue, offset=0, names=[NAME]))[0]


async def retry(engine: Engine) -> object:
    return await engine.scripts.retry(engine.queue, ids=[JOB])


async def again(engine: Engine) -> object:
    effects = ["again", 4, JOB, "1", f"{engine.queue}:f:0:{Mode.COUNTED}", ""]
    await engine.scripts.apply(engine.queue, source="kids", epoch="0", entry=1, mark=1, effects=effects)
    return None


async def replay(engine: Engine) -> object:
    return await engine.scripts.replay(engine.queue, jobs=replay_arguments(JOB, failed_ms=0))


async def replay_anew(engine: Engine) -> object:
    made = draft(JOB, flags=OWN_ID)
    arguments = replay_arguments(JOB, failed_ms=engine.ms - 1000, job=(made.lead, NAME, made.body))
    return await engine.scripts.replay(engine.queue, jobs=arguments)


async def remove(engine: Engine) -> object:
    return await engine.scripts.remove(engine.queue, ids=[JOB])


def drain(home: str) -> Callable[[Engine], Awaitable[object]]:
    async def drain(engine: Engine) -> object:
        return (await engine.scripts.drain(engine.queue, home=home, limit=10))[0]

    return drain


def clean(home: str) -> Callable[[Engine], Awaitable[object]]:
    async def clean(engine: Engine) -> object:
        return await engine.scripts.clean(engine.queue, home=home, age_ms=0, limit=10)

    return clean


async def cancel(engine: Engine) -> object:
    return (await engine.scripts.cancel(engine.queue, ids=[JOB])).verdicts


def reschedule(*, delay_ms: int) -> Callable[[Engine], Awaitable[object]]:
    async def reschedule(engine: Engine) -> object:
        return await engine.scripts.reschedule(engine.queue, delay_ms=delay_ms, ids=[JOB])

    return reschedule


async def priority(engine: Engine) -> object:
    return await engine.scripts.priority(engine.queue, priority=1, ids=[JOB])


async def obliterate(engine: Engine) -> object:
    jobs, _, _ = await engine.scripts.obliterate(engine.queue, force=True)
    return "refused" if jobs < 0 else "done"


def cancel_and(settle: Callable[[Engine], Awaitable[object]]) -> Callable[[Engine], Awaitable[object]]:
    async def cancelled(engine: Engine) -> object:
        if await engine.state(JOB) == "active":
            await cancel(engine)
        return await settle(engine)

    return cancelled


async def let_in(engine: Engine) -> object:
    held = await engine.zset("active:other")
    jobs = [Claimed(each, b"", int(fence), None) for each, fence in held.items()]
    if jobs:
        await engine.settle(group("complete", *jobs, arg=16), owner="other")
    return None


async def wait(engine: Engine) -> object:
    await child(engine)
    return await settle("wait", arg=1)(engine)


def resolve(mode: Mode, sign: Sign) -> Callable[[Engine], Awaitable[object]]:
    async def resolve(engine: Engine) -> object:
        edge = [JOB, 0, mode.value, sign.value, "kids k", b"x"]
        effects = ["resolve", len(edge), *edge]
        await engine.scripts.apply(engine.queue, source="kids", epoch="0", entry=1, mark=1, effects=effects)
        return None

    return resolve


async def expire(engine: Engine) -> object:
    await engine.advance(200)
    await engine.scripts.trim(engine.queue)
    return None


async def trim(engine: Engine) -> object:
    await engine.advance(TTL_MS / 1000)
    await engine.scripts.trim(engine.queue)
    return None


async def progress(engine: Engine) -> object:
    fence = _mine(engine, await engine.zset("active:w1")).fence
    return await engine.scripts.progress(engine.queue, owner="w1", items=[JOB, fence, b"50%"])


async def await_(engine: Engine) -> object:
    return (await engine.scripts.await_(engine.queue, inbox="i", job_id=JOB)).state
