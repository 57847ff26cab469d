"""Ways in which a flow might wait for ever, or be told twice: each of them once was one."""

import msgspec
import pytest
from tests.support.engine import NAME, draft, group
from tests.support.flowing import Flowing

from jobs_core.flows.edges import Edge, Mode, failure_edge, joined
from jobs_core.options import resolve
from jobs_core.outbox import arguments
from jobs_core.queue import Queue
from jobs_core.wire import (
    EFFECTS,
    OWN_ID,
    Envelope,
    FinishInfo,
    encode_envelope,
    encode_finish,
    pack_drafts,
)

FLAGS = OWN_ID | EFFECTS
ENVELOPE = encode_envelope(Envelope(resolve(Queue("mail").dynamic_job("send"), {}).policy, b"{}"))


def packed(*parts: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4, "big") + each for each in parts)


def callback(job_id: str) -> bytes:
    """Return a callback as `flow_open` takes it."""
    return packed(b"mail", b"jobs", msgspec.msgpack.encode(pack_drafts([draft(job_id, flags=OWN_ID)])))


@pytest.mark.parametrize("home", ["waiting", "delayed"])
async def test_a_child_that_is_drained_resolves_its_edge(flowing: Flowing, home: str) -> None:
    await flowing.parent("p", 1)
    edge = Edge("mail", "p", 0, Mode.IGNORE)
    delay = 60_000 if home == "delayed" else 0
    await flowing.kids.add("k", flags=FLAGS, options=f"edges={edge}", delay_ms=delay)
    await flowing.kids.scripts.drain("kids", home=home, limit=9)
    await flowing.settle_all()
    assert (await flowing.home.state("p"), await flowing.ends("p")) == ("waiting", {0: "r"})


async def test_children_that_end_before_their_running_parent_waits(flowing: Flowing) -> None:
    await flowing.home.add("p", flags=OWN_ID)
    (job,) = (await flowing.home.claim(1)).jobs
    await flowing.child("a", "p", 0)
    await flowing.child("b", "p", 1)
    await flowing.run()
    await flowing.home.settle(group("wait", job, arg=2, info=b""))
    assert await flowing.home.state("p") == "waiting"


async def test_a_child_that_fails_before_its_running_parent_waits_fails_it(flowing: Flowing) -> None:
    await flowing.home.add("p", flags=OWN_ID)
    (job,) = (await flowing.home.claim(1)).jobs
    await flowing.child("a", "p", 0)
    jobs = (await flowing.kids.claim()).jobs
    await flowing.kids.settle(group("fail", *jobs, arg=FLAGS, info=b"poison 1 0"))
    await flowing.settle_all()
    await flowing.home.settle(group("wait", job, arg=2, info=b""))
    assert await flowing.home.state("p") == "failed"


async def test_a_parent_that_counts_fewer_than_it_added_still_runs(flowing: Flowing) -> None:
    await flowing.home.add("p", flags=OWN_ID)
    (job,) = (await flowing.home.claim(1)).jobs
    await flowing.home.settle(group("wait", job, arg=2, info=b""))
    for i in range(3):
        await flowing.child(f"k{i}", "p", i)
    await flowing.run(1)
    assert await flowing.home.state("p") == "blocked"
    await flowing.run(2)
    assert await flowing.home.state("p") == "waiting"


async def test_a_job_that_waits_for_none_runs(flowing: Flowing) -> None:
    await flowing.parent("p", 0)
    assert await flowing.home.state("p") == "waiting"


async def test_no_callback_comes_of_a_cancelled_flow(flowing: Flowing) -> None:
    await flowing.open(success=callback("s"), failure=callback("f"), complete=callback("c"))
    await flowing.fill(3)
    await flowing.settle_all()
    await flowing.home.scripts.flow_cancel("mail", flow_id="f")
    await flowing.settle_all()
    assert (await flowing.told()).counts["x"] == 3
    assert await flowing.home.ids("waiting") == []


async def test_a_flow_that_was_left_open_stays_failed_though_its_jobs_complete(flowing: Flowing) -> None:
    await flowing.open(success=callback("s"), failure=callback("f"), complete=callback("c"))
    await flowing.fill(2)
    await flowing.settle_all()
    await flowing.home.advance(61)
    flowing.kids.us = flowing.home.us
    await flowing.home.scripts.trim("mail")
    await flowing.run()
    assert (await flowing.told()).state == "failed"
    assert sorted(await flowing.home.ids("waiting")) == ["c", "f"]


async def test_a_flow_that_was_never_closed_is_forgotten_and_its_waiters_hear_it(flowing: Flowing) -> None:
    await flowing.open(state="staging")
    await flowing.home.scripts.flow_show("mail", inbox="me", flow_id="f")
    await flowing.home.advance(61)
    await flowing.home.scripts.trim("mail")
    assert (await flowing.told()).kind == ""
    assert await flowing.home.hash("waiters") == {}


async def test_a_job_that_waits_may_have_the_id_of_a_flow(flowing: Flowing) -> None:
    await flowing.open("same")
    await flowing.fill(1, "same")
    await flowing.parent("same", 1)
    await flowing.child("k", "same")
    await flowing.settle_all()
    await flowing.home.scripts.flow_close("mail", flow_id="same")
    await flowing.run()
    await flowing.settle_all()
    assert (await flowing.told("same")).state == "completed"
    assert await flowing.home.take() == ["same"]
    await flowing.home.settle(group("complete", *(await flowing.home.claim()).jobs))
    assert (await flowing.told("same")).state == "completed"


async def test_a_large_result_is_written_once_for_all_who_follow(flowing: Flowing) -> None:
    for i in range(200):
        await flowing.parent(f"p{i}", 1)
    edges = joined(Edge("mail", f"p{i}", 0, Mode.FAIL_PARENT) for i in range(200))
    await flowing.kids.add("k", flags=FLAGS, options=f"edges={edges}")
    await flowing.kids.settle(
        group("fail", *(await flowing.kids.claim()).jobs, arg=FLAGS, info=b"poison 1 0")
    )
    page = await flowing.kids.scripts.outbox("kids")
    (entry,) = [each for each in page.entries if each.target == "mail"]
    assert [len(each) for each in arguments("kids", entry)] == [2 + 6 * 128, 2 + 6 * 72]
    await flowing.settle_all()
    assert len(await flowing.home.ids("failed")) == 200


async def test_known_jobs_with_large_results_are_told_of_step_by_step(flowing: Flowing) -> None:
    ids = [f"k{i}" for i in range(3)]
    await flowing.kids.add(*ids, flags=OWN_ID)
    jobs = (await flowing.kids.claim()).jobs
    info = encode_finish(FinishInfo("completed", NAME, 1, 1, 0, 1, 0, 1, 1, 0, 0, "w", b"x" * 400_000, None))
    await flowing.kids.settle(group("complete", *jobs, arg=1, info=info, keep_count=-1))
    await flowing.parent("p", 3)
    drafts = [
        draft(each, flags=FLAGS, options=f"edges={Edge('mail', 'p', i, Mode.IGNORE)}")
        for i, each in enumerate(ids)
    ]
    flowing.kids.seqs["late"] += 1
    await flowing.kids.scripts.enqueue("kids", session="late", seq=1, jobs=pack_drafts(drafts))
    await flowing.settle_all()
    assert (await flowing.told("p")).resolved == 2
    assert await flowing.kids.scripts.tend("kids") == (False, 1)
    await flowing.settle_all()
    assert await flowing.home.state("p") == "waiting"


async def test_a_skipped_job_is_kept_as_cancelled_ones_are(flowing: Flowing) -> None:
    await flowing.home.declare(**{"keep:cancelled:count": 0})
    await flowing.parent("p", 1)
    await flowing.child("k", "p", mode=Mode.AFTER_FAILURE)
    await flowing.run()
    assert await flowing.home.state("p") == ""


async def test_a_job_that_waits_twice_over_runs_when_both_have_ended(flowing: Flowing) -> None:
    """It waits behind the job with its unique key, and for another."""
    home = flowing.home
    await home.add("first", flags=OWN_ID, unique="dkey", options="conflict=keep_last")
    (first,) = (await home.claim(1)).jobs
    await home.add("p", flags=OWN_ID, unique="dkey", options="conflict=keep_last,blocks=1")
    await flowing.child("k", "p")
    await flowing.run()
    assert await home.state("p") == "blocked"
    await home.settle(group("complete", first, arg=17))
    assert await home.state("p") == "waiting"


async def test_a_job_behind_another_waits_on_when_that_one_ended(flowing: Flowing) -> None:
    home = flowing.home
    await home.add("first", flags=OWN_ID, unique="dkey", options="conflict=keep_last")
    (first,) = (await home.claim(1)).jobs
    await home.add("p", flags=OWN_ID, unique="dkey", options="conflict=keep_last,blocks=1")
    await home.settle(group("complete", first, arg=17))
    assert await home.state("p") == "blocked"
    assert await home.add("other", flags=OWN_ID, unique="dkey", options="conflict=skip") == b"s\np"
    await flowing.child("k", "p")
    await flowing.run()
    assert await home.state("p") == "waiting"


async def test_a_parent_obliterated_and_added_again_counts_anew(flowing: Flowing) -> None:
    await flowing.parent("p", 2)
    await flowing.child("a", "p", 0)
    await flowing.run()
    await flowing.home.scripts.obliterate("mail", force=True)
    await flowing.parent("p", 2)
    await flowing.child("b", "p", 1)
    await flowing.run()
    assert await flowing.home.state("p") == "blocked"
    await flowing.home.scripts.trim("mail")
    await flowing.child("c", "p", 0)
    await flowing.run()
    assert await flowing.home.state("p") == "waiting"


async def test_who_follows_a_failure_alone_and_who_waits_both_hear_of_it(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    edge = Edge("mail", "p", 0, Mode.IGNORE)
    edges = joined([edge, failure_edge("mail", [draft("alarm", flags=OWN_ID, envelope=ENVELOPE)])])
    await flowing.kids.add("k", flags=FLAGS, options=f"edges={edges}")
    jobs = (await flowing.kids.claim()).jobs
    await flowing.kids.settle(group("fail", *jobs, arg=FLAGS, info=b"poison 1 0"))
    await flowing.settle_all()
    assert sorted(await flowing.home.ids("waiting")) == ["alarm", "p"]


async def test_a_completed_child_that_is_told_of_as_missing_later_fails_nobody(flowing: Flowing) -> None:
    await flowing.parent("p", 2)
    await flowing.child("a", "p", 0)
    await flowing.run()
    assert await flowing.child("a", "p", 0) == b"0"
    await flowing.child("b", "p", 1)
    await flowing.settle_all()
    assert await flowing.home.state("p") == "blocked"
    await flowing.run()
    assert await flowing.home.state("p") == "waiting"


async def test_many_that_fail_at_once_may_be_followed_by_many_each(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    for i in range(4):
        followers = [draft(f"alarm{i}.{k}", flags=OWN_ID, envelope=ENVELOPE) for k in range(50)]
        edges = [failure_edge("mail", followers)]
        if i == 3:
            edges.append(str(Edge("mail", "p", 0, Mode.IGNORE)))
        await flowing.kids.add(f"k{i}", flags=FLAGS, options=f"edges={joined(edges)}")
    jobs = (await flowing.kids.claim()).jobs
    await flowing.kids.settle(group("fail", *jobs, arg=FLAGS, info=b"poison 1 0"))
    await flowing.settle_all()
    assert len(await flowing.home.ids("waiting")) == 201
    assert await flowing.kids.call("EXISTS", "out") == 0
