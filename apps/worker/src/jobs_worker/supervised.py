"""One child as its supervisor sees it: the process, the page it ticks on, its leases, its last words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from jobs_core.wire import Others
from jobs_worker import control
from jobs_worker.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_worker.control import ChildConfig, QueueFacts, Stats

_STACK_WAIT = 1.0
_STACK_SAME = 5
_STACK_CAP = 16_000


class SupervisedChild:
    """A running child. Made by `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        page: Page,
        stacks: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Hold the ends of what was handed to the process."""
        self.process = process
        self.page = page
        self.writer = writer
        self.started = time.monotonic()
        self.queues: dict[str, QueueFacts] = {}
        self.owners: set[tuple[str, str]] = set()
        self.stats: Stats | None = None
        self.ready = False
        self.stalled: tuple[str, str] | None = None
        self._noted: tuple[str, list[str]] = ("", [])
        self._suspected: tuple[str, str] | None = None
        self.next_check = 0.0
        self.retiring = False
        self._stacks = stacks
        self._reader = reader
        self._closed = False

    @classmethod
    async def start(cls, config: ChildConfig) -> SupervisedChild:
        """Spawn a child by exec, never by fork: loops, threads and sockets do not survive one."""
        page, page_fd = Page.create()
        stacks = (
            os.memfd_create("jobs-stacks") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
        )
        ours, theirs = socket.socketpair()
        env = {
            **os.environ,
            "JOBS_CHILD_FD": str(theirs.fileno()),
            "JOBS_CHILD_PAGE": str(page_fd),
            "JOBS_CHILD_STACKS": str(stacks),
            "JOBS_CHILD_PARENT": str(os.getpid()),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jobs_worker.child",
                env=env,
                pass_fds=(theirs.fileno(), page_fd, stacks),
                stdin=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            os.close(stacks)
            page.close()
            raise
        finally:
            theirs.close()
            os.close(page_fd)
        ours.setblocking(False)  # noqa: FBT003 - the name of the standard library
        reader, writer = await asyncio.open_connection(sock=ours, limit=control.LIMIT)
        control.send(writer, config)
        return cls(process, page, stacks, reader, writer)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    async def listen(
        self,
        on_owner: Callable[[SupervisedChild, str, str, bool], None],
        on_ready: Callable[[SupervisedChild], None],
    ) -> int:
        """Take what the child says until it ends. Returns its exit code, negative for a signal."""
        async for message in control.from_child(self._reader):
            match message:
                case control.Ready():
                    self.queues, self.ready = message.queues, True
                    on_ready(self)
                case control.Owner():
                    change = self.owners.add if message.alive else self.owners.discard
                    change((message.queue, message.owner))
                    on_owner(self, message.queue, message.owner, message.alive)
                case control.Stats():
                    self.stats = message
        code = await self.process.wait()
        self.ready = False
        self.writer.close()
        return code

    def tell(self, message: control.ToChild) -> None:
        """Send a message."""
        control.send(self.writer, message)

    def silent_job(self) -> tuple[str, str] | None:
        """Return (queue, job id) if the loop has been silent for longer than the lock duration of the job it runs."""
        culprit = self.page.culprit() or ("", "")
        facts = self.queues.get(culprit[0])
        # A child that is silent without having run anything has the longest of its times.
        limit_ms = (
            facts.lock_duration_ms if facts else max(each.lock_duration_ms for each in self.queues.values())
        )
        return culprit if self.page.silence() * 1000 > limit_ms else None

    def blame(self, queue: str, *, crashed: bool) -> tuple[list[str], Others]:
        """Return which jobs of a queue the death of this child is charged to, and what its others are.

        Of one that was silent it is the job that held it. Of one that died by itself it is the suspect that ran; without one, the job
        (or call) that began last, and any other may be it as well.
        """
        noted, called = self._noted
        if self.stalled is not None:
            silent, job_id = self.stalled
            culprits = called if job_id in called else [job_id]
            return culprits if silent == queue else [], Others.RELEASED
        if not crashed:
            return [], Others.RELEASED
        if self._suspected is not None:
            suspected, job_id = self._suspected
            return [job_id] if suspected == queue else [], Others.RELEASED
        facts = self.queues.get(queue)
        if facts is not None and facts.per_slot > 1:
            # Most jobs of chunks only wait for others.
            return (called, Others.RELEASED) if noted == queue else ([], Others.CHARGED)
        return called if noted == queue else [], Others.SUSPECT

    async def stack(self) -> str:
        """Ask for the stacks of all threads; the answer comes also from a process whose interpreter is held by C code."""
        os.ftruncate(self._stacks, 0)
        os.lseek(self._stacks, 0, os.SEEK_SET)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + _STACK_WAIT
        text = b""
        same = 0
        # A busy machine may stop the child in the middle of its answer.
        while same < _STACK_SAME and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            if self._closed:
                break
            before, text = text, os.pread(self._stacks, _STACK_CAP, 0)
            same = same + 1 if text and text == before else 0
        return text.decode(errors="replace")

    def kill(self) -> None:
        """Kill the child and all processes it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def close(self) -> None:
        """Let go of what was shared; whatever the child started is killed with it."""
        self.kill()
        self._closed = True
        # Who gives its jobs back asks for that.
        self._noted = self.page.culprits() or self._noted
        self._suspected = self.page.suspected()
        self.page.close()
        os.close(self._stacks)
