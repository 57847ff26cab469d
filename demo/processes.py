"""Start the demo's programs, wait until they are ready, and end them all, come what may."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

# A machine that has much else to do takes many times the usual few seconds.
READY_SECONDS = 240.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LOG_LINES = 15
# Whatever the user's shell sets for his own workers must not reach the demo's.
_FOREIGN = (
    "ALERT_",
    "API_",
    "DASHBOARD_",
    "FILES_",
    "JOBS_",
    "LLM_",
    "MAIL_",
    "OTEL_",
    "REDIS_",
    "REPORT_",
    "SMTP_",
    "WEBHOOK_",
    "WORKER_",
)
_OWN = ("JOBS_SERVER_BIN",)


class DemoFailed(Exception):
    """The demo cannot go on; the message says why to whoever runs it."""


class Program:
    """One program of the demo, with its log."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it logged nothing)"


class Programs:
    """All programs of the demo and the directory they work in.

    Every program leads a process group of its own, which a keeper kills should the demo itself be killed.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="jobs-demo-"))
        self.logs = self.directory / "logs"
        self.logs.mkdir()
        self._programs: list[Program] = []
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py")), str(self.directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    async def __aenter__(self) -> Self:
        """Do nothing yet: programs are started one by one."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything, and remove the directory."""
        try:
            await self.stop()
        finally:
            self.close()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Program:
        """Start a program of the environment's `bin`, or a path, in the background."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [_resolve(command[0]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**clean_environment(), **(env or {})},
                cwd=self.directory,
                start_new_session=True,
            )
        self._tell_keeper(f"+{process.pid}")
        program = Program(name, process, log)
        self._programs.append(program)
        return program

    async def ready(self, program: Program, url: str) -> None:
        """Wait until the program answers 200 at `url`, or accepts connections if that is `tcp://…`.

        Raises DemoFailed with the end of its log.
        """
        deadline = time.monotonic() + READY_SECONDS
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while not await _answers(session, url):
                if not program.running:
                    code = program.process.returncode
                    raise DemoFailed(f"{program.name} ended with exit code {code}:\n{program.last_words()}")
                if time.monotonic() > deadline:
                    raise DemoFailed(
                        f"{program.name} was not ready at {url} within {READY_SECONDS:g} s:\n"
                        f"{program.last_words()}"
                    )
                await asyncio.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise DemoFailed if a program has ended, with the end of its log."""
        for program in self._programs:
            if not program.running:
                code = program.process.returncode
                raise DemoFailed(f"{program.name} ended with exit code {code}:\n{program.last_words()}")

    async def stop(self) -> None:
        """End all programs with SIGTERM, and those that take longer than 10 s with SIGKILL."""
        programs, self._programs = self._programs, []
        for program in programs:
            if program.running:
                program.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for program in programs:
            await asyncio.to_thread(_wait, program.process, deadline - time.monotonic())
        for program in programs:
            # A program's children are in its group too, and must not outlive it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(program.process.pid, signal.SIGKILL)
            program.process.wait()
            self._tell_keeper(f"-{program.process.pid}")

    def close(self) -> None:
        """Remove the directory. The keeper sees its input end, and nothing left to do."""
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper.wait()

    def _tell_keeper(self, line: str) -> None:
        if self._keeper.stdin is not None:
            self._keeper.stdin.write(f"{line}\n".encode())
            self._keeper.stdin.flush()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(seconds, 0))


def clean_environment() -> dict[str, str]:
    """Return the environment without what would set up a worker, a dashboard or an API of the user's own."""
    return {
        name: value for name, value in os.environ.items() if name in _OWN or not name.startswith(_FOREIGN)
    }


def free_ports(count: int) -> Sequence[int]:
    """Return different ports of the loopback interface that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _resolve(command: str) -> str:
    """Return the path of a program: those of the environment lie beside its Python."""
    beside = Path(sys.executable).parent / command
    return str(beside) if beside.exists() else command


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    if url.startswith("tcp://"):
        host, _, port = url.removeprefix("tcp://").rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        return True
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
