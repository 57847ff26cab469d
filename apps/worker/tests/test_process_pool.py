"""Processes that run handlers of `executor="process"`."""

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from jobs_core.codecs import Codecs
from jobs_worker.process_pool import ProcessPool

OPEN = Path("/proc/self/fd")


def sockets() -> set[str]:
    """Return the sockets that are open, by their numbers, which no other gets."""
    found: set[str] = set()
    for each in OPEN.iterdir():
        # Others of this process, and the one that lists these, may be closed meanwhile.
        with suppress(FileNotFoundError):
            found.add(str(each.readlink()))
    return {each for each in found if each.startswith("socket:")}


@pytest.mark.skipif(not OPEN.is_dir(), reason="only Linux tells which files are open")
async def test_a_process_that_cannot_start_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
    pool = ProcessPool(log_level="info", log_format="json", codecs=Codecs())
    gc.collect()
    before = sockets()
    with pytest.raises(OSError, match="no more processes") as caught:
        await pool.run(cast("Any", None), lambda _: None)
    # As long as the error is kept, so is whatever it was raised among: it has to be closed by then.
    assert (caught.value.__traceback__ is not None, sockets() - before) == (True, set())
    await pool.close()
