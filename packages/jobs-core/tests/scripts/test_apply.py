"""Effects on their target: applied once, whatever comes again, and in whatever order."""

from typing import cast

import pytest
from tests.support.engine import Engine, draft, group

from jobs_core.connection import Client
from jobs_core.connection.protocol import Encodable
from jobs_core.errors import ServerError, ServerFull
from jobs_core.wire import OWN_ID, pack_drafts


def jobs(*ids: str, delay_ms: int = 0) -> list[Encodable]:
    packed = pack_drafts([draft(each, flags=OWN_ID, delay_ms=delay_ms) for each in ids])
    return ["jobs", len(packed), *packed]


async def apply(
    engine: Engine, entry: int, *effects: Encodable, mark: int = 0, source: str = "mail"
) -> bool | None:
    applied = await engine.scripts.apply(
        engine.queue, source=source, epoch="1", entry=entry, mark=mark, effects=effects
    )
    return applied.done


async def test_jobs_are_added_once(engine: Engine) -> None:
    assert await apply(engine, 5, *jobs("a", "b")) is True
    assert await apply(engine, 5, *jobs("a", "b")) is False
    assert await engine.take() == ["a", "b"]
    assert (await engine.stats())["added:send@1"] == 2


async def test_what_is_below_the_mark_was_applied(engine: Engine) -> None:
    await apply(engine, 5, *jobs("a"))
    await apply(engine, 9, *jobs("b"), mark=9)
    assert await engine.zset("in:mail:1") == {"9": 9}
    assert await apply(engine, 5, *jobs("a2")) is False
    # A later one that overtook an earlier one leaves that alone.
    assert await apply(engine, 20, *jobs("d"), mark=9) is True
    assert await apply(engine, 15, *jobs("c"), mark=9) is True
    assert await engine.take() == ["a", "b", "d", "c"]


async def test_sources_do_not_meet(engine: Engine) -> None:
    assert await apply(engine, 5, *jobs("a"), mark=5) is True
    assert await apply(engine, 3, *jobs("b"), source="other") is True


async def test_a_job_known_by_its_id_is_not_added_again(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID)
    assert await apply(engine, 5, *jobs("a", "b")) is True
    assert await engine.take() == ["a", "b"]


async def test_a_job_that_is_there_is_not_added_again(engine: Engine) -> None:
    packed = pack_drafts([draft(each) for each in ("a", "b", "c")])
    first = pack_drafts([draft("b")])
    assert await apply(engine, 5, "jobs", len(first), *first) is True
    (job,) = (await engine.claim(1)).jobs
    # Another end of the job before, as a failover may repeat it: the one that runs is left alone.
    assert await apply(engine, 6, "jobs", len(packed), *packed) is True
    assert await engine.state("b") == "active"
    await engine.settle(group("complete", job))
    assert await engine.take() == ["a", "c"]
    assert (await engine.stats())["added:send@1"] == 3


async def test_delayed_ones_wait(engine: Engine) -> None:
    await apply(engine, 5, *jobs("a", delay_ms=1000))
    assert await engine.state("a") == "delayed"


async def test_a_wrong_entry_changes_nothing(engine: Engine) -> None:
    for effects in (["jobs", 1, "nonsense"], [*jobs("a"), "unheard-of", 0]):
        with pytest.raises(ServerError):
            await apply(engine, 5, *effects)
    assert await apply(engine, 5, *jobs("a")) is True


async def test_full_memory_delays_them(engine: Engine) -> None:
    await engine.add("first")
    await engine.client.call("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(ServerFull):
            await apply(engine, 5, *jobs("a"))
    finally:
        await engine.client.call("CONFIG", "SET", "maxmemory", 0)
    assert await apply(engine, 5, *jobs("a")) is True


async def test_what_is_cleared_goes_wherever_it_is(engine: Engine) -> None:
    await engine.add("kept", flags=OWN_ID)
    await engine.fail("kept")
    await engine.add("waits", flags=OWN_ID)
    assert await apply(engine, 5, "clear", 3, "kept", "waits", "to-come") is True
    assert await engine.call("EXISTS", "rec") == 0
    # The letter that comes after its replay is refused.
    assert await apply(engine, 6, *jobs("to-come")) is True
    assert await engine.state("to-come") == ""


async def test_what_runs_is_cleared_later(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID)
    (job,) = (await engine.claim()).jobs
    assert await apply(engine, 5, "clear", 1, "a") is None
    await engine.settle(group("complete", job, arg=OWN_ID, keep_count=-1))
    assert await apply(engine, 5, "clear", 1, "a") is True
    assert await engine.state("a") == ""


async def test_letters_that_are_there_are_counted_by_the_queue_their_ids_begin_with(
    engine: Engine, client: Client
) -> None:
    letters = await Engine(client, engine.scripts.prefix, "dead-letter").start()
    ids = [f"mail:{number}" for number in range(6)]
    await apply(letters, 1, *jobs(*ids, "other:1", "made by hand"))
    assert await letters.hash("letters.kept") == {"mail": b"6", "other": b"1"}
    # Sent twice it is there once, and so it is counted.
    await apply(letters, 2, *jobs("mail:0"))
    await letters.scripts.remove("dead-letter", ids=["mail:0", "mail:0", "unknown:1"])
    await apply(letters, 3, "clear", 2, "mail:1", "other:1")
    assert await letters.hash("letters.kept") == {"mail": b"4"}
    claim = await letters.claim(2)
    kept, gone = claim.jobs
    await letters.settle(group("complete", kept, arg=OWN_ID, keep_count=-1))
    await letters.settle(group("complete", gone, arg=OWN_ID))
    assert await letters.hash("letters.kept") == {"mail": b"3"}
    await letters.scripts.drain("dead-letter", home="waiting", limit=1)
    assert await letters.hash("letters.kept") == {"mail": b"2"}
    await letters.scripts.obliterate("dead-letter", force=True)
    assert await letters.hash("letters.kept") == {}


async def test_dead_letters_are_counted_in_bounds(engine: Engine) -> None:
    for i in range(60):
        await apply(engine, i + 1, "count", 3, "mail", "send@1", f"error {i % 55}")
    found = await engine.hash("letters")
    assert found["mail\nsend@1\nerror 0"] == b"2"
    assert found["mail\n*\n*"] == b"5"
    assert sum(int(value) for key, value in found.items() if "\n" in key) == 60
    assert cast("int", await engine.call("HLEN", "letters")) == 52
