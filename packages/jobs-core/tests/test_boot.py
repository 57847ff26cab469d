from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.fake_server import FakeServer

from jobs_core.boot import audit_server
from jobs_core.connection import Client, client_for, parse_address
from jobs_core.server import EmbeddedServer

PREFIX = "jobs"
GOOD = {
    "redis_version": "7.0.15",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "role": "master",
    "cluster_enabled": "0",
}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield client
    await client.close()


async def audited(**facts: str) -> tuple[list[str], list[str]]:
    """Audit a server that says this of itself."""
    text = "# All\r\n" + "".join(f"{name}:{value}\r\n" for name, value in (GOOD | facts).items())
    async with FakeServer(f"${len(text)}\r\n{text}\r\n".encode(), b"*0\r\n") as server:
        client = client_for(parse_address(server.url))
        await client.connect(timeout=40)
        audit = await audit_server(client, PREFIX, env={})
        await client.close()
    return [each.reason for each in audit.refusals], audit.warnings


async def test_a_good_server_passes(client: Client) -> None:
    audit = await audit_server(client, PREFIX, env={})
    assert audit.refusals == []
    [facts] = audit.facts.values()
    assert facts.server in ("redis", "valkey")
    assert (facts.eviction, facts.role, facts.persistence) == (
        "noeviction",
        "master",
        "none",
    )
    assert ["append-only" in warning for warning in audit.warnings] == [True]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"redis_version": "6.2.14"}, "redis 6.2.14"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "7.1.0"}, "valkey 7.1.0"),
        ({"maxmemory_policy": "allkeys-lru"}, "allkeys-lru"),
        ({"role": "slave"}, "replica"),
        ({"cluster_enabled": "1"}, "cluster"),
    ],
)
async def test_a_server_that_cannot_be_trusted_is_refused(facts: dict[str, str], reason: str) -> None:
    (refusal,), _ = await audited(**facts)
    assert reason in refusal


@pytest.mark.parametrize("version", ["7.0.0", "7.4.1", "8.0-rc1", "10.0.0"])
async def test_newer_servers_pass(version: str) -> None:
    assert await audited(redis_version=version) == ([], [])
    assert await audited(redis_version="7.2.4", valkey_version=version.replace("7.0", "7.2")) == ([], [])


@pytest.mark.parametrize("value", ["1", "true", "Yes", " on "])
async def test_eviction_can_be_allowed_loudly(client: Client, value: str) -> None:
    await client.call("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    try:
        audit = await audit_server(client, PREFIX, env={"JOBS_ALLOW_EVICTION": value})
    finally:
        await client.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert audit.refusals == []
    assert "DELETE JOBS" in audit.warnings[0]


async def test_an_append_only_file_needs_no_warning(tmp_path: Path) -> None:
    with EmbeddedServer(data_dir=tmp_path) as server:
        client = client_for(parse_address(server.url))
        await client.connect(timeout=40)
        audit = await audit_server(client, PREFIX, env={})
        await client.close()
    assert ([facts.persistence for facts in audit.facts.values()], audit.warnings) == (["aof"], [])
