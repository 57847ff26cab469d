"""What the checker finds of flows, and mends."""

from collections.abc import AsyncIterator

import pytest
from tests.support.engine import Engine
from tests.support.flowing import Flowing
from tests.support.invariants import broken

from jobs_admin._calls import Calls
from jobs_admin._check import check
from jobs_core.connection import client_for, parse_address
from jobs_core.flows.edges import Edge, Mode
from jobs_core.wire import EFFECTS, OWN_ID

pytestmark = pytest.mark.damages


@pytest.fixture
async def flowing(redis_url: str, prefix: str) -> AsyncIterator[Flowing]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield Flowing(await Engine(client, prefix).start())
    await client.close()


async def codes(flowing: Flowing) -> list[str]:
    report = await check(Calls(flowing.home.scripts, 30), None)
    return sorted(each.code for each in report.breaches)


async def mended(flowing: Flowing) -> list[str]:
    """Mend what is broken, and return what is broken then."""
    await check(Calls(flowing.home.scripts, 30), None, repair=True)
    await flowing.settle_all()
    return await broken(flowing.home)


async def fill_all(flowing: Flowing) -> None:
    """Bring flows into every state, with jobs live, ended, on their way and kept back."""
    await flowing.parent("p", 3)
    await flowing.child("live", "p", 0)
    await flowing.child("done", "p", 1)
    await flowing.kids.take()
    await flowing.kids.scripts.release("kids", owner="w1")
    await flowing.child("gone", "p", 2, Mode.IGNORE)
    await flowing.kids.scripts.remove("kids", ids=["gone"])
    await flowing.child("early", "later", 0)
    await flowing.kids.scripts.remove("kids", ids=["early"])
    for flow in ("open", "running", "cancelled", "ended"):
        await flowing.open(flow)
        if flow != "ended":
            await flowing.fill(3, flow)
    await flowing.open("staging", state="staging")
    await flowing.fill(2, "staging")
    await flowing.open("sending", state="staging")
    for i in range(130):
        await flowing.fill(1, "sending", chunk=str(i))
    await flowing.home.scripts.flow_close("mail", flow_id="sending")
    for flow in ("running", "ended"):
        await flowing.home.scripts.flow_close("mail", flow_id=flow)
    await flowing.home.scripts.flow_cancel("mail", flow_id="cancelled")


async def test_flows_of_every_state_are_sound_before_and_after_they_are_carried(flowing: Flowing) -> None:
    await fill_all(flowing)
    assert await codes(flowing) == []
    await flowing.settle_all()
    assert await codes(flowing) == []
    await flowing.home.scripts.obliterate("mail", force=True)
    assert await codes(flowing) == []


@pytest.mark.parametrize("mode", [Mode.FAIL_PARENT, Mode.IGNORE])
async def test_a_job_that_waits_for_one_that_is_nowhere(flowing: Flowing, mode: Mode) -> None:
    await flowing.parent("p", 2)
    await flowing.child("a", "p", 0, mode)
    await flowing.kids.call("HDEL", "follows", "a")
    assert await codes(flowing) == ["stuck"]
    assert await mended(flowing) == []
    assert await flowing.home.state("p") == "failed"


async def test_a_flow_that_waits_for_jobs_that_are_nowhere_fails(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.fill(3)
    await flowing.settle_all()
    await flowing.close()
    await flowing.kids.call("HDEL", "follows", "f.1")
    assert await codes(flowing) == ["stuck"]
    assert await mended(flowing) == []
    await flowing.run()
    told = await flowing.told()
    assert (told.state, told.counts["m"], told.counts["c"]) == ("failed", 1, 2)


async def test_an_edge_of_a_job_that_is_gone_is_told_of(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    await flowing.kids.call("HSET", "follows", "nobody", str(Edge("mail", "p", 0, Mode.IGNORE)))
    assert await codes(flowing) == ["leftover"]
    assert await mended(flowing) == []
    assert await flowing.home.state("p") == "waiting"


@pytest.mark.parametrize(
    ("suffix", "field", "value"),
    [
        ("join:p", "resolved", 0),
        ("join:p", "f", 1),
        ("join:p", "n", 1),
        ("flow:f", "resolved", 2),
        ("flow:f", "c", 3),
    ],
)
async def test_what_is_counted_wrongly(flowing: Flowing, suffix: str, field: str, value: int) -> None:
    await flowing.parent("p", 2)
    for i in range(2):
        await flowing.child(f"k{i}", "p", i)
    await flowing.open()
    await flowing.fill(2)
    await flowing.run(1)
    await flowing.home.call("HSET", suffix, field, value)
    if field == "n":
        assert "blocked" in await codes(flowing)
    else:
        assert await codes(flowing) == ["flow"]
    assert await mended(flowing) == []


async def test_a_blocked_job_that_waits_for_nobody_runs(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    await flowing.home.call("ZREM", "joins", "p")
    await flowing.home.call("DEL", "join:p")
    assert await codes(flowing) == ["blocked"]
    assert await mended(flowing) == []
    assert await flowing.home.state("p") == "waiting"


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("ZREM", ("flows.due", "open")),
        ("ZREM", ("flows", "running")),
        ("ZADD", ("flows.ended", "1", "running")),
        ("ZREM", ("flows.ended", "ended")),
        ("ZADD", ("flows", "1", "ended")),
        ("ZADD", ("flows", "1", "unheard-of")),
        ("ZREM", ("flows.due", "sending")),
        ("HSET", ("flow.nodes:lost", "0", "x")),
        ("SETBIT", ("join.done:lost", "0", "1")),
        ("ZADD", ("joins", "1", "lost")),
    ],
)
async def test_what_is_listed_wrongly(flowing: Flowing, command: str, args: tuple[str, ...]) -> None:
    await fill_all(flowing)
    await flowing.settle_all()
    await flowing.home.call(command, *args)
    assert await codes(flowing) in (["flow"], ["leftover"], ["flow", "leftover"])
    assert await mended(flowing) == []


async def test_a_job_that_is_there_and_held_for_one_to_come(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    await flowing.kids.add("k", flags=OWN_ID | EFFECTS, options=f"edges={Edge('mail', 'p', 0, Mode.IGNORE)}")
    await flowing.home.call("ZADD", "early", "9e15", "p")
    assert await codes(flowing) == ["flow"]
    assert await mended(flowing) == []
    await flowing.run()
    assert await flowing.home.state("p") == "waiting"


async def test_who_waits_in_vain_is_found_also_where_one_queue_is_judged(flowing: Flowing) -> None:
    await flowing.parent("p", 2)
    await flowing.child("there", "p", 0)
    await flowing.child("lost", "p", 1)
    await flowing.settle_all()
    calls = Calls(flowing.home.scripts, 30)
    assert (await check(calls, "mail")).breaches == ()
    await flowing.kids.call("HDEL", "follows", "lost")
    (breach,) = (await check(calls, "mail")).breaches
    assert (breach.code, breach.about) == ("stuck", ("j 1 p",))
    await check(calls, "mail", repair=True)
    await flowing.settle_all()
    assert await flowing.home.state("p") == "failed"
