"""Tells the server what code declares of the served queues: their limits and their schedules."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, cast

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError, ServerFull
from jobs_core.registry import announce_queue, queue_entry
from jobs_core.schedules.book import Book
from jobs_core.scripts import MAX_ITEMS
from jobs_core.settings import CommonSettings
from jobs_worker import logs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.codecs import Codecs
    from jobs_core.options import DefaultJobOptions
    from jobs_core.queue import DeclaredSchedule
    from jobs_core.scripts import Scripts
    from jobs_worker.routes import QueueRoutes

_LOOK_EVERY = 60.0
_PATIENCE = 2.0
_LOOKED_AT = 8 * MAX_ITEMS
_log = logs.get("jobs.worker")


def switched_off(settings: CommonSettings) -> str:
    """Name what is not to be written down of the queues: metrics, events, both with a comma, or nothing."""
    return ",".join(
        name for name, on in (("metrics", settings.metrics), ("events", settings.events)) if not on
    )


async def declare(
    scripts: Scripts, routes: Mapping[str, QueueRoutes], off: str = ""
) -> dict[str, QueueRoutes]:
    """Write what code declares of the served queues, and what is `off`, and list them.

    Returns those of which a node of the cluster did not answer within 2 s: the others do not wait for it.
    """
    done = await asyncio.gather(*(_declare(scripts, each, off) for each in routes.values()))
    return {name: each for (name, each), told in zip(routes.items(), done, strict=True) if not told}


async def _declare(scripts: Scripts, routes: QueueRoutes, off: str) -> bool:
    queue = routes.queue
    try:
        async with asyncio.timeout(_patience(scripts)):
            await scripts.declare(
                queue.name, definition=queue.definition_hash, off=off, fields=queue.definition()
            )
            await announce_queue(scripts.client, scripts.prefix, queue_entry(queue))
    except TimeoutError:
        return False
    return True


def _patience(scripts: Scripts) -> float | None:
    return _PATIENCE if scripts.client.address.cluster else None


class CodeSchedules:
    """The schedules that code declares of the served queues: written at the start, and again where the server lost its data.

    One that says the same as the server's is left as it is. Those that code declares no more are named and stay: they go
    by `jobs schedules remove` alone.
    """

    def __init__(self, scripts: Scripts, routes: Mapping[str, QueueRoutes], codecs: Codecs) -> None:
        """`codecs` have the keys of encrypted payloads."""
        self._scripts = scripts
        self._codecs = codecs
        self._declared: dict[str, dict[str, DeclaredSchedule]] = {}
        for name, each in routes.items():
            unset = {known.id: known.unset(os.environ) for known in each.queue.schedules.values()}
            self._declared[name] = {key: one for key, one in each.queue.schedules.items() if not unset[key]}
            for schedule, variables in unset.items():
                if variables:
                    _log.info("schedule_not_set", queue=name, schedule=schedule, unset=variables)
        self._epochs: dict[str, bytes | None] = {}
        self._unwritten: set[str] = set()

    def __bool__(self) -> bool:
        """Tell whether code declares any that are to be written."""
        return any(self._declared.values())

    async def write(self) -> None:
        """Write those that differ from the server's; where its memory is full, later. Raises what the scripts raise."""
        service = CommonSettings.from_env().default_job_options if self else None
        book = Book(self._scripts, self._codecs)
        await asyncio.gather(*(self._write(book, service, name) for name in self._declared))

    async def _write(self, book: Book, service: DefaultJobOptions | None, name: str) -> None:
        schedules = self._declared[name]
        self._unwritten.add(name)
        try:
            async with asyncio.timeout(_patience(self._scripts)):
                for each in schedules.values():
                    outcome, _ = await book.upsert(each.definition(service, self._codecs))
                    if outcome != "unchanged":
                        _log.info("schedule_written", queue=name, schedule=each.id, outcome=outcome)
                if schedules:
                    self._epochs[name] = await self._epoch(name)
                await self._name_strays(book, name, schedules)
        except ServerFull as error:
            # The worker has to drain what fills it.
            _log.warning("schedules_failed", queue=name, error=str(error))
        except TimeoutError:
            _log.warning("schedules_failed", queue=name, error=f"no answer: {self._scripts.client.failure}")
        else:
            self._unwritten.discard(name)

    async def watch(self) -> None:
        """Look now and then whether the data of a queue is another's: then they are written again."""
        while True:
            await asyncio.sleep(_LOOK_EVERY * random.uniform(0.8, 1.2))
            try:
                lost = [name for name, epoch in self._epochs.items() if await self._epoch(name) != epoch]
                if lost:
                    hint = "the server lost their data; the schedules that code declares are written again, jobs are not"
                    _log.error("data_lost", queues=lost, hint=hint)
                if lost or self._unwritten:
                    await self.write()
            except (JobsError, OutcomeLost) as error:
                _log.warning("schedules_failed", error=str(error))

    async def _epoch(self, queue: str) -> bytes | None:
        key = self._scripts.key(queue) + "meta"
        return cast("bytes | None", await self._scripts.client.call("HGET", key, "epoch"))

    async def _name_strays(self, book: Book, queue: str, declared: Mapping[str, DeclaredSchedule]) -> None:
        """Say which schedules no code declares any more, as far as the first thousand of the queue tell."""
        _, found = await book.page(queue, limit=_LOOKED_AT)
        strays = [
            each.definition.id
            for each in found
            if each.definition.from_code and each.definition.id not in declared
        ]
        if strays:
            _log.warning(
                "schedules_undeclared",
                queue=queue,
                schedules=strays[:20],
                hint="code declares them no more, or needs a variable that is unset; they go on until they are removed (jobs schedules remove)",
            )
