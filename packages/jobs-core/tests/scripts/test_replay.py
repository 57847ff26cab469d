"""Replay: one transition of the failed job, whoever asks for it, once for each life of the job."""

from tests.support.engine import NAME, Engine, draft, group

from jobs_core.dead_letters import replay_arguments
from jobs_core.scripts import Entry
from jobs_core.wire import BIG, OWN_ID, parse_header


def remade(job_id: str, *, flags: int = 0, envelope: bytes = b"e") -> tuple[bytes, str, bytes]:
    made = draft(job_id, flags=flags, envelope=envelope)
    return made.lead, NAME, made.body


async def fail(engine: Engine, job_id: str, *, kept: bool = True, flags: int = 0) -> int:
    """Fail the next job and return when it did."""
    (job,) = (await engine.claim(1)).jobs
    assert job.id == job_id
    await engine.settle(group("fail", job, arg=flags, info=b"poison 1 1", keep_count=-1 if kept else 0))
    return engine.ms


async def letters(engine: Engine) -> list[Entry]:
    return (await engine.scripts.outbox(engine.queue)).entries


async def test_a_life_is_replayed_once(engine: Engine) -> None:
    await engine.add("a", priority=2)
    failed_ms = await fail(engine, "a")
    await engine.advance(1)
    replay = replay_arguments("a", failed_ms=failed_ms)
    assert await engine.scripts.replay(engine.queue, jobs=replay) == ["1"]
    assert await engine.scripts.replay(engine.queue, jobs=replay) == ["replayed"]
    assert [effect[0] for entry in await letters(engine) for effect in entry.effects] == ["dead", "clear"]
    await engine.advance(1)
    again = await fail(engine, "a")
    assert await engine.scripts.replay(engine.queue, jobs=replay) == ["replayed"]
    assert await engine.state("a") == "failed"
    assert await engine.scripts.replay(engine.queue, jobs=replay_arguments("a", failed_ms=again)) == ["1"]
    assert len((await engine.scripts.lookup(engine.queue, ids=["a"]))[0].history) == 2 * (4 + 10)


async def test_retrying_the_job_is_the_same_transition(engine: Engine) -> None:
    await engine.add("a")
    failed_ms = await fail(engine, "a")
    assert await engine.scripts.retry(engine.queue, ids=["a"]) == ["1"]
    replay = replay_arguments("a", failed_ms=failed_ms, job=remade("a"))
    assert await engine.scripts.replay(engine.queue, jobs=replay) == ["replayed"]
    await engine.settle(group("complete", *(await engine.claim()).jobs))
    assert await engine.scripts.replay(engine.queue, jobs=replay) == ["replayed"]
    assert await engine.state("a") == ""


async def test_what_was_not_kept_is_made_anew_once(engine: Engine) -> None:
    for flags in (0, OWN_ID):
        await engine.add("a", flags=flags)
        failed_ms = await fail(engine, "a", kept=False, flags=flags)
        await engine.advance(1)
        replay = replay_arguments("a", failed_ms=failed_ms, job=remade("a", flags=flags), history=b"")
        assert await engine.scripts.replay(engine.queue, jobs=replay) == ["1"]
        assert await engine.scripts.replay(engine.queue, jobs=replay) == ["replayed"]
        (job,) = (await engine.claim()).jobs
        await engine.settle(group("complete", job, arg=flags))
        assert await engine.scripts.replay(engine.queue, jobs=replay) == ["replayed"]
        await engine.advance(25 * 3600)
        await engine.scripts.trim(engine.queue)


async def test_without_a_letter_nothing_is_made_anew(engine: Engine) -> None:
    assert await engine.scripts.replay(engine.queue, jobs=replay_arguments("a", job=remade("a"))) == ["0"]


async def test_another_priority_and_another_payload(engine: Engine) -> None:
    await engine.add("a", priority=4, flags=OWN_ID, envelope=b"x" * 70_000)
    await fail(engine, "a", flags=OWN_ID | BIG)
    edit = replay_arguments("a", priority=2, edited=True, job=remade("a", flags=OWN_ID, envelope=b"new"))
    assert await engine.scripts.replay(engine.queue, jobs=edit) == ["1"]
    (job,) = (await engine.claim()).jobs
    header = parse_header(job.record)
    assert (header.priority, header.flags, job.record[header.size :]) == (2, OWN_ID, b"new")
    await engine.advance(1)
    await engine.settle(group("fail", job, arg=OWN_ID, keep_count=-1))
    edit = replay_arguments("a", edited=True, job=remade("a", flags=OWN_ID, envelope=b"y" * 70_000))
    await engine.advance(1)
    assert await engine.scripts.replay(engine.queue, jobs=edit) == ["1"]
    assert await engine.call("GET", "big:a") == b"y" * 70_000


async def test_where_letters_are_off_none_are_cleared(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"dead_letter": "0"})
    await engine.add("a")
    await fail(engine, "a")
    assert await engine.scripts.replay(engine.queue, jobs=replay_arguments("a")) == ["1"]
    assert await letters(engine) == []


async def test_other_states_are_told(engine: Engine) -> None:
    await engine.add("a")
    assert await engine.scripts.replay(engine.queue, jobs=replay_arguments("a")) == ["waiting"]
