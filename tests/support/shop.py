"""A package of features whose one handler does what its payload says, and writes down each start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from jobs_core.payloads import JsonValue

_QUEUE = """
import msgspec
from jobs_core import *

class Act(msgspec.Struct, frozen=True):
    ledger: str
    do: str = ""
    seconds: float = 0.0

QUEUE = Queue("{name}", {options})
ACT = QUEUE.job("act", payload=Act, result=int, attempts=1)
"""
_PROCESSOR = """
import asyncio, ctypes, os, signal, time
from jobs_worker import JobContext, processor
from shop.{name}.queue import ACT, Act
from shop.ledger import note

@processor(ACT)
async def act(payload: Act, ctx: JobContext) -> int:
    starts = note(payload.ledger, ctx.job_id, ctx.fence)
    match payload.do:
        case "block" if starts == 1:
            time.sleep(payload.seconds)
        case "block-always":
            time.sleep(payload.seconds)
        case "hold-gil" if starts == 1:
            ctypes.PyDLL(None).sleep(int(payload.seconds))
        case "gate":
            await opened(payload.ledger)
        case "die-at-gate":
            await opened(payload.ledger)
            os.kill(os.getpid(), signal.SIGKILL)
        case "linger":
            await asyncio.sleep(60 if starts == 1 else payload.seconds)
        case "die":
            await asyncio.sleep(payload.seconds)
            os.kill(os.getpid(), signal.SIGKILL)
        case "hold" if starts == 1:
            ctx.progress(40, message="on hold")
            await asyncio.sleep(payload.seconds)
        case "sleep":
            await asyncio.sleep(payload.seconds)
        case _:
            pass
    return os.getpid()

async def opened(ledger: str) -> None:
    while not os.path.exists(ledger + ".open"):
        await asyncio.sleep(0.01)
"""
_LEDGER = """
import os

def note(path, job_id, fence):
    line = f"{job_id} {fence} {os.getpid()}\\n".encode()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)
    with open(path) as file:
        return sum(each.startswith(job_id + " ") for each in file)
"""


def shop(**options: str) -> dict[str, str]:
    """Return the modules of the package `shop`: a feature for each queue, named with the options of its Queue."""
    modules = {"ledger.py": _LEDGER}
    for name, text in options.items():
        modules[f"{name}/queue.py"] = _QUEUE.format(name=name, options=text)
        modules[f"{name}/processor.py"] = _PROCESSOR.replace("{name}", name)
    return modules


class Start(msgspec.Struct, frozen=True):
    """One start of a job, as its process wrote it down."""

    job_id: str
    fence: int
    pid: int


class Ledger:
    """What was started, by whom, outside of the system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def starts(self, job_id: str = "") -> list[Start]:
        """Return the starts (of one job), oldest first."""
        rows = (line.split() for line in self.path.read_text().splitlines())
        found = [Start(row[0], int(row[1]), int(row[2])) for row in rows]
        return [start for start in found if not job_id or start.job_id == job_id]

    def open_gate(self) -> None:
        """Let go on what does `gate`, and die what does `die-at-gate`, now and from now on."""
        self.path.with_name(f"{self.path.name}.open").touch()

    def act(self, do: str = "", seconds: float = 0.0) -> JsonValue:
        """Return a payload."""
        return {"ledger": str(self.path), "do": do, "seconds": seconds}
