"""A page of memory that a child and its supervisor share: how the supervisor sees that a child is silent without asking it."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time

_SIZE = 4096
_TICK = struct.Struct("<Q")
_JOB_AT = 64
_JOB_LENGTH = 255


class Page:
    """One child's page: when its loop last ticked, and which job it was last seen running."""

    def __init__(self, fd: int) -> None:
        """Map the page behind a file descriptor."""
        self._map = mmap.mmap(fd, _SIZE)

    @classmethod
    def create(cls) -> tuple[Page, int]:
        """Make a page and the descriptor to hand to the child."""
        fd = os.memfd_create("jobs-page") if hasattr(os, "memfd_create") else _unlinked_file()
        os.ftruncate(fd, _SIZE)
        os.set_inheritable(fd, True)  # noqa: FBT003 - the name of the standard library
        return cls(fd), fd

    def tick(self) -> None:
        """Say that the loop runs."""
        _TICK.pack_into(self._map, 0, time.monotonic_ns())

    def silence(self) -> float:
        """Return for how many seconds the loop has not ticked; 0 before its first tick."""
        (at,) = _TICK.unpack_from(self._map, 0)
        return max(time.monotonic_ns() - at, 0) / 1e9 if at else 0.0

    def running(self, queue: str, job_id: str) -> None:
        """Note which job runs now, so that a silent child can be charged to it."""
        note = f"{queue}\0{job_id}".encode()[:_JOB_LENGTH]
        self._map[_JOB_AT : _JOB_AT + len(note) + 1] = bytes((len(note),)) + note

    def culprit(self) -> tuple[str, str] | None:
        """Return (queue, job id) of the job last noted."""
        length = self._map[_JOB_AT]
        note = self._map[_JOB_AT + 1 : _JOB_AT + 1 + length].decode(errors="replace")
        queue, separator, job_id = note.partition("\0")
        return (queue, job_id) if separator else None

    def close(self) -> None:
        """Unmap the page."""
        self._map.close()


def _unlinked_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
