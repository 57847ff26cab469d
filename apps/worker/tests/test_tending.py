"""What ends in a queue that no worker serves is told all the same to who waits for it."""

from collections.abc import AsyncIterator, Collection

import pytest
from tests.support.engine import Engine
from tests.support.flowing import Flowing

from jobs_core.connection import client_for, parse_address
from jobs_core.flows.edges import Mode
from jobs_core.registry import QueueEntry, announce_queue
from jobs_worker.tending import Tender


@pytest.fixture
async def flowing(redis_url: str, prefix: str) -> AsyncIterator[Flowing]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield Flowing(await Engine(client, prefix).start())
    await client.close()


async def nothing(_listed: Collection[str]) -> None:
    """Serve no queue."""


@pytest.mark.parametrize("verb", ["cancel", "remove", "drain", "obliterate"])
async def test_who_waits_hears_of_an_end_that_nobody_carried_on(flowing: Flowing, verb: str) -> None:
    for queue in ("mail", "kids", "aside"):
        await announce_queue(flowing.home.client, flowing.home.scripts.prefix, QueueEntry(queue=queue))
    await flowing.parent("p", 1)
    await flowing.child("k", "p", mode=Mode.IGNORE)
    tender = Tender(flowing.home.scripts, flowing.relay, nothing)
    assert tender.pause == 1
    scripts = flowing.kids.scripts
    if verb in {"cancel", "remove"}:
        await getattr(scripts, verb)("kids", ids=["k"])
    elif verb == "drain":
        await scripts.drain("kids", home="waiting", limit=9)
    else:
        await scripts.obliterate("kids", force=True)
    for _ in range(3):
        await tender.run_once()
    assert tender.pause == pytest.approx(10 / 3), "an idle worker looks at each queue once in ten seconds"
    assert await flowing.home.state("p") == "blocked"
    await flowing.home.advance(6.1)
    for _ in range(3):
        await tender.run_once()
    assert await flowing.home.state("p") == "waiting"


async def test_a_server_without_queues_is_left_alone(flowing: Flowing) -> None:
    await Tender(flowing.home.scripts, flowing.relay, nothing).run_once()
    assert await flowing.home.dump() == {}
