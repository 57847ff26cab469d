"""An admin on an empty server, and what puts jobs there."""

from collections.abc import AsyncIterator

import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts


@pytest.fixture
async def admin(redis_url: str, prefix: str) -> AsyncIterator[Admin]:
    async with Admin(redis_url, prefix=prefix, timeout=30) as admin:
        yield admin


@pytest.fixture
async def mail(redis_url: str, prefix: str) -> AsyncIterator[Seeder]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield Seeder(Scripts(client, prefix), "mail")
    await client.close()
