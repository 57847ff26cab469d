"""The handler that does nothing but count, in a mapped file, so that counting costs no system call."""

import mmap
import os
import struct
import time
from pathlib import Path

from bench_queues.noop.queue import NOOP, BenchPayload
from jobs_worker import JobContext, processor

_pack = struct.Struct("<ddd").pack_into


class Recorder:
    """Counts jobs of this process: how many, when the first began, when the last ended."""

    def __init__(self) -> None:
        """Open the files at the first job: the process that imports this may not be the one that runs jobs."""
        self._map: mmap.mmap | None = None
        self._latencies = -1
        self._count = 0
        self._first = 0.0

    def note(self, payload: BenchPayload) -> None:
        """Count one job."""
        now = time.time()
        page = self._map or self._open(now)
        self._count += 1
        if self._latencies >= 0:
            os.write(self._latencies, struct.pack("<dd", payload.t, now))
        _pack(page, 0, self._count, self._first, now)

    def _open(self, now: float) -> mmap.mmap:
        folder = Path(os.environ["BENCH_RECORD_DIR"])
        with (folder / f"{os.getpid()}.cnt").open("w+b") as file:
            file.truncate(24)
            page = self._map = mmap.mmap(file.fileno(), 24)
        self._first = now
        if os.environ.get("BENCH_LATENCY"):
            self._latencies = os.open(
                folder / f"{os.getpid()}.lat", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
            )
        return page


_recorder = Recorder()


@processor(NOOP)
async def noop(payload: BenchPayload, _ctx: JobContext) -> None:
    """Count."""
    _recorder.note(payload)
