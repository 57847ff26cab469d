"""A queue whose time stands still, and the invariants that every test leaves behind it."""

from collections.abc import AsyncIterator

import pytest
from tests.support.engine import Engine
from tests.support.flowing import Flowing
from tests.support.invariants import broken
from tests.support.scheduling import Scheduling
from tests.support.wakes import Wakes

from jobs_core.connection import Client, client_for, parse_address


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield client
    await client.close()


@pytest.fixture
async def damaged(client: Client, prefix: str) -> Engine:
    """Return a queue for tests that leave it damaged."""
    return await Engine(client, prefix).start()


@pytest.fixture
async def engine(client: Client, prefix: str) -> AsyncIterator[Engine]:
    """Return a queue on which all invariants hold at the end."""
    engine = await Engine(client, prefix).start()
    yield engine
    assert await broken(engine) == []


@pytest.fixture
def wakes(engine: Engine) -> Wakes:
    """Return what hears the wake-ups of the queue."""
    return Wakes(engine)


@pytest.fixture
def scheduling(engine: Engine) -> Scheduling:
    """Return the schedules of the queue."""
    return Scheduling(engine)


@pytest.fixture
def flowing(engine: Engine) -> Flowing:
    """Return two queues, flows of one of which follow jobs of the other."""
    return Flowing(engine)
