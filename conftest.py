"""The fixtures that the tests of all members share: one server for the session, flushed for each test, and judged."""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator

import pytest
from tests.support.invariants import broken_queues

from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer, find_server_binary


def pytest_configure() -> None:
    """Let JOBS_TEST_SERVER_BIN choose the server, also for tests that start one of their own."""
    if chosen := os.environ.get("JOBS_TEST_SERVER_BIN"):
        os.environ["JOBS_SERVER_BIN"] = chosen


def pytest_report_header() -> str:
    """Name the server that the tests run against."""
    return f"server: {find_server_binary()}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one process more than there are cores, since many tests wait for others; each has a server of its own."""
    return min((os.cpu_count() or 1) + 1, 8)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """Start a server for all tests of the session."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def redis_url(server: EmbeddedServer) -> str:
    """Return the address of a server that holds nothing."""
    _flush(server)
    return server.url


@pytest.fixture
def prefix() -> str:
    """Return a key prefix that no other test has."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture(autouse=True)
def invariants(request: pytest.FixtureRequest) -> Iterator[None]:
    """Judge every queue that a test leaves behind, by the rules of `jobs check`.

    The tests of the engine judge their own; `damages` marks those that leave something broken on purpose.
    """
    used = {"redis_url", "prefix"} <= set(request.fixturenames)
    if (
        not used
        or {"engine", "damaged"} & set(request.fixturenames)
        or request.node.get_closest_marker("damages")
    ):
        yield
        return
    # Asked for first, these are there until everything else has ended.
    url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("prefix")
    yield
    loop = asyncio.new_event_loop()
    try:
        wrong = loop.run_until_complete(_judge(url, prefix))
    finally:
        loop.close()
    assert wrong == []


async def _judge(url: str, prefix: str) -> list[str]:
    client = client_for(parse_address(url))
    await client.connect(timeout=10)
    try:
        return await broken_queues(Scripts(client, prefix))
    finally:
        await client.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio alone, the only library that the packages promise."""
    return "asyncio"


def _flush(server: EmbeddedServer) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server.url.removeprefix("unix://"))
        connection.sendall(b"FLUSHALL\r\n")
        reply = connection.recv(64)
    assert reply == b"+OK\r\n", reply
