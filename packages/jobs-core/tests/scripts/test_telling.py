"""What scripts write down for people: minutes, histograms, errors, rows and events; bounded, and never in the way."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

import msgspec
import pytest
from tests.support.engine import START_MS, Engine, group
from tests.support.scheduling import Scheduling

from jobs_core.measures import Minute, measure_items, minute_parts, parse_histograms, parse_minutes
from jobs_core.scripts import Group
from jobs_core.told import Batch, SummaryRow, Told, pack_batches, pack_told, parse_events, parse_rows
from jobs_core.wire import Others, parse_header

DAY = START_MS // 86_400_000


async def minute(engine: Engine, ms: int) -> Minute:
    ((day, first, last),) = minute_parts(ms // 60_000, 1)
    packed = await engine.call("GETRANGE", f"series:{day}", first, last)
    return parse_minutes(cast("bytes", packed), 1)[0]


async def events(engine: Engine) -> list[tuple[str, str, int]]:
    entries = cast("list[list[bytes]]", await engine.call("XRANGE", "events", "-", "+"))
    return [
        (each.told.kind, each.told.id, each.told.attempt)
        for entry, fields in entries
        for each in parse_events(entry, cast("list[bytes]", fields))[1]
    ]


async def rows(engine: Engine) -> list[SummaryRow]:
    entries = cast("list[list[bytes]]", await engine.call("XRANGE", "rows", "-", "+"))
    return [row for _, fields in entries for row, _ in parse_rows(cast("list[bytes]", fields))]


def row(job_id: str) -> SummaryRow:
    return SummaryRow(job_id, "send@1", "completed", 1, 2, 3, 4, 1005, 1)


def telling(*ids: str) -> Group:
    """What a worker tells of settlements, one for each id."""
    count = len(ids)
    fences, stamps, runs, waits = [2000] * count, [1000] * count, [1005] * count, [4] * count
    ended = Batch("completed", "send@1", list(ids), [1] * count, stamps, fences, runs, waits)
    return Group("tell", "", [count, pack_batches("w1", [ended]), 1, ""])


async def test_minutes_count_what_happened_in_them(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    await engine.add("d", delay_ms=1)
    a, b, c = (await engine.claim()).jobs
    first = engine.ms
    await engine.advance(60)
    await engine.settle(
        group("complete", a, run_us=5000, wait_us=70),
        group("fail", b, run_us=1, wait_us=2),
        group("retry", c, arg=9, run_us=3, wait_us=4),
    )
    assert await minute(engine, first) == Minute(added=4)
    assert await minute(engine, engine.ms) == Minute(0, 1, 1, 1, 76, 5004)


async def test_a_day_is_kept_for_90(engine: Engine) -> None:
    await engine.add("a")
    await engine.advance(90 * 86_400)
    await engine.add("b")
    await engine.scripts.trim(engine.queue)
    assert await engine.ids("series.due") == [str(DAY), str(DAY + 90)]
    await engine.advance(86_400)
    await engine.scripts.trim(engine.queue)
    assert await engine.ids("series.due") == [str(DAY + 90)]
    assert await engine.call("EXISTS", f"series:{DAY}") == 0


async def test_histograms_add_up(engine: Engine) -> None:
    for job_id in ("a", "b"):
        await engine.add(job_id)
        jobs = (await engine.claim()).jobs
        items = measure_items([2500], [500])
        assert await engine.settle(group("complete", *jobs), Group("measure", "send@1", items)) == b"1"
    run, wait = parse_histograms(cast("bytes", await engine.call("GET", "hist:send@1")))
    assert (run.counts[3], wait.counts[0], run.total, wait.total) == (2, 2, 2, 2)
    assert await engine.ids("hist.names") == ["send@1"]


async def test_a_hundred_names_have_their_own_histogram(engine: Engine) -> None:
    for number in range(102):
        await engine.settle(Group("measure", f"n{number}@1", measure_items([1], [1])))
    names = await engine.ids("hist.names")
    assert len(names) == 101
    run, _ = parse_histograms(cast("bytes", await engine.call("GET", "hist:other")))
    assert run.total == 2


async def test_errors_are_counted_by_type_up_to_fifty(engine: Engine) -> None:
    await engine.settle(Group("error", "send@1", ["ValueError", 2, "", "", "timeout", 1, "", ""]))
    await engine.settle(Group("error", "send@1", ["ValueError", 1, "", ""]))
    assert (await engine.tally()).errors == {"send@1:ValueError": 3, "send@1:timeout": 1}
    for number in range(60):
        await engine.settle(Group("error", "send@1", [f"E{number}", 1, "", ""]))
    errors = (await engine.tally()).errors
    assert (len(errors), errors["send@1:other"]) == (51, 12)


async def test_the_peak_is_the_most_that_ever_ran_at_once(engine: Engine) -> None:
    await engine.add("a", "b", "c", "d")
    first = (await engine.claim(2)).jobs
    second = (await engine.claim(1, owner="w2")).jobs
    await engine.settle(group("complete", *first))
    await engine.claim(1)
    await engine.scripts.release(engine.queue, owner="w1")
    assert (await engine.tally()).peak == 3
    assert (await engine.hash("meta"))["active"] == b"1"
    await engine.settle(group("complete", *second), owner="w2")
    assert (await engine.hash("meta"))["active"] == b"0"


async def test_trim_counts_anew_how_many_run(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim()
    await engine.call("HSET", "meta", "active", 7)
    await engine.scripts.trim(engine.queue)
    assert (await engine.hash("meta"))["active"] == b"1"


async def test_rows_are_kept_of_the_last_ten_thousand(engine: Engine) -> None:
    for number in range(100):
        await engine.settle(telling(*(f"{number}-{i}" for i in range(120))))
    kept = await rows(engine)
    assert 10_000 <= len(kept) < 10_500
    assert (kept[-1].id, (await engine.hash("meta"))["rows"]) == ("99-119", b"12000")


async def test_a_row_of_a_refused_delivery_is_none(engine: Engine) -> None:
    await engine.add("a", "b")
    a, b = (await engine.claim()).jobs
    await engine.scripts.release(engine.queue, owner="w1")
    (again, _) = (await engine.claim(owner="w2")).jobs
    assert await engine.settle(group("complete", a, b), telling("a", "b"), owner="w2") == b"00"
    assert await rows(engine) == []
    assert ("completed", "a", 1) not in await events(engine)
    assert await engine.settle(group("complete", again, b), telling("a", "b"), owner="w2") == b"10"
    assert [each.id for each in await rows(engine)] == ["a"]


async def test_a_poisoned_job_has_a_row_an_error_and_events(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    await engine.add("a")
    await engine.claim()
    await engine.advance(5)
    await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    (one,) = await rows(engine)
    assert one == SummaryRow("a", "send@1", "failed", START_MS, 0, engine.ms, 0, 0, 0, "poison")
    assert await events(engine) == [
        ("added", "a", 0),
        ("active", "a", 1),
        ("stalled", "a", 1),
        ("failed", "a", 0),
    ]
    assert (await engine.tally()).errors == {"send@1:crash": 1}


async def test_the_events_of_a_life(engine: Engine) -> None:
    await engine.add("a")
    await engine.add("b", name="other@2", delay_ms=1000)
    await engine.scripts.promote(engine.queue, ids=["b"])
    a, b = (await engine.claim()).jobs
    told = pack_told(
        [Told("progress", "a", "send@1", 1, data=b"50"), Told("progress", "b", "other@2", 1, data=b"1")]
    )
    items = ["a", a.fence, b"50", "b", b.fence + 1, b"1"]
    assert await engine.scripts.progress(engine.queue, owner="w1", told=told, items=items) == b"10"
    await engine.settle(group("fail", a, keep_count=-1), group("unroutable", b, name="other@2"))
    await engine.scripts.retry(engine.queue, ids=["a"])
    await engine.scripts.reroute(engine.queue, offset=0, names=["*"])
    await engine.scripts.remove(engine.queue, ids=["a"])
    await engine.scripts.drain(engine.queue, home="waiting", limit=9)
    await engine.scripts.pause(engine.queue)
    await engine.scripts.resume(engine.queue)
    await engine.scripts.resume(engine.queue)
    assert await events(engine) == [
        ("added", "a", 0),
        ("added", "b", 0),
        ("promoted", "b", 0),
        ("active", "a", 1),
        ("active", "b", 1),
        ("progress", "a", 1),
        ("replayed", "a", 0),
        ("rerouted", "b", 0),
        ("removed", "a", 0),
        ("removed", "b", 0),
        ("paused", "", 0),
        ("resumed", "", 0),
    ]


async def test_entries_follow_one_another_without_a_gap(engine: Engine) -> None:
    for number in range(5):
        await engine.add(f"a{number}", f"b{number}")
    entries = cast("list[list[bytes]]", await engine.call("XRANGE", "events", "-", "+"))
    places = [(parse_events(entry, cast("list[bytes]", fields))[0], entry) for entry, fields in entries]
    assert all(f"{begins}-0".encode() == before for (_, before), (begins, _) in pairwise(places))


async def test_the_events_of_what_people_change(engine: Engine) -> None:
    scripts, queue = engine.scripts, engine.queue
    await engine.add("a", "b")
    await engine.settle(group("retry", *(await engine.claim(1)).jobs, arg=60_000))
    await scripts.reschedule(queue, run_at_ms=engine.ms + 5000, ids=["a", "none"])
    await scripts.priority(queue, priority=1, ids=["b", "a"])
    await scripts.pause(queue, what="key:one\nand two", actor="ada", reason="why\nnot")
    await scripts.pause(queue, what="job:send", actor="ada")
    await scripts.resume(queue, what="job:send")
    await scripts.resume(queue, what="job:other")
    await scripts.obliterate(queue, force=False)
    await scripts.obliterate(queue, force=False)
    at = datetime.fromtimestamp((engine.ms + 5000) / 1000, UTC)
    entries = cast("list[list[bytes]]", await engine.call("XRANGE", "events", "-", "+"))
    told = [
        each.told for entry, fields in entries for each in parse_events(entry, cast("list[bytes]", fields))[1]
    ]
    assert [
        (each.kind, each.id, each.attempt, msgspec.json.decode(each.data or b"0")) for each in told[3:]
    ] == [
        ("rescheduled", "a", 1, {"run_at": at.isoformat().replace("+00:00", "Z")}),
        ("reprioritized", "b", 0, {"priority": "critical"}),
        ("reprioritized", "a", 1, {"priority": "critical"}),
        ("paused", "", 0, {"by": "ada", "reason": "why\nnot", "key": "one\nand two"}),
        ("paused", "", 0, {"by": "ada", "reason": "", "job": "send"}),
        ("resumed", "", 0, {"by": "", "reason": "", "job": "send"}),
        ("obliterated", "", 0, {"jobs": 2}),
    ]


async def told_of_the_queue(engine: Engine) -> list[tuple[str, object]]:
    entries = cast("list[tuple[bytes, list[bytes]]]", await engine.call("XRANGE", "events", "-", "+"))
    told = [each.told for entry, fields in entries for each in parse_events(entry, fields)[1]]
    return [(each.kind, msgspec.json.decode(each.data)) for each in told if not each.id and each.data]


async def test_a_pause_that_ends_by_itself_is_told_once(engine: Engine) -> None:
    await engine.scripts.pause(engine.queue, for_ms=5000, actor="ada", reason="lunch")
    await engine.scripts.pause(engine.queue, what="job:send", for_ms=5000)
    await engine.scripts.pause(engine.queue, what="key:7", for_ms=5000)
    await engine.advance(4)
    await engine.claim()
    await engine.scripts.trim(engine.queue)
    assert [kind for kind, _ in await told_of_the_queue(engine)] == ["paused"] * 3
    await engine.advance(1)
    for _ in range(2):
        await engine.claim()
        await engine.scripts.trim(engine.queue)
    over = {"by": "", "reason": "its time was over"}
    told = [data for kind, data in await told_of_the_queue(engine) if kind == "resumed"]
    assert told[0] == over
    assert sorted(map(str, told[1:])) == sorted(map(str, [{**over, "job": "send"}, {**over, "key": "7"}]))
    assert not any(
        field.startswith(("pause", "why")) and field != "pauses" for field in await engine.hash("cfg")
    )


async def test_a_pause_that_is_over_is_told_before_the_next_one(engine: Engine) -> None:
    await engine.scripts.pause(engine.queue, for_ms=5000)
    await engine.advance(5)
    assert await engine.scripts.pause(engine.queue) is True
    assert [kind for kind, _ in await told_of_the_queue(engine)] == ["paused", "resumed", "paused"]


async def test_the_events_of_schedules(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(misfire="skip", pause_on_failure=True)
    await engine.advance(200)
    assert await scheduling.tick() == 0
    await scheduling.book.pause(engine.queue, "minutely", actor="ada", reason="lunch")
    await scheduling.book.pause(engine.queue, "minutely", actor="bob")
    await scheduling.book.resume(engine.queue, "minutely")
    await engine.advance(20)
    assert await scheduling.tick() == 1
    (job,) = (await engine.claim()).jobs
    await engine.settle(group("fail", job, arg=parse_header(job.record).flags))
    await scheduling.book.remove(engine.queue, "minutely")
    named = {"schedule": "minutely"}
    assert await told_of_the_queue(engine) == [
        ("scheduled", named),
        ("misfired", {**named, "skipped": 3}),
        ("paused", {**named, "by": "ada", "reason": "lunch"}),
        ("resumed", {**named, "by": "", "reason": ""}),
        ("paused", {**named, "by": "", "reason": f"its run {job.id} failed"}),
        ("unscheduled", named),
    ]


async def test_events_are_cut_at_four_mebibytes(engine: Engine) -> None:
    for _ in range(60):
        await engine.settle(Group("tell", "", [0, b"x" * 100_000, 1, ""]))
    entries = cast("list[tuple[bytes, list[bytes]]]", await engine.call("XRANGE", "events", "-", "+"))
    assert 4_100_000 <= sum(len(fields[3]) for _, fields in entries) <= 4_400_000


@pytest.mark.parametrize(
    ("off", "gone"),
    [
        ("metrics", {"series", "hist"}),
        ("events", {"events"}),
        ("metrics,events", {"series", "hist", "events"}),
    ],
)
async def test_what_is_off_is_not_written(engine: Engine, off: str, gone: set[str]) -> None:
    await engine.scripts.declare(engine.queue, definition="d", off=off, fields={})
    await engine.add("a")
    jobs = (await engine.claim()).jobs
    measured = Group("measure", "send@1", measure_items([1], [1]))
    await engine.settle(group("complete", *jobs, run_us=1, wait_us=1), measured, telling("a"))
    found = cast("list[bytes]", await engine.client.call("KEYS", "*"))
    kinds = {each.decode().removeprefix(engine.key).partition(":")[0].partition(".")[0] for each in found}
    assert {"series", "hist", "events", "rows"} - kinds == gone
    assert (await engine.stats())["completed:send@1"] == 1


async def test_what_is_off_stays_so_until_a_worker_says_otherwise(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", off="events", fields={})
    await engine.scripts.declare(engine.queue, definition="other", fields={})
    await engine.add("a")
    assert await events(engine) == []
    await engine.scripts.declare(engine.queue, definition="other", off="", fields={})
    await engine.add("b")
    assert await events(engine) == [("added", "b", 0)]


@pytest.mark.parametrize(
    "key", ["events", "rows", "series.due", f"series:{DAY}", "hist:send@1", "hist.names", "errors"]
)
async def test_a_key_that_is_not_ours_holds_up_nothing(damaged: Engine, key: str) -> None:
    kind = ("HSET", "f", 1) if key.startswith(("series:", "hist:")) else ("SET", "of another type")
    await damaged.call(kind[0], key, *kind[1:])
    await damaged.add("a")
    jobs = (await damaged.claim()).jobs
    measured = Group("measure", "send@1", measure_items([1], [1]))
    failed = Group("error", "send@1", ["ValueError", 1, "", ""])
    assert (
        await damaged.settle(group("complete", *jobs, run_us=1, wait_us=1), measured, failed, telling("a"))
        == b"1"
    )
    assert await damaged.state("a") == ""


async def test_a_call_sent_again_tells_nothing_twice(engine: Engine) -> None:
    await engine.add("a")
    jobs = (await engine.claim()).jobs
    measured = Group("measure", "send@1", measure_items([1], [1]))
    groups = (group("complete", *jobs, run_us=1, wait_us=1), measured, telling("a"))
    assert await engine.settle(*groups) == b"1"
    before = await events(engine), await rows(engine), await engine.call("GET", "hist:send@1")
    engine.seqs["w1:settle"] -= 1
    assert await engine.settle(*groups) == b"1"
    assert before == (await events(engine), await rows(engine), await engine.call("GET", "hist:send@1"))
