"""Schedules of one queue whose time a test moves."""

from __future__ import annotations

from msgspec.structs import replace
from tests.support.engine import Engine, group

from jobs_core.codecs import Codecs
from jobs_core.schedules.book import Book
from jobs_core.schedules.definition import ScheduleDefinition
from jobs_core.schedules.plan import first_fire
from jobs_core.schedules.recurrence import Every
from jobs_core.schedules.store import Schedules, Stored
from jobs_core.schedules.ticks import Ticker
from jobs_core.wire import parse_header

MINUTE = 60_000


def every_minute(queue: str, **changes: object) -> ScheduleDefinition:
    """Return a schedule that fires on the minute."""
    made = ScheduleDefinition(
        id="minutely", queue=queue, wire_name="send@1", recurrence=Every(MINUTE, MINUTE), payload=b"{}"
    )
    return replace(made, **changes)


class Scheduling:
    """The schedules of an engine's queue."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.schedules = Schedules(engine.scripts)
        self.book = Book(engine.scripts, Codecs())

    async def put(self, *, seen: Stored | None = None, **changes: object) -> int:
        """Write a schedule that fires on the minute, or otherwise by `changes`."""
        definition = every_minute(self.engine.queue, **changes)
        next_ms = first_fire(definition, self.engine.ms + 1)
        return await self.schedules.put(definition, seen=seen, since_ms=self.engine.ms, next_ms=next_ms)

    async def tick(self) -> int:
        """Send what is due."""
        return await Ticker(self.engine.scripts, self.engine.queue, Codecs()).run()

    async def complete(self) -> int:
        """Run all that waits. Returns how many jobs that were."""
        jobs = (await self.engine.claim()).jobs
        for job in jobs:
            done = group("complete", job, arg=parse_header(job.record).flags)
            assert await self.engine.settle(done) == b"1"
        return len(jobs)

    async def find(self, schedule_id: str = "minutely") -> Stored:
        """Return a schedule as it is stored."""
        return await self.book.find(self.engine.queue, schedule_id)

    async def head(self) -> int:
        """Return when somebody is to look for what is due."""
        return int((await self.engine.hash("meta")).get("sched", b"0"))
