"""What README and guides show runs as it stands there: real worker processes, a real server."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.documents import ROOT, blocks, files_of
from tests.support.waiting import WITHIN

README = ROOT / "README.md"
START = ROOT / "docs/getting-started.md"
GUIDE = ROOT / "docs/add-a-queue.md"
_OURS = ("JOBS_", "WORKER_", "REDIS_", "LOG_", "OTEL_")


class Reader:
    """Somebody who does what a document says, in a folder of their own."""

    def __init__(self, page: Path, folder: Path, redis_url: str) -> None:
        self.page = page
        self.folder = folder
        for name, text in files_of(page).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        programs = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        self.environment = {**kept, "PATH": programs, "REDIS_URL": redis_url}
        (self.start,) = (block.text for block in blocks(page, "sh") if "export JOBS_FEATURES" in block.text)
        self.exported = self.start.splitlines()[0]

    @contextmanager
    def worker(self) -> Generator[None]:
        """Run the worker as the page starts it, and stop it as a service manager would."""
        # exec, so that the signal reaches the worker and not the shell before it.
        line = self.start.replace("env ", "exec env ")
        log = self.folder / "worker.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", line], cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(WITHIN)
        assert code == 0, log.read_text()

    def run(self, line: str) -> list[str]:
        """Run a command after the page's export line, and return the lines it prints."""
        done = subprocess.run(
            ["sh", "-c", f"{self.exported}\n{line}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * WITHIN,
        )
        log = self.folder / "worker.log"
        assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
        return done.stdout.splitlines()

    def command(self, start: str) -> str:
        """Return the command of the page that starts so."""
        (line,) = (
            line
            for block in blocks(self.page, "sh")
            for line in block.text.splitlines()
            if line.startswith(start)
        )
        return line

    def run_shown_test(self) -> None:
        """Run the test function that the page shows."""
        (text,) = (block.text for block in blocks(self.page, "python") if "async def test_" in block.text)
        (name,) = (node.name for node in ast.parse(text).body if isinstance(node, ast.AsyncFunctionDef))
        (self.folder / "shown.py").write_text(text)
        self.run(f"python -c 'import asyncio, shown; asyncio.run(shown.{name}())'")


def test_the_readme_example_runs_as_written(tmp_path: Path, redis_url: str) -> None:
    reader = Reader(README, tmp_path, redis_url)
    (shown,) = (block.text for block in blocks(README, "text"))
    with reader.worker():
        assert reader.run(reader.command("python send.py")) == shown.splitlines()


def test_the_readme_example_is_short() -> None:
    lines = [line for text in files_of(README).values() for line in text.splitlines()]
    code = [line for line in lines if line and not line.startswith(("#", "import ", "from "))]
    assert len(code) <= 20
    assert len(README.read_text().splitlines()) <= 150


def test_getting_started_gets_started(tmp_path: Path, redis_url: str) -> None:
    reader = Reader(START, tmp_path, redis_url)
    with reader.worker():
        job_id, result = reader.run("python send.py")
        assert result == "Invoice(number=7, total=50.0)"
        assert reader.run(reader.command("env jobs enqueue")) == ['{"number":7,"total":50.0}']
        assert f"id        {job_id}" in reader.run(f"env jobs show invoices {job_id}")
    reader.run_shown_test()


@pytest.mark.slow
def test_the_guide_adds_a_queue(tmp_path: Path, redis_url: str) -> None:
    reader = Reader(GUIDE, tmp_path, redis_url)
    (tmp_path / "ada.jpg").write_bytes(b"a picture")
    with reader.worker():
        assert reader.run(reader.command("env jobs enqueue")) == ['{"path":"ada.320.jpg","bytes":9}']
        assert reader.run(reader.command("env jobs doctor"))
    reader.run_shown_test()
