from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import IO

import pytest
from tests.support.waiting import WITHIN

from jobs_core.connection import client_for, parse_address
from jobs_core.errors import ConfigurationError, ConnectionFailed, ServerRefused
from jobs_core.settings import DashboardSettings
from jobs_dashboard import main

PROGRAM = Path(sys.executable).with_name("jobs")


def started(redis_url: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("DASHBOARD_")}
    return subprocess.Popen(
        [PROGRAM, "dashboard", *arguments],
        env={**env, "REDIS_URL": redis_url, **variables},
        stderr=subprocess.PIPE,
        text=True,
    )


def address_of(lines: IO[str]) -> str:
    """Return the address that a dashboard says it serves at."""
    for line in lines:
        if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
            return found[0]
    pytest.fail("the dashboard ended before it served")


@pytest.mark.parametrize(
    ("number", "code", "form"), [(signal.SIGTERM, 0, "json"), (signal.SIGINT, 130, "console")]
)
def test_serves_until_it_is_told_to_stop(
    redis_url: str, number: signal.Signals, code: int, form: str
) -> None:
    program = started(redis_url, "--port", "0", LOG_FORMAT=form)
    assert program.stderr is not None
    address = address_of(program.stderr)
    with urllib.request.urlopen(f"{address}api/queues", timeout=WITHIN) as response:
        assert response.read() == b"[]"
    program.send_signal(number)
    assert program.wait(timeout=WITHIN) == code
    lines = program.stderr.read().splitlines()
    if form == "json":
        # A collector of logs reads each line.
        assert lines
        assert all({"event", "level", "logger", "timestamp"} <= json.loads(line).keys() for line in lines)
    else:
        assert any(line.startswith("INFO uvicorn.error: ") for line in lines)
    program.stderr.close()


def test_open_pages_are_told_that_it_ends(redis_url: str) -> None:
    program = started(redis_url, "--port", "0")
    assert program.stderr is not None
    address = address_of(program.stderr)
    with urllib.request.urlopen(f"{address}api/events?stats=0", timeout=WITHIN) as stream:
        assert stream.readline() == b"retry: 2000\n"
        program.send_signal(signal.SIGTERM)
        assert b"event: end" in stream.read()
    assert program.wait(timeout=WITHIN) == 0
    program.stderr.close()


def test_an_open_address_without_a_token_is_refused(redis_url: str) -> None:
    program = started(redis_url, DASHBOARD_HOST="0.0.0.0")
    _, err = program.communicate(timeout=WITHIN)
    assert program.returncode == 2
    assert "DASHBOARD_TOKEN" in err
    assert "Traceback" not in err


def test_a_taken_port_is_told(redis_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1.*DASHBOARD_PORT"):
            main.run(DashboardSettings(redis_url=redis_url, port=port))


def test_an_address_of_another_machine_is_told(redis_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        main.run(DashboardSettings(redis_url=redis_url, host="192.0.2.1", port=0, token="secret"))


def test_an_unreachable_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "_CONNECT_TIMEOUT", 0.1)
    with pytest.raises(ConnectionFailed):
        main.run(DashboardSettings(redis_url="redis://127.0.0.1:1/0", port=0))


def test_a_server_that_evicts_is_refused(redis_url: str) -> None:
    asyncio.run(command(redis_url, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"))
    try:
        with pytest.raises(ServerRefused):
            main.run(DashboardSettings(redis_url=redis_url, port=0))
    finally:
        asyncio.run(command(redis_url, "CONFIG", "SET", "maxmemory-policy", "noeviction"))


async def command(redis_url: str, *arguments: str) -> None:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=WITHIN)
    await client.call(*arguments)
    await client.close()
