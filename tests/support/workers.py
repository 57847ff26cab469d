"""Real workers of a test: packages of features written to a folder, and `python -m jobs_worker` on them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from tests.support.waiting import WITHIN, wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from jobs_core.payloads import JsonValue

Line = dict[str, "JsonValue"]

_WORKER_VARIABLES = ("WORKER_", "JOBS_", "REDIS_", "LOG_", "OTEL_")


def write_package(folder: Path, name: str, modules: Mapping[str, str]) -> Path:
    """Write a Python package into a folder: `modules` holds sources by path (`mail/queue.py`)."""
    package = folder / name
    for path, source in {"__init__.py": "", **modules}.items():
        file = package / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
        for parent in file.relative_to(package).parents:
            (package / parent / "__init__.py").touch()
    return package


class WorkerProcess:
    """One worker: a supervisor and its children, with the log lines they wrote. Killed at the end of the `with`."""

    def __init__(self, *, url: str, prefix: str, path: Path, package: str = "", **variables: str) -> None:
        """Start `python -m jobs_worker` on the features and processors of a package in `path`."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(_WORKER_VARIABLES)}
        env |= {
            "REDIS_URL": url,
            "JOBS_PREFIX": prefix,
            "LOG_FORMAT": "json",
            "PYTHONPATH": str(path),
            "PYTHONUNBUFFERED": "1",
        }
        if package:
            env |= {"JOBS_FEATURES": package, "JOBS_PROCESSORS": package}
        self._log = path / f"worker-{os.urandom(4).hex()}.log"
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs_worker"],
                env=env | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=path,
            )

    def __enter__(self) -> Self:
        """Do nothing: it was started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left, and print the log, which a failed test shows."""
        children = self.started()
        self.process.kill()
        self.process.wait()
        for pid in children:
            kill_group(pid)
        sys.stdout.write(self.text())

    def text(self) -> str:
        """Return all that was written."""
        return self._log.read_text(errors="replace")

    def lines(self, event: str, **fields: object) -> list[Line]:
        """Return the log lines of an event that have these fields."""
        found: list[Line] = []
        for text in self.text().splitlines():
            if not text.startswith("{") or not text.endswith("}"):
                continue
            line = cast("Line", json.loads(text))
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items()):
                found.append(line)
        return found

    def line(self, event: str, *, within: float = WITHIN, **fields: object) -> Line:
        """Wait for a log line."""
        return wait_until(
            lambda: self.lines(event, **fields), within=within, what=f"{event} {fields} in\n{self.text()}"
        )[-1]

    def ready(self) -> Self:
        """Wait until it claims."""
        self.line("ready")
        return self

    def started(self) -> list[int]:
        """Return the pids of all children that were ever ready."""
        return [cast("int", line["pid"]) for line in self.lines("ready")]

    @property
    def child(self) -> int:
        """The pid of the newest child that is ready."""
        return self.started()[-1]

    @property
    def http(self) -> str:
        """The address of its endpoint."""
        return f"http://{self.line('starting')['http']}"

    def get(self, path: str) -> tuple[int, Line]:
        """Fetch a page of its endpoint: the code and the body."""
        try:
            with urllib.request.urlopen(self.http + path, timeout=WITHIN) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def terminate(self) -> None:
        """Ask it to stop, as the platform does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, within: float = WITHIN) -> int:
        """Wait for its end. Returns the exit code."""
        return self.process.wait(within)


def kill_group(pid: int) -> None:
    """Kill a child and all that it started, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that is dead and not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between the open and the read
        return False
    return state not in "ZX"
