"""A walk through all doors of a keyed queue at random: after each step the checker finds nothing, and no limit is passed."""

import random
from collections import Counter

import pytest
from tests.support.engine import Engine, group
from tests.support.invariants import broken

from jobs_core.scripts import Claimed
from jobs_core.wire import Others

KEYS = ("a", "b", "c", "")
LIMITS: dict[str, dict[str, str | int]] = {
    "rates": {"keyed": 1, "key_active": 2, "key_rate": "5 1000 3", "rate": "20 1000 5"},
    "slots": {"keyed": 1, "key_active": 1, "max_active": 3, "weights": "\na=3\n"},
    "fifo": {"keyed": 1, "fifo": 1},
}


class Walk:
    """What runs, by owner, and the next id."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.rng = random.Random(seed)
        self.running: dict[str, dict[str, Claimed]] = {}
        self.made = 0
        self.owners = 0
        self.keys: dict[str, str] = {}

    async def step(self) -> None:
        """Do one thing."""
        doors = (self._add, self._add, self._claim, self._claim, self._settle, self._die, self._wait)
        await self.rng.choice((*doors, self._reroute, self._remove, self._trim))()

    def _some(self) -> list[str]:
        return self.rng.sample(list(self.keys), min(len(self.keys), 3))

    async def _add(self) -> None:
        rng, key, n = self.rng, self.rng.choice(KEYS), self.rng.randrange(1, 4)
        new = [f"j{self.made + i:04}" for i in range(n)]
        self.made += n
        self.keys.update(dict.fromkeys(new, key))
        delay, cost = rng.choice((0, 0, 400)), rng.choice((0, 2))
        await self.engine.add(*new, key=key, priority=rng.randrange(1, 6), delay_ms=delay, cost=cost)

    async def _claim(self) -> None:
        owner = f"w{self.owners + self.rng.randrange(2)}"
        claim = await self.engine.claim(self.rng.randrange(4), owner=owner)
        self.running.setdefault(owner, {}).update({job.id: job for job in claim.jobs})

    async def _settle(self) -> None:
        for owner, jobs in self.running.items():
            taken = [jobs.pop(job_id) for job_id in list(jobs)[: self.rng.randrange(3)]]
            verb = self.rng.choice(
                ("complete", "fail", "retry", "release", "unroutable", "limit", "complete")
            )
            if not taken:
                continue
            ends = verb in {"complete", "fail"}
            scope = self.rng.choice((b"job", b"key", b"queue")) if verb == "limit" else b"info"
            keep = -1 if verb == "fail" else 0
            settled = group(verb, *taken, arg=8 if ends else 300, info=scope, keep_count=keep)
            await self.engine.settle(settled, owner=owner)

    async def _die(self) -> None:
        if self.running:
            owner = self.rng.choice(list(self.running))
            await self.engine.scripts.release(
                self.engine.queue, owner=owner, others=self.rng.choice(list(Others))
            )
            # What claims after it has another name: a dead owner is refused.
            del self.running[owner]
            self.owners = max(self.owners, int(owner[1:]) + 1)

    async def _wait(self) -> None:
        await self.engine.advance(self.rng.choice((0.01, 0.3, 2)))
        await self.engine.scripts.promote(
            self.engine.queue, ids=self._some() if self.rng.random() < 0.5 else []
        )

    async def _reroute(self) -> None:
        await self.engine.scripts.reroute(self.engine.queue, offset=0, names=["*"])
        await self.engine.scripts.retry(self.engine.queue, ids=self._some())

    async def _remove(self) -> None:
        await self.engine.scripts.remove(self.engine.queue, ids=self._some())

    async def _trim(self) -> None:
        await self.engine.scripts.trim(self.engine.queue)
        if self.rng.random() < 0.2:
            await self.engine.scripts.drain(self.engine.queue, home="waiting", limit=5)

    def judge(self, limits: dict[str, str | int]) -> None:
        """Hold that no more run than may."""
        by_key = Counter(self.keys[job_id] for jobs in self.running.values() for job_id in jobs)
        most = 1 if "fifo" in limits else int(limits.get("key_active", 100))
        assert all(n <= most for key, n in by_key.items() if key)
        assert by_key.total() <= int(limits.get("max_active", 100))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LIMITS)
async def test_no_door_leaks_a_slot_or_a_key(engine: Engine, name: str, seed: int) -> None:
    limits = LIMITS[name]
    await engine.declare(**limits)
    walk = Walk(engine, seed)
    for at in range(150):
        await walk.step()
        walk.judge(limits)
        if at % 10 == 0:
            assert await broken(engine) == [], at
    # All that is left can run: nothing waits for ever.
    for owner in list(walk.running):
        await engine.scripts.release(engine.queue, owner=owner)
    await engine.scripts.reroute(engine.queue, offset=0, names=["*"])
    for _ in range(300):
        await engine.advance(1)
        claim = await engine.claim(5, owner="last")
        await engine.settle(group("complete", *claim.jobs, arg=8), owner="last")
    assert await engine.ids("waiting") == []
    assert await engine.ids("delayed") == []
    assert await engine.ids("ring") == []
    assert await engine.hash("kactive") == {}
