"""`jobs dev`: all programs come up, are restarted when code changes, and go when it ends."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.waiting import WITHIN
from watchfiles import Change

from jobs_cli.sources import Sources, watched

BIN = Path(sys.executable).parent
QUEUE = """
from jobs_core import LIGHT, Queue
GREETINGS = Queue("greetings", profile=LIGHT)
GREET = GREETINGS.job("greet", payload=str, result=str)
"""
PROCESSOR = """
from jobs_worker import JobContext, processor
from shop.greetings.queue import GREET

@processor(GREET)
async def greet(payload: str, ctx: JobContext) -> str:
    return "hello " + payload
"""
_OURS = ("JOBS_", "WORKER_", "DASHBOARD_", "REDIS_", "LOG_", "OTEL_", "API_", "PYTHON")
_MARK = "DEV_TEST_MARK"

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


class Dev:
    """`jobs dev` in a folder of its own, with a feature in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processor = folder / "shop/greetings/processor.py"
        self.processor.parent.mkdir(parents=True)
        self.processor.write_text(PROCESSOR)
        self.processor.with_name("queue.py").write_text(QUEUE)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.mark = secrets.token_hex(8)
        self.env = {**kept, "JOBS_FEATURES": "shop", "JOBS_PROCESSORS": "shop", _MARK: self.mark}
        self.output = folder / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        # The output lies where files are watched, as it does for whoever redirects it.
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [BIN / "jobsctl", "dev", *arguments],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.process

    def text(self) -> str:
        return self.output.read_text()

    def wait(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN
        while not what():
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)

    def ready(self, times: int = 1) -> None:
        self.wait(lambda: self.text().count('"event":"ready"') >= times)

    @property
    def url(self) -> str:
        """What it says to export."""
        (line,) = (line for line in self.text().splitlines() if "export REDIS_URL=" in line)
        return line.partition("=")[2]

    def greet(self) -> str:
        """Enqueue from another terminal, with what was printed, and return the result."""
        done = subprocess.run(
            [BIN / "jobsctl", "enqueue", "greetings", "greet", '"ada"', "--wait"],
            cwd=self.folder,
            env={**self.env, "REDIS_URL": self.url, _MARK: ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN,
        )
        assert done.returncode == 0, done.stderr + self.text()
        return done.stdout.strip()

    def server_listens(self) -> bool:
        """Tell whether its server is there, which hides its environment behind a title."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", urlsplit(self.url).port or 0)) == 0

    def left(self) -> list[int]:
        """Return the other processes that came of it and still run."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            try:
                ours = entry.name.isdigit() and f"{_MARK}={self.mark}" in (entry / "environ").read_text()
            except (OSError, UnicodeDecodeError):
                continue
            if ours:
                found.append(int(entry.name))
        return found


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    dev = Dev(tmp_path)
    yield dev
    if dev.process is not None:
        dev.process.kill()
        dev.process.wait()


@needs_proc
@pytest.mark.slow
def test_it_runs_jobs_restarts_on_change_and_leaves_nothing(dev: Dev) -> None:
    process = dev.start()
    dev.ready()
    assert dev.greet() == '"hello ada"'

    dev.processor.write_text(PROCESSOR.replace("hello", "good evening"))
    dev.ready(times=2)
    assert dev.greet() == '"good evening ada"'

    dev.processor.write_text("neither Python nor sense")
    dev.wait(lambda: "waiting for a change" in dev.text())
    dev.processor.write_text(PROCESSOR.replace("hello", "good morning"))
    dev.ready(times=3)

    assert "http://127.0.0.1:" in dev.text()
    assert (dev.folder / ".jobs/appendonlydir").is_dir()
    process.send_signal(signal.SIGINT)
    assert process.wait(WITHIN) == 130
    assert (dev.left(), dev.server_listens()) == ([], False)
    assert "Traceback" not in dev.text()


@needs_proc
@pytest.mark.slow
def test_all_is_gone_with_it_though_it_was_killed(dev: Dev) -> None:
    process = dev.start("--no-reload", "--with", "sleep 600")
    dev.ready()
    # Itself, worker and child, dashboard, and the other program.
    dev.wait(lambda: len(dev.left()) >= 5)
    assert dev.server_listens()
    process.kill()
    process.wait()
    dev.wait(lambda: not dev.left() and not dev.server_listens())


@needs_proc
@pytest.mark.slow
def test_a_program_that_cannot_start_ends_it_all(dev: Dev) -> None:
    process = dev.start("--with", "sh -c 'echo no luck; exit 7'")
    assert process.wait(WITHIN) == 7
    assert "no luck" in dev.text()
    assert "ended with exit code 7" in dev.text()
    assert dev.left() == []


@needs_proc
@pytest.mark.slow
def test_a_given_server_is_used_and_not_stopped(dev: Dev, redis_url: str, prefix: str) -> None:
    dev.env |= {"REDIS_URL": redis_url, "JOBS_PREFIX": prefix}
    process = dev.start("--no-reload")
    dev.ready()
    process.send_signal(signal.SIGTERM)
    assert process.wait(WITHIN) == 0
    assert "export REDIS_URL" not in dev.text()
    assert not (dev.folder / ".jobs").exists()


def test_a_program_that_is_not_there_is_named(dev: Dev) -> None:
    assert dev.start("--with", "no-such-program --fast").wait(WITHIN) == 2
    assert "no-such-program" in dev.text()


def test_only_sources_that_people_write_count(tmp_path: Path) -> None:
    matters = Sources(written=[tmp_path / "files"])
    counting = ["shop/queue.py", "shop/mail/welcome.html", "shop/mail/welcome.txt", "lua/claim.lua"]
    others = [".venv/lib/a.py", "shop/__pycache__/a.py", ".jobs/a.txt", "files/report.html", "shop/a.log"]
    assert [
        path for path in [*counting, *others] if matters(Change.modified, str(tmp_path / path))
    ] == counting


def test_packages_elsewhere_are_watched_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here/inner").mkdir(parents=True)
    (tmp_path / "there/outer/queues").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "here"), str(tmp_path / "there"), *sys.path])
    folders = watched(tmp_path / "here", ["inner", "outer.queues", "outer", "not_there.queues"])
    assert folders == [tmp_path / "here", tmp_path / "there/outer"]
