"""What is read of an outbox, by name and by age."""

from tests.support.effects import Effected, effect
from tests.support.engine import Engine, group

from jobs_core.scripts import Entry


async def test_effects_are_written_with_the_end_of_their_job(engine: Engine) -> None:
    await engine.add("a", "b")
    a, b = (await engine.claim()).jobs
    done = await engine.settled(
        effect("jobs", "other", (a, b"one"), (b, b"two")),
        effect("jobs", "third", (b, b"three")),
        group("complete", a, b),
    )
    assert done.verdict == b"11"
    first, second = done.posted
    page = await engine.scripts.outbox(engine.queue)
    assert page.entries == [
        Entry(first, "other", [("jobs", b"one"), ("jobs", b"two")]),
        Entry(second, "third", [("jobs", b"three")]),
    ]
    assert page.epoch.encode() == (await engine.hash("meta"))["epoch"]
    assert (await engine.scripts.outbox(engine.queue, ids=[second])).entries == page.entries[1:]
    assert (await engine.scripts.outbox(engine.queue, after=first)).entries == page.entries[1:]


async def test_a_lost_lease_writes_none(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    await engine.scripts.release(engine.queue, owner="w1")
    done = await engine.settled(effect("jobs", "other", (job, b"one")), group("complete", job))
    assert (done.verdict, done.posted) == (b"0", [])
    assert (await engine.scripts.outbox(engine.queue)).entries == []


async def test_a_call_sent_again_writes_them_once(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    groups = [effect("jobs", "other", (job, b"one")), group("complete", job)]
    first = await engine.settled(*groups)
    engine.seqs["w1:settle"] -= 1
    assert await engine.settled(*groups) == first
    assert len((await engine.scripts.outbox(engine.queue)).entries) == 1


async def test_only_what_is_old_is_left_to_others(engine: Engine) -> None:
    await Effected(engine).end("a", b"one")
    assert (await engine.scripts.outbox(engine.queue, age_ms=2000)).entries == []
    await engine.advance(2.1)
    assert len((await engine.scripts.outbox(engine.queue, age_ms=2000)).entries) == 1


async def test_entries_are_split_by_jobs_and_bytes(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    many = effect("jobs", "other", (job, b"x" * 300_000), (job, b"y" * 300_000))
    await engine.settled(many, group("complete", job))
    entries = (await engine.scripts.outbox(engine.queue)).entries
    assert [len(entry.effects) for entry in entries] == [1, 1]
    await engine.add("b")
    (job,) = (await engine.claim()).jobs
    done = await engine.settled(
        effect("jobs", "other", (job, b"x"), (job, b"y"), jobs=600), group("fail", job)
    )
    # The letter of the failed job is the third.
    assert len(done.posted) == 3
