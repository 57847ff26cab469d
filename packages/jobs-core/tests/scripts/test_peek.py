from typing import cast

from tests.support.engine import Engine, group

from jobs_core.loader import load
from jobs_core.wire import BIG, OWN_ID, parse_header


async def test_all_that_is_asked_is_read_in_one_step(engine: Engine) -> None:
    await engine.add("run", flags=OWN_ID)
    (job,) = (await engine.claim(1)).jobs
    await engine.add("big", envelope=b"x" * 70_000)
    ids = ["run", "big", "nobody"]
    groups = [
        *("rec", "rec", 3, *ids, "active", "", 3, *ids, "zset", "waiting", 3, *ids),
        *("there", "big", 3, *ids, "has", "rec", 3, *ids, "hash", "meta", 2, "schema", "nothing"),
        *("all", "waiting", 0, "fields", "unroutable.names", 0),
    ]
    rec, active, waiting, large, has, meta, everything, parked = await engine.scripts.peek(
        engine.queue, groups=groups
    )
    assert isinstance(rec, list)
    flags = [parse_header(each).flags for each in rec if isinstance(each, bytes)]
    assert (flags, rec[2]) == ([OWN_ID, BIG], None)
    assert active == [b"w1", [str(job.fence).encode(), None, None]]
    place = await engine.call("ZSCORE", "waiting", "big")
    assert waiting == [None, f"{place:.0f}".encode(), None]
    assert large == [0, 1, 0]
    assert has == [1, 1, 0]
    assert meta == [b"1", None]
    assert everything == [b"big", f"{place:.0f}".encode()]
    assert parked == []


async def test_groups_may_share_the_members_of_one_before_them(engine: Engine) -> None:
    await engine.add("1")
    place = await engine.call("ZSCORE", "waiting", "1")
    groups = [
        "has",
        "rec",
        2,
        "1",
        "2",
        "zset",
        "waiting",
        "=",
        "zset",
        "delayed",
        "=",
        "zset",
        "delayed",
        1,
        "1",
    ]
    has, waiting, missing, asked = await engine.scripts.peek(engine.queue, groups=groups)
    assert has == [1, 0]
    assert waiting == [f"{place:.0f}".encode(), None]
    assert missing == []
    assert asked == [None]


async def test_of_large_jobs_it_tells_as_many_as_it_can_read(engine: Engine) -> None:
    ids = [str(i) for i in range(20)]
    for each in ids:
        await engine.add(each, envelope=b"x" * 60_000)
    groups = ["jobs", "", 20, *ids, "rec", "rec", "=", "zset", "waiting", "="]
    (read,), records, waiting = cast(
        "list[list[int]]", await engine.scripts.peek(engine.queue, groups=groups)
    )
    assert read == len(records) == len(waiting) == 8


async def test_homes_are_weighed_and_counted_by_name(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    await engine.add("odd", name="odd@1")
    jobs = (await engine.claim()).jobs
    await engine.settle(
        group("complete", jobs[0], keep_count=-1),
        group("unroutable", jobs[1], jobs[2]),
        group("unroutable", jobs[3], name="odd@1"),
    )
    size = await engine.call("HSTRLEN", "rec", "a")
    weighed, names = await engine.scripts.peek(
        engine.queue, groups=["weigh", "completed", 0, "names", "unroutable", 0]
    )
    # The record, and what is told of the job.
    assert weighed == [1, cast("int", size) + len(b"info")]
    assert isinstance(names, list)
    assert (names[0], dict(zip(names[1::2], names[2::2], strict=True))) == (3, {b"send@1": 2, b"odd@1": 1})


async def test_a_home_too_large_for_one_step_is_not_weighed(engine: Engine) -> None:
    for at in range(0, 1002, 501):
        await engine.add(*(str(i) for i in range(at, at + 501)))
    weighed, names, everything = await engine.scripts.peek(
        engine.queue, groups=["weigh", "waiting", 0, "names", "waiting", 0, "all", "waiting", 0]
    )
    assert weighed == [1002, -1]
    assert names == [-1]
    assert isinstance(everything, list)
    assert len(everything) == 2004


async def test_it_changes_nothing(engine: Engine) -> None:
    assert load("peek").flags == load("walk").flags == "no-writes"
    await engine.add("1")
    before = await engine.dump()
    await engine.scripts.peek(engine.queue, groups=["rec", "rec", 1, "1"])
    assert await engine.dump() == before
