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
# A length of one byte, and as much of the text as that can tell.
_JOB = struct.Struct("256p")
_SUSPECT_AT = 320
_CALL_AT = 640
_CALL = struct.Struct("<H")
_CALL_ROOM = _SIZE - _CALL_AT - _CALL.size


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

    def running(self, queue: bytes, job_id: str) -> None:
        """Note which job runs now (`queue` ends with a zero byte), so that a silent child can be charged to it."""
        _JOB.pack_into(self._map, _JOB_AT, queue + job_id.encode())

    def culprit(self) -> tuple[str, str] | None:
        """Return (queue, job id) of the job last noted."""
        return self._job(_JOB_AT)

    def suspect(self, queue: bytes, job_id: str) -> None:
        """Note the only job running here that ran before while a worker died; empty ones: none does any more."""
        _JOB.pack_into(self._map, _SUSPECT_AT, queue + job_id.encode())

    def suspected(self) -> tuple[str, str] | None:
        """Return (queue, job id) of that job, if one runs."""
        return self._job(_SUSPECT_AT)

    def calling(self, queue: bytes, job_ids: list[str]) -> None:
        """Note that a call for many jobs runs now, of which the first stands for all; as many as there is room for."""
        note = b"\0".join([each.encode() for each in job_ids])[:_CALL_ROOM]
        _CALL.pack_into(self._map, _CALL_AT, len(note))
        self._map[_CALL_AT + _CALL.size : _CALL_AT + _CALL.size + len(note)] = note
        self.running(queue, job_ids[0])

    def culprits(self) -> tuple[str, list[str]] | None:
        """Return (queue, job ids) of the job last noted, and of those of the same call."""
        noted = self.culprit()
        if noted is None:
            return None
        queue, first = noted
        (length,) = _CALL.unpack_from(self._map, _CALL_AT)
        start = _CALL_AT + _CALL.size
        called = self._map[start : start + length].decode(errors="replace").split("\0")
        return queue, called if called[0] == first else [first]

    def _job(self, at: int) -> tuple[str, str] | None:
        (note,) = _JOB.unpack_from(self._map, at)
        queue, separator, job_id = note.decode(errors="replace").partition("\0")
        return (queue, job_id) if separator else None

    def close(self) -> None:
        """Unmap the page."""
        self._map.close()


def _unlinked_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
