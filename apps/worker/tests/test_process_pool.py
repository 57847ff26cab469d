"""Processes that run handlers of `executor="process"`."""

import asyncio
import gc
from pathlib import Path
from typing import Any, cast

import pytest

from jobs_core.codecs import Codecs
from jobs_worker.process_pool import ProcessPool

OPEN = Path("/proc/self/fd")


def open_files() -> int:
    return sum(1 for _ in OPEN.iterdir())


@pytest.mark.skipif(not OPEN.is_dir(), reason="only Linux tells which files are open")
async def test_a_process_that_cannot_start_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
    pool = ProcessPool(log_level="info", log_format="json", codecs=Codecs())
    gc.collect()
    before = open_files()
    with pytest.raises(OSError, match="no more processes") as caught:
        await pool.run(cast("Any", None), lambda _: None)
    # As long as the error is kept, so is whatever it was raised among: it has to be closed by then.
    assert (caught.value.__traceback__ is not None, open_files()) == (True, before)
    await pool.close()
