"""What tests need to write effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.engine import group

from jobs_core.scripts import Claimed, Effects

if TYPE_CHECKING:
    from tests.support.engine import Engine


def effect(kind: str, target: str, *contents: tuple[Claimed, bytes], jobs: int = 1) -> Effects:
    """Make a group of effects, each of a job that the same call settles; `jobs` is what each counts."""
    return Effects(
        kind, target, [part for job, content in contents for part in (job.id, job.fence, jobs, content)]
    )


class Effected:
    """Ends jobs of a queue with effects for another."""

    def __init__(self, engine: Engine, target: str = "other") -> None:
        self._engine, self._target = engine, target

    async def end(self, job_id: str, content: bytes, kind: str = "jobs") -> int:
        """Add, claim and complete a job that has one effect. Returns the id of its entry."""
        await self._engine.add(job_id)
        (job,) = (await self._engine.claim()).jobs
        done = await self._engine.settled(effect(kind, self._target, (job, content)), group("complete", job))
        assert done.verdict == b"1"
        return done.posted[0]
