"""The fixtures that the tests of all members share: one server for the session, flushed for each test."""

import os
import secrets
import socket
from collections.abc import Iterator

import pytest

from jobs_core.server import EmbeddedServer, find_server_binary


def pytest_configure() -> None:
    """Let JOBS_TEST_SERVER_BIN choose the server, also for tests that start one of their own."""
    if chosen := os.environ.get("JOBS_TEST_SERVER_BIN"):
        os.environ["JOBS_SERVER_BIN"] = chosen


def pytest_report_header() -> str:
    """Name the server that the tests run against."""
    return f"server: {find_server_binary()}"


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
