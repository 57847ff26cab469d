"""How far a lane looks past names at their limits, and when it rests."""

import asyncio

import pytest
from tests.support.runtime import running
from tests.support.waiting import until

from jobs_core import Queue
from jobs_worker import JobContext, processor
from jobs_worker.limits import NameLimits


def test_what_runs_is_counted_by_name() -> None:
    limits = NameLimits({"slow@1": 2, "rare@1": 1})
    assert limits.begin(0, 0.0) == "slow@1=2,rare@1=1"
    limits.take(["slow@1", "slow@1", "fast@1"])
    assert limits.room == 1
    assert limits.begin(0, 0.0) == "slow@1=0,rare@1=1"
    assert limits.give("slow@1")
    assert not limits.give("fast@1")
    assert limits.begin(0, 0.0) == "slow@1=1,rare@1=1"


def test_look_goes_on_to_the_end_with_the_rooms_it_began_with() -> None:
    limits = NameLimits({"slow@1": 1})
    limits.take(["slow@1"])
    assert limits.want(5, 1, 0.0) == 5
    assert limits.begin(1, 0.0) == "slow@1=0"
    assert limits.end("100", 0.01, filled=False)
    # Meanwhile there is room for the oldest of them, which the look has passed already.
    limits.give("slow@1")
    assert (limits.cursor, limits.want(5, 1, 0.01), limits.begin(1, 0.01)) == ("100", 5, "slow@1=0")
    # So at its end it claims again, for no more than that.
    assert limits.end("", 0.02, filled=False)
    assert limits.want(5, 1, 0.03) == 1


def test_nothing_is_looked_for_twice_until_something_new_comes() -> None:
    limits = NameLimits({"slow@1": 1})
    limits.take(["slow@1"])
    limits.begin(1, 0.0)
    assert not limits.end("", 0.0, filled=False)
    assert limits.want(5, 1, 0.0) == 0
    assert limits.want(5, 2, 0.0) == 5


def test_look_that_took_several_calls_is_followed_by_a_rest() -> None:
    limits = NameLimits({"slow@1": 1})
    limits.take(["slow@1"])
    limits.begin(1, 10.0)
    assert limits.end("100", 10.1, filled=False)
    limits.begin(1, 10.1)
    assert not limits.end("", 10.2, filled=False)
    assert limits.rest_until == pytest.approx(12.2)
    assert not limits.owes(1)
    # New jobs wait until it is over, which has to be told then.
    assert limits.want(5, 2, 11.0) == 0
    assert limits.owes(2)
    # What ends may be followed by the next of its name, but the look is not begun anew for it.
    limits.give("slow@1")
    assert limits.want(5, 2, 11.0) == 1
    limits.begin(2, 11.0)
    assert not limits.end("100", 11.1, filled=False)
    assert limits.cursor == ""
    assert limits.owes(1)
    assert limits.want(5, 2, 12.3) == 5


async def test_jobs_behind_a_long_row_of_a_limited_name_are_not_held_up(redis_url: str, prefix: str) -> None:
    queue = Queue("walled", concurrency=5)
    limited = queue.job("limited", payload=int)
    other = queue.job("other", payload=int, result=int)
    gate = asyncio.Event()
    active = most = 0

    @processor(limited, concurrency=1)
    async def of_limited(payload: int, ctx: JobContext) -> None:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await gate.wait()
        active -= 1

    @processor(other)
    async def of_other(payload: int, ctx: JobContext) -> int:
        return payload

    async with running(redis_url, prefix, of_limited, of_other) as worker:
        worker.runtime.quiet()
        await worker.producer.enqueue_many(limited, range(3000))
        behind = [await worker.producer.enqueue(other, n) for n in range(20)]
        worker.runtime.resume()
        assert [await each.result(40) for each in behind] == list(range(20))
        late = [await worker.producer.enqueue(other, n) for n in range(20)]
        assert [await each.result(40) for each in late] == list(range(20))
        gate.set()
        await until(lambda: worker.runtime.stats().completed > 150)
        assert most == 1
