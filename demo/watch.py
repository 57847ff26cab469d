"""Follow the work to its end, and kill a worker child on the way."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from demo import api
from demo.api import Record, Sent
from demo.processes import DemoFailed, Programs
from demo.progress import Display
from demo.received import ReceivedHook
from demo.stage import Stage
from demo.workload import Kind

# The longest wait of a job that is well: a worker that vanished as a whole is noticed after 30 s.
STALLED_SECONDS = 240.0
_POLL_SECONDS = 0.5
_REPLACED_SECONDS = 120.0


class Child(msgspec.Struct):
    """A child process of a worker."""

    pid: int


class WorkerStatus(msgspec.Struct):
    """What the demo reads of a worker's `/status`."""

    children: list[Child]


class Tail:
    """Read the lines that a file has gained."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[bytes]:
        """Return the whole lines since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.splitlines()


class Tracker:
    """What was sent, what has been delivered, and the records of the jobs that ended."""

    def __init__(self, stage: Stage, display: Display, totals: Mapping[Kind, int]) -> None:
        self.records: dict[str, Record] = {}
        self.sent: dict[str, Sent] = {}
        self.delivered: dict[Kind, int] = dict.fromkeys(totals, 0)
        # A quarter of the mails is there: time for something to go wrong.
        self.midway = asyncio.Event()
        self._display = display
        self._totals = totals
        self._mails = Tail(stage.mails)
        self._hooks = Tail(stage.hooks)
        self._hook = msgspec.json.Decoder(ReceivedHook)

    def take(self, sent: Sequence[Sent]) -> None:
        """Note what the API took."""
        for one in sent:
            self.sent[one.job_id] = one
            self._display.sent(one.kind, 1)

    def by_queue(self) -> Mapping[str, Sequence[Record]]:
        """Return the records of the jobs that ended, in the order of the kinds."""
        queues = {sent.kind: sent.queue for sent in self.sent.values()}
        return {
            queues[kind]: [record for record in self.records.values() if record.queue == queues[kind]]
            for kind in self._totals
            if kind in queues
        }

    @property
    def finished(self) -> bool:
        """Tell whether every job there is to be has ended."""
        return len(self.records) == sum(self._totals.values())

    async def update(self, session: aiohttp.ClientSession) -> int:
        """Look at the receivers and ask the API; return a number that grows as long as anything moves."""
        self.delivered["mails"] += len(self._mails.read())
        self.delivered["webhooks"] += sum(
            self._hook.decode(line).status == 204 for line in self._hooks.read()
        )
        for kind in self._totals:
            # The receivers tell how far their kinds are, so their jobs are asked about at the end alone.
            if kind in {"pictures", "reports"} or self.delivered[kind] >= self._totals[kind]:
                await self._ask(session, kind)
            if kind in {"pictures", "reports"}:
                self.delivered[kind] = sum(self.sent[job_id].kind == kind for job_id in self.records)
            self._display.done(kind, self.delivered[kind])
        if self.delivered["mails"] * 4 >= self._totals["mails"]:
            self.midway.set()
        return len(self.sent) + len(self.records) + sum(self.delivered.values())

    async def _ask(self, session: aiohttp.ClientSession, kind: Kind) -> None:
        open_jobs = [
            sent for sent in self.sent.values() if sent.kind == kind and sent.job_id not in self.records
        ]
        if open_jobs:
            found = await api.statuses(session, open_jobs[0].queue, [sent.job_id for sent in open_jobs])
            self.records.update((job_id, record) for job_id, record in found.items() if record.ended)


async def follow(
    programs: Programs, session: aiohttp.ClientSession, tracker: Tracker, display: Display, stop_after: float
) -> None:
    """Return when every job has ended, or when nothing has moved for so many seconds.

    Raises DemoFailed when a program ends on its own.
    """
    moved, before = time.monotonic(), -1
    while not tracker.finished and time.monotonic() - moved < stop_after:
        programs.check()
        now = await tracker.update(session)
        if now != before:
            moved, before = time.monotonic(), now
        display.tick()
        await asyncio.sleep(_POLL_SECONDS)


async def kill_child(worker: str, display: Display) -> None:
    """Kill a child of a worker with SIGKILL and see another take its place. Raises DemoFailed."""
    async with aiohttp.ClientSession() as session:
        before = await _children(session, worker)
        if not before:
            raise DemoFailed(f"The worker at {worker} has no child to kill")
        os.kill(before[0], signal.SIGKILL)
        killed = time.monotonic()
        display.say(
            f"[yellow]SIGKILL[/yellow] to child {before[0]} of the light worker, in the midst of its jobs"
        )
        while time.monotonic() - killed < _REPLACED_SECONDS:
            new = [pid for pid in await _children(session, worker) if pid not in before]
            if new:
                seconds = time.monotonic() - killed
                display.say(f"child {new[0]} took its place after {seconds:.1f} s; the jobs are run again")
                return
            await asyncio.sleep(_POLL_SECONDS / 5)
    raise DemoFailed(f"No child took the place of {before[0]} within {_REPLACED_SECONDS:g} s")


async def _children(session: aiohttp.ClientSession, worker: str) -> list[int]:
    async with session.get(f"{worker}/status") as response:
        body = await response.read()
        if response.status != 200:
            raise DemoFailed(f"GET {worker}/status answered {response.status}")
    return [child.pid for child in msgspec.json.decode(body, type=WorkerStatus).children]
