"""The programs that `jobs dev` runs: each in a session of its own, ended in order, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Child"]

# How long a program may take to end at once, when nobody wants to wait for it any more.
_HURRY = 2.0


class Child:
    """A program that runs until it is stopped, and may be started again.

    It writes where this process writes. On Linux the kernel kills it when this process ends, however that
    happens. It does not get the terminal's Ctrl-C: this process decides who goes first.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        grace: float,
        on_end: Callable[[Child, int], None],
    ) -> None:
        """Hold what to start; `on_end` is told of an end that nobody asked for, with the exit code."""
        self.name = name
        self.restarts = 0
        self._command = command
        self._env = env
        self._grace = grace
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._awaiting: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start the program. Raises OSError."""
        self._stopping = False
        self._process = await asyncio.create_subprocess_exec(
            *_dying_with_us(self._command),
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._awaiting = asyncio.create_task(self._await(self._process))

    async def stop(self) -> None:
        """Ask the program to end, wait for its grace, and then kill it and what it started."""
        self._stopping = True
        if self._process is None or self._awaiting is None:
            return
        self._signal(signal.SIGTERM)
        await asyncio.wait((self._awaiting,), timeout=self._grace)
        self._kill()
        await self._awaiting

    async def restart(self) -> None:
        """Stop the program and start it again. Raises OSError."""
        await self.stop()
        self.restarts += 1
        await self.start()

    def hurry(self) -> None:
        """End a program that is being stopped without waiting for its grace."""
        if self._process is not None and self._process.returncode is None:
            # A worker that is told a second time kills its children and gives their jobs back.
            self._signal(signal.SIGTERM)
            asyncio.get_running_loop().call_later(_HURRY, self._signal, signal.SIGKILL)

    async def _await(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if not self._stopping:
            self._on_end(self, code)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _kill(self) -> None:
        # The group outlives its leader where that left something behind.
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _dying_with_us(command: Sequence[str]) -> list[str]:
    """Return the command that becomes the given one, and is killed by the kernel when this process ends."""
    spec = find_spec("jobs_core")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        return [*command]
    wrapper = Path(spec.origin).with_name("_die_with_parent.py")
    return [sys.executable, "-I", "-S", str(wrapper), str(os.getpid()), *command]
