"""Deletes the files that payloads and results were kept in, once nothing of their jobs is kept any more.

A file's name says which job it belongs to and when it was written, so a sweep asks the server for the job and needs no
books of its own: what a crash left behind, or a job that was refused, goes the same way.
"""

from __future__ import annotations

import asyncio
import random
import time
from itertools import cycle
from typing import TYPE_CHECKING

from jobs_core.codecs import SHARDS, offload_folder, parse_offload_path
from jobs_core.scripts import MAX_ITEMS
from jobs_worker import logs
from jobs_worker.lettered import lettered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_core.codecs import Codecs
    from jobs_core.queue import Queue
    from jobs_core.scripts import Scripts

SWEEP_EVERY = 15.0
# Longer than a call that wrote its file may be sent again.
_SPARED = 2 * 3600.0
_MOST = 1024
_log = logs.get("jobs.worker")


def keeps_apart(queue: Queue) -> bool:
    """Tell whether payloads or results of a queue may lie in files."""
    return any(each.codec.offload is not False for each in (queue, *queue.versions.values()))


class Sweep:
    """Goes through the files of some queues, a 64th of one queue at a time."""

    def __init__(self, scripts: Scripts, codecs: Codecs, queues: Sequence[str]) -> None:
        """Begin anywhere: several workers sweep the same queues."""
        self._scripts = scripts
        self._codecs = codecs
        parts = [(queue, shard) for shard in range(SHARDS) for queue in queues]
        random.shuffle(parts)
        self._parts = cycle(parts)

    async def run_once(self) -> int:
        """Sweep the next part: at most 1,024 jobs of it are asked for. Returns how many files were deleted."""
        queue, shard = next(self._parts)
        folder = offload_folder(self._codecs.prefix, queue, shard)
        by_id = await asyncio.to_thread(self._old_files, folder)
        ids = list(by_id)
        # Where there are more, another time begins elsewhere.
        start = random.randrange(len(ids)) if len(ids) > _MOST else 0
        ids = (ids[start:] + ids[:start])[:_MOST]
        dead = await self._unneeded(queue, ids, by_id)
        again = [job_id for job_id in ids if any(what == "payload" for _, what in dead.get(job_id, ()))]
        if again:
            # A job that failed for good can be replayed from its dead letter. Whoever was replayed meanwhile is there again.
            spared = await lettered(self._scripts, queue, again)
            there = await self._unneeded(queue, [each for each in again if each not in spared], dead)
            dead = {
                job_id: [each for each in found if each[1] != "payload" or each in there.get(job_id, ())]
                for job_id, found in dead.items()
            }
        paths = [path for found in dead.values() for path, _ in found]
        if paths:
            await asyncio.to_thread(self._delete, paths)
            _log.info("swept", queue=queue, files=len(paths))
        return len(paths)

    async def _unneeded(
        self, queue: str, ids: Sequence[str], by_id: Mapping[str, list[tuple[str, str]]]
    ) -> dict[str, list[tuple[str, str]]]:
        """Return the files of jobs that these need no more: all of a job that is gone, the payload of one that is only told of."""
        dead: dict[str, list[tuple[str, str]]] = {}
        for at in range(0, len(ids), MAX_ITEMS):
            chunk = ids[at : at + MAX_ITEMS]
            for job_id, found in zip(chunk, await self._scripts.lookup(queue, ids=chunk), strict=True):
                dead[job_id] = [
                    (path, what)
                    for path, what in by_id[job_id]
                    if not found.state or (found.state == "finished" and what == "payload")
                ]
        return dead

    def _old_files(self, folder: str) -> dict[str, list[tuple[str, str]]]:
        """Return the files of a folder that are not new, by the id of their job: path and what each holds."""
        newest = time.time() - _SPARED
        found: dict[str, list[tuple[str, str]]] = {}
        try:
            paths = self._codecs.store.list(folder)
        except FileNotFoundError:
            return found
        for path in paths:
            named = parse_offload_path(path)
            if named is not None and named[2] <= newest:
                found.setdefault(named[0], []).append((path, named[1]))
        return found

    def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._codecs.store.delete(path)
