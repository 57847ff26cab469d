"""Settlements that the server refuses for good: they hold up no others, end after a while, and lose nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

import pytest
from tests.support.runtime import InProcess, Lines, Run, captured_lines
from tests.support.waiting import until

from jobs_core import Fixed, JobFailed, Queue, State
from jobs_core.errors import ServerError
from jobs_core.scripts import Effects, Group, IdPage, Scripts, Settled
from jobs_worker import JobContext, processor, refusals

QUEUE = Queue("sums", concurrency=4, default_job_options={"backoff": Fixed(0.01)})
ADD = QUEUE.job("add", payload=int, result=int)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with captured_lines("info") as lines:
        yield lines


class Grudge:
    """Lets the server refuse what is said of some jobs, by verb."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused: dict[str, set[str]] = {}
        self.calls = 0
        real = Scripts.settle

        async def settle(
            scripts: Scripts,
            queue: str,
            *,
            session: str,
            seq: int,
            owner: str,
            groups: Sequence[Group | Effects],
        ) -> Settled:
            self.calls += 1
            for group in groups:
                if isinstance(group, Group) and self.refused.get(group.verb, set()) & set(group.items[::4]):
                    raise ServerError("ERR bad data format")
            return await real(scripts, queue, session=session, seq=seq, owner=owner, groups=groups)

        monkeypatch.setattr(Scripts, "settle", settle)

    def bear(self, job_id: str, *verbs: str) -> None:
        for verb in verbs:
            self.refused.setdefault(verb, set()).add(job_id)


@pytest.fixture
def grudge(monkeypatch: pytest.MonkeyPatch) -> Grudge:
    monkeypatch.setattr(refusals, "_FIRST_PAUSE", 0.002)
    return Grudge(monkeypatch)


@processor(ADD)
async def add(payload: int, ctx: JobContext) -> int:
    return payload


async def test_one_refused_settlement_holds_up_no_others_and_fails_its_job(
    run: Run, grudge: Grudge, lines: Lines
) -> None:
    grudge.bear("bad", "complete")
    async with run(add) as worker:
        bad = await worker.producer.enqueue(ADD, 1, job_id="bad", remove_on_fail=True)
        others = [await worker.producer.enqueue(ADD, n) for n in range(20)]
        assert [await each.result(40) for each in others] == list(range(20))
        with pytest.raises(JobFailed) as failed:
            await bad.result(40)
        assert "it completed, and the server refused" in str(failed.value)
        lane = worker.lane("sums")
        await until(lambda: (lane.stats.completed, lane.stats.failed) == (20, 1))
        assert lane.stats.lost == 0
        (letter,) = await letters(worker)
        assert letter.startswith("sums:bad:")
    told = lines.of("settlement_refused", job_id="bad")
    assert len(told) == refusals.TRIES
    assert {line["error"] for line in told} == {str(ServerError("ERR bad data format"))}


async def letters(worker: InProcess) -> list[str]:
    """Wait until there are dead letters."""
    page = IdPage([], [], "", "", 0)
    while not page.ids:
        page = await worker.scripts.page("dead-letter", home="waiting", newest=True)
    return page.ids


async def test_what_the_server_really_cannot_read(run: Run, lines: Lines, grudge: Grudge) -> None:
    job = QUEUE.job("spoil", payload=int, attempts=5)

    @processor(job)
    async def spoil(payload: int, ctx: JobContext) -> None:
        # An entry that no script can read: neither a retry nor a snooze of this job is possible.
        await worker.scripts.client.call("HSET", worker.scripts.key("sums") + "state", ctx.job_id, "x")
        raise ValueError(payload)

    async with run(add, spoil) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await (await worker.producer.enqueue(ADD, 2)).result(40) == 2
        assert await handle.done(40) is State.FAILED
        assert await (await worker.producer.enqueue(ADD, 3)).result(40) == 3
        await worker.scripts.remove("sums", ids=[handle.id])
    assert lines.of("settlement_refused", job_id=handle.id, verb="retry")


async def test_what_is_mended_meanwhile_ends_as_it_did(run: Run, grudge: Grudge) -> None:
    grudge.bear("late", "complete", "fail")
    async with run(add) as worker:
        handle = await worker.producer.enqueue(ADD, 7, job_id="late")
        await until(lambda: grudge.calls > 2 * refusals.TRIES)
        assert (await worker.located("sums", "late")).state == "active"
        grudge.refused.clear()
        assert await handle.result(40) == 7


async def test_what_was_settled_before_a_call_failed_is_not_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Scripts.settle
    spoilt: list[int] = []

    async def settle(scripts: Scripts, queue: str, **rest: object) -> Settled:
        settled = await real(scripts, queue, **rest)  # pyright: ignore[reportArgumentType] - passed on
        if not spoilt:
            spoilt.append(1)
            raise ServerError("ERR after the first of them")
        return settled

    monkeypatch.setattr(Scripts, "settle", settle)
    async with run(add) as worker:
        handle = await worker.producer.enqueue(ADD, 7)
        assert await handle.result(40) == 7
        await until(lambda: worker.lane("sums").stats.completed == 1)
        assert worker.lane("sums").stats.lost == 0


async def test_a_shutdown_gives_back_what_the_server_does_not_take(run: Run, grudge: Grudge) -> None:
    grudge.bear("never", "complete", "fail")
    async with run(add) as worker:
        handle = await worker.producer.enqueue(ADD, 7, job_id="never")
        await until(lambda: grudge.calls > 2 * refusals.TRIES)
        assert not await worker.runtime.drain(0.05)
        await worker.lane("sums").abandon()
        await worker.lane("sums").release()
        assert (await handle.status()).state is State.WAITING


async def test_an_owner_who_is_gone_settles_nothing_more(run: Run, grudge: Grudge) -> None:
    grudge.bear("never", "complete", "fail")
    async with run(add) as worker:
        await worker.producer.enqueue(ADD, 7, job_id="never")
        await until(lambda: grudge.calls > 2 * refusals.TRIES)
        lane = worker.lane("sums")
        await worker.scripts.release("sums", owner=lane.owner)
        grudge.refused.clear()
        lane.owner_gone(lane.owner)
        assert lane.stats.lost == 1
        await until(lambda: lane.stats.completed == 2)


async def test_too_many_stop_the_lane(run: Run, grudge: Grudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST", 1)
    for n in range(20):
        grudge.bear(str(n), "complete", "fail")
    async with run(add) as worker:
        handles = [await worker.producer.enqueue(ADD, n, job_id=str(n)) for n in range(20)]
        await until(lambda: grudge.calls > 20)
        states = cast("list[int]", [(await each.status()).state for each in handles])
        assert states.count(cast("int", State.WAITING)) >= 10
        grudge.refused.clear()
        assert await asyncio.gather(*(each.result(40) for each in handles)) == list(range(20))
