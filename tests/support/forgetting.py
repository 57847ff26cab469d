"""A server that is killed and has lost what it wrote last, as one may whose disk was busy, or a replica that was behind."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from jobs_core.server import EmbeddedServer


async def kill_forgetting(server: EmbeddedServer, data_dir: Path, seconds: float) -> bool:
    """Let a server answer for so long, kill it, and cut off what it wrote meanwhile; start it again yourself.

    Returns whether it lost anything. It must write before it answers (`appendfsync no`).
    """
    file, size = _written(data_dir)
    await asyncio.sleep(seconds)
    server.kill()
    last, end = _written(data_dir)
    if last != file:
        # It began another file meanwhile.
        return False
    os.truncate(file, size)
    return end > size


def _written(data_dir: Path) -> tuple[Path, int]:
    """Return the file that a server appends to, and how long it is."""
    file = max((data_dir / "appendonlydir").glob("*.incr.aof"), key=lambda each: each.stat().st_mtime_ns)
    return file, file.stat().st_size
