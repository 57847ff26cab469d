from tests.support.engine import START_MS, Engine

from jobs_core.measures import Minute, filled, minute_parts, parse_minutes


async def test_minutes_of_several_queues_and_of_two_days_are_read_at_once(engine: Engine) -> None:
    midnight = START_MS // 86_400_000 * 1440 + 1440
    await engine.set_ms(midnight * 60_000 - 1)
    await engine.add("a", "b")
    await engine.set_ms(midnight * 60_000 + 60_000)
    await engine.add("c")
    parts = minute_parts(midnight - 2, 4)
    found = await engine.scripts.minutes([engine.queue, "nobody"], parts=parts)
    assert found["nobody"] == [b"", b""]
    packed = [
        filled(part, last - first + 1)
        for part, (_, first, last) in zip(found[engine.queue], parts, strict=True)
    ]
    assert parse_minutes(b"".join(packed), 4) == [Minute(), Minute(added=2), Minute(), Minute(added=1)]
