import pytest
from tests.support.engine import Engine


async def test_a_pause_says_who_when_and_why(engine: Engine) -> None:
    assert await engine.scripts.pause(engine.queue, actor="ada", reason="the printer burns") is True
    assert await engine.hash("cfg") == {
        "paused": str(engine.ms).encode(),
        "pause_actor": b"ada",
        "pause_reason": b"the printer burns",
        "paused_until": b"0",
    }


@pytest.mark.parametrize("what", ["", "job:send", "key:7"])
async def test_a_second_pause_keeps_what_it_does_not_say(engine: Engine, what: str) -> None:
    async def told() -> list[bytes]:
        cfg = await engine.hash("cfg")
        fields = ("paused", "pause_actor", "pause_reason")
        return cfg[f"why:{what}"].split(b"\n") if what else [cfg[each] for each in fields]

    since = str(engine.ms).encode()
    await engine.scripts.pause(engine.queue, what=what, actor="ada", reason="the printer burns", for_ms=9000)
    await engine.advance(1)
    assert await engine.scripts.pause(engine.queue, what=what, actor="bob") is False
    assert await told() == [since, b"bob", b"the printer burns"]
    # It says no time, so there is no end.
    await engine.advance(9)
    assert await engine.scripts.pause(engine.queue, what=what, reason="it still burns", for_ms=1000) is False
    assert await told() == [since, b"bob", b"it still burns"]
    await engine.advance(1)
    assert await engine.scripts.pause(engine.queue, what=what) is True
    assert await told() == [str(engine.ms).encode(), b"", b""]


async def test_what_is_declared_stays(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"o2": "7"})
    await engine.scripts.pause(engine.queue)
    assert (await engine.hash("cfg"))["o2"] == b"7"


async def test_a_pause_may_end_by_itself(engine: Engine) -> None:
    await engine.scripts.pause(engine.queue, for_ms=9000)
    tally = await engine.tally()
    assert (tally.paused_ms, tally.paused_until_ms) == (engine.ms, engine.ms + 9000)
    await engine.advance(9)
    assert (await engine.tally()).paused_ms is None


async def test_a_job_name_and_a_key_are_paused_for_themselves(engine: Engine) -> None:
    pause = engine.scripts.pause
    assert await pause(engine.queue, what="job:send", actor="ada", reason="why") is True
    assert await pause(engine.queue, what="key:7", for_ms=5000) is True
    assert await pause(engine.queue, what="job:send") is False
    cfg = await engine.hash("cfg")
    assert (cfg["pause:job:send"], cfg["pause:key:7"]) == (b"0", str(engine.ms + 5000).encode())
    assert cfg["why:key:7"] == f"{engine.ms}\n\n".encode()
    tally = await engine.tally()
    assert (tally.paused_ms, tally.pauses) == (None, 2)
    assert await engine.scripts.resume(engine.queue, what="job:send") is True
    assert await engine.scripts.resume(engine.queue, what="job:send") is False
    assert (await engine.tally()).pauses == 1


async def test_a_paused_name_gives_no_jobs_and_others_go_on(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.add("c", name="other@1")
    await engine.scripts.pause(engine.queue, what="job:send", for_ms=9000)
    assert await engine.take() == ["c"]
    await engine.advance(9)
    assert await engine.take(1) == ["a"]
    await engine.scripts.pause(engine.queue, what="job:send")
    assert await engine.take() == []
    await engine.scripts.resume(engine.queue, what="job:send")
    assert await engine.take() == ["b"]


async def test_a_pause_that_is_over_lets_jobs_go(engine: Engine) -> None:
    await engine.add("a")
    await engine.scripts.pause(engine.queue, for_ms=5000)
    assert await engine.take() == []
    await engine.advance(5)
    assert await engine.take() == ["a"]
