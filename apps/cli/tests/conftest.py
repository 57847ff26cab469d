"""The command on an empty server: called in this process, or as the program that users run."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.seeding import Seeder
from tests.support.waiting import WITHIN

from jobs_cli.main import run
from jobs_core.connection import client_for, parse_address
from jobs_core.payloads import JsonValue
from jobs_core.registry import WorkerEntry, announce_worker
from jobs_core.scripts import Scripts

PROGRAM = Path(sys.executable).with_name("jobs")


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> JsonValue:
        return json.loads(self.out)


class Jobs:
    """Calls the command with the environment of the test."""

    def __init__(self, url: str, prefix: str, capture: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self.prefix = prefix
        self._capture = capture

    def __call__(self, *arguments: str) -> Ran:
        """Run a command in this process."""
        self._capture.readouterr()
        code = run(arguments)
        out, err = self._capture.readouterr()
        return Ran(code, out, err)

    def program(self, *arguments: str) -> Ran:
        """Run the program."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def add(self, queue: str, *ids: str, delay: float = 0, tags: Sequence[str] = ()) -> None:
        """Enqueue jobs that no code declares."""
        self._with_scripts(lambda scripts: Seeder(scripts, queue).add(*ids, delay=delay, tags=tags))

    def finish(self, queue: str, verb: str, *ids: str) -> None:
        """Enqueue jobs, take them as a worker does, and settle them."""
        self._with_scripts(lambda scripts: Seeder(scripts, queue).finish(verb, *ids))

    def claim(self, queue: str, *ids: str, owner: str = "") -> None:
        """Enqueue jobs and take them, as a child of a worker."""
        self.add(queue, *ids)
        self._with_scripts(lambda scripts: Seeder(scripts, queue).claim(owner=owner))

    def announce(self, worker: WorkerEntry) -> None:
        """Enter a worker into the registry."""
        self._with_scripts(lambda scripts: announce_worker(scripts.client, self.prefix, worker))

    def command(self, *arguments: str) -> None:
        """Send the server a command."""
        self._with_scripts(lambda scripts: scripts.client.call(*arguments))

    def _with_scripts(self, work: Callable[[Scripts], Awaitable[object]]) -> None:
        async def connected() -> None:
            client = client_for(parse_address(self.url))
            await client.connect(timeout=40)
            await work(Scripts(client, self.prefix))
            await client.close()

        asyncio.run(connected())


@pytest.fixture
def jobs(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Jobs:
    for variable in [name for name in os.environ if name.startswith(("JOBS_", "WORKER_", "DASHBOARD_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("JOBS_PREFIX", prefix)
    return Jobs(redis_url, prefix, capsys)
