"""Every end of a job, and what each kind of edge makes of it: no job that waits for others can wait for ever."""

import pytest
from tests.support.engine import group
from tests.support.flowing import Flowing

from jobs_core.flows.edges import Edge
from jobs_core.flows.modes import Mode, Sign
from jobs_core.wire import EFFECTS, OWN_ID, Others, child_note

FLAGS = OWN_ID | EFFECTS


async def end(flowing: Flowing, job_id: str, sign: Sign, mode: Mode, ordinal: int = 0) -> None:
    """Bring a child of the parent `p` to one of its ends."""
    kids = flowing.kids
    if sign is Sign.EXPIRED:
        edge = Edge("mail", "p", ordinal, mode)
        await kids.add(job_id, flags=FLAGS, options=f"expires=1000,edges={edge}")
        await flowing.home.advance(2)
        kids.us = flowing.home.us
        await kids.scripts.trim("kids")
        return
    if sign is Sign.SKIPPED:
        edge = Edge("mail", "p", ordinal, mode)
        await kids.add("cause", flags=FLAGS, options=f"edges={Edge('kids', job_id, 0, Mode.AFTER_FAILURE)}")
        await kids.add(job_id, flags=FLAGS, options=f"blocks=1,edges={edge}")
        await kids.settle(group("complete", *(await kids.claim(1)).jobs, arg=FLAGS, info=b""))
        return
    await flowing.child(job_id, "p", ordinal, mode)
    if sign is Sign.REMOVED:
        await kids.scripts.remove("kids", ids=[job_id])
    elif sign is Sign.CANCELLED:
        await kids.scripts.cancel("kids", ids=[job_id])
    else:
        verb, info = ("fail", b"poison 1 0") if sign is Sign.FAILED else ("complete", b"")
        jobs = (await kids.claim(1)).jobs
        await kids.settle(group(verb, *jobs, arg=FLAGS, info=info, keep_count=-1))


@pytest.mark.parametrize("sign", [each for each in Sign if each is not Sign.MISSING])
@pytest.mark.parametrize("mode", [each for each in Mode if not each.is_own and each is not Mode.CONTINUE])
async def test_the_last_end_decides(flowing: Flowing, sign: Sign, mode: Mode) -> None:
    await flowing.parent("p", 2)
    await flowing.child("other", "p", 1, mode=Mode.IGNORE)
    await flowing.run(1)
    assert await flowing.home.state("p") == "blocked"
    await end(flowing, "k", sign, mode)
    await flowing.settle_all()
    ok, skipped = sign is Sign.COMPLETED, sign is Sign.SKIPPED
    runs = {
        Mode.FAIL_PARENT: ok,
        Mode.IGNORE: True,
        Mode.REMOVE: True,
        Mode.AFTER_SUCCESS: ok,
        Mode.AFTER_FAILURE: not ok and not skipped,
        Mode.AFTER_ALL: not skipped,
    }
    fails = mode is Mode.FAIL_PARENT and not skipped
    expected = "waiting" if runs[mode] else "failed" if fails else "cancelled"
    assert await flowing.home.state("p") == expected
    if not runs[mode]:
        (found,) = await flowing.home.scripts.lookup("mail", ids=["p"])
        assert child_note(found.info) == (sign.value, "kids", "k")


@pytest.mark.parametrize("sign", [Sign.FAILED, Sign.CANCELLED, Sign.EXPIRED, Sign.REMOVED])
async def test_a_parent_that_continues_waits_for_no_other(flowing: Flowing, sign: Sign) -> None:
    await flowing.parent("p", 3)
    await end(flowing, "k", sign, Mode.CONTINUE)
    await flowing.settle_all()
    assert await flowing.home.state("p") == "waiting"
    assert await flowing.ends("p") == {0: sign.value}


@pytest.mark.parametrize("mode", [Mode.FAIL_PARENT, Mode.IGNORE])
async def test_a_child_that_ends_before_its_parent_is_there_is_remembered(
    flowing: Flowing, mode: Mode
) -> None:
    await end(flowing, "k", Sign.FAILED, mode)
    await flowing.settle_all()
    await flowing.parent("p", 1)
    assert await flowing.home.state("p") == ("failed" if mode is Mode.FAIL_PARENT else "waiting")
    assert await flowing.home.ids("early") == []


async def test_what_nobody_asks_for_is_forgotten_after_a_day(flowing: Flowing) -> None:
    await end(flowing, "k", Sign.REMOVED, Mode.IGNORE)
    await flowing.settle_all()
    assert await flowing.home.ids("early") == ["p"]
    await flowing.home.advance(86_401)
    await flowing.home.scripts.trim("mail")
    assert (await flowing.home.ids("early"), await flowing.home.hash("join:p")) == ([], {})


async def test_ends_of_a_parent_that_is_gone_are_left_alone(flowing: Flowing) -> None:
    await flowing.parent("p", 2)
    await flowing.child("a", "p", 0)
    await flowing.child("b", "p", 1)
    await flowing.home.scripts.remove("mail", ids=["p"])
    await flowing.run()
    assert (await flowing.home.state("p"), await flowing.home.ids("early")) == ("", [])


async def test_a_failed_parent_fails_its_own(flowing: Flowing) -> None:
    await flowing.parent("top", 1)
    await flowing.home.add(
        "p", flags=FLAGS, options=f"blocks=1,edges={Edge('mail', 'top', 0, Mode.FAIL_PARENT)}"
    )
    await end(flowing, "k", Sign.FAILED, Mode.FAIL_PARENT)
    await flowing.settle_all()
    assert [await flowing.home.state(each) for each in ("p", "top")] == ["failed", "failed"]


async def test_a_parent_with_a_delay_is_delayed_when_its_children_have_ended(flowing: Flowing) -> None:
    await flowing.parent("p", 1, delay_ms=60_000)
    await flowing.child("k", "p")
    await flowing.run()
    assert await flowing.home.state("p") == "delayed"
    await flowing.home.advance(61)
    assert await flowing.home.take() == ["p"]


async def test_a_parent_waits_from_when_it_may_run(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    await flowing.child("k", "p")
    await flowing.home.advance(3600)
    flowing.kids.us = flowing.home.us
    await flowing.home.add("later")
    await flowing.run()
    assert await flowing.home.ids("waiting") == ["later", "p"]


async def test_a_known_child_is_followed_as_if_it_were_new(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    await flowing.kids.add("k", flags=OWN_ID)
    assert await flowing.child("k", "p") == b"0"
    await flowing.run()
    assert await flowing.home.state("p") == "waiting"


async def test_a_child_whose_id_is_remembered_but_nothing_else_resolves_its_edge(flowing: Flowing) -> None:
    await flowing.kids.add("k", flags=OWN_ID)
    await flowing.run()
    await flowing.parent("p", 1)
    assert await flowing.child("k", "p", mode=Mode.IGNORE) == b"0"
    await flowing.settle_all()
    assert (await flowing.home.state("p"), await flowing.ends("p")) == ("waiting", {0: "m"})


async def test_a_child_that_is_skipped_as_a_duplicate_stands_for_itself(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    await flowing.kids.add("first", unique="dkey", options="conflict=skip", flags=OWN_ID)
    edge = Edge("mail", "p", 0, Mode.FAIL_PARENT)
    done = await flowing.kids.add("second", unique="dkey", options=f"conflict=skip,edges={edge}", flags=FLAGS)
    assert done == b"s\nfirst"
    jobs = (await flowing.kids.claim()).jobs
    await flowing.kids.settle(group("complete", *jobs, arg=FLAGS | 16, info=b""))
    await flowing.settle_all()
    assert await flowing.home.state("p") == "waiting"


async def test_an_obliterated_child_resolves_its_edge(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    await flowing.child("k", "p", mode=Mode.IGNORE)
    await flowing.kids.scripts.obliterate("kids", force=True)
    await flowing.kids.scripts.trim("kids")
    await flowing.settle_all()
    assert (await flowing.home.state("p"), await flowing.ends("p")) == ("waiting", {0: "r"})


async def test_a_child_that_kills_its_worker_resolves_its_edge(flowing: Flowing) -> None:
    await flowing.kids.declare(max_stalled=0)
    await flowing.parent("p", 1)
    await flowing.child("k", "p")
    await flowing.kids.take()
    await flowing.kids.scripts.release("kids", owner="w1", others=Others.CHARGED)
    await flowing.settle_all()
    assert await flowing.home.state("p") == "failed"


@pytest.mark.parametrize("verb", ["retry", "snooze", "release"])
async def test_a_child_that_runs_again_has_not_ended(flowing: Flowing, verb: str) -> None:
    await flowing.parent("p", 1)
    await flowing.child("k", "p")
    await flowing.kids.settle(group(verb, *(await flowing.kids.claim()).jobs, info=b""))
    await flowing.settle_all()
    assert await flowing.home.state("p") == "blocked"
    await flowing.run()
    assert await flowing.home.state("p") == "waiting"


async def test_a_running_parent_waits_for_children_that_it_adds(flowing: Flowing) -> None:
    await flowing.home.add("p", flags=OWN_ID)
    for n in (1, 2):
        (job,) = (await flowing.home.claim(1)).jobs
        assert await flowing.home.settle(group("wait", job, arg=n, info=b"")) == b"1"
        await flowing.child(f"k{n}", "p", n - 1)
        assert await flowing.home.state("p") == "blocked"
        await flowing.run()
        assert await flowing.home.state("p") == "waiting"


async def test_a_parent_that_waits_for_none_goes_on(flowing: Flowing) -> None:
    await flowing.home.add("p", flags=OWN_ID)
    await flowing.home.settle(group("wait", *(await flowing.home.claim(1)).jobs, arg=0, info=b""))
    assert await flowing.home.state("p") == "waiting"


async def test_a_parent_that_was_to_stop_waits_for_none(flowing: Flowing) -> None:
    await flowing.home.add("p", flags=OWN_ID)
    jobs = (await flowing.home.claim(1)).jobs
    await flowing.home.scripts.cancel("mail", ids=["p"])
    assert await flowing.home.settle(group("wait", *jobs, arg=1, info=b"")) == b"c"
    assert await flowing.home.state("p") == "cancelled"


async def test_a_blocked_parent_that_expires_or_is_cancelled_waits_no_more(flowing: Flowing) -> None:
    await flowing.parent("p", 1, options="expires=1000")
    await flowing.parent("c", 1)
    await flowing.home.scripts.cancel("mail", ids=["c"])
    await flowing.home.advance(2)
    await flowing.home.scripts.trim("mail")
    assert [await flowing.home.state(each) for each in ("p", "c")] == ["expired", "cancelled"]
