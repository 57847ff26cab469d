"""Whatever order things happen in, no flow loses an end or counts one twice, and nobody waits for ever: seeded walks over all doors of two queues."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.support.engine import Engine, group
from tests.support.flowing import Flowing
from tests.support.invariants import broken

from jobs_core.flows.book import FlowBook
from jobs_core.flows.edges import Edge
from jobs_core.flows.graph import NodeInfo
from jobs_core.flows.modes import Mode
from jobs_core.outbox import Relay
from jobs_core.scripts import Claimed
from jobs_core.wire import EFFECTS, OWN_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

LATER = 1e12
FLAGS = OWN_ID | EFFECTS
MODES = [each for each in Mode if not each.is_own]
DOORS = {
    "parent": 2,
    "follow": 2,
    "open": 2,
    "fill": 3,
    "close": 2,
    "cancel_flow": 1,
    "cancel_parent": 2,
    "retry_flow": 5,
    "claim": 7,
    "settle": 10,
    "wait": 3,
    "die": 1,
    "disturb": 3,
    "pass_time": 3,
    "carry": 4,
    "upkeep": 2,
    "lose": 1,
}
# What is done by calls that nobody else is told of is gone with them where the server loses writes: a job that was added, say.
SENT = [each for each in DOORS if each not in {"parent", "follow", "fill", "wait", "lose"}]


class Walk:
    """What runs and what there is, in the queue that keeps flows and in the one of their jobs."""

    def __init__(self, flowing: Flowing, seed: int) -> None:
        self.flowing = flowing
        self.engines = (flowing.home, flowing.kids)
        self.book = FlowBook(flowing.home.scripts)
        self.rng = random.Random(seed)
        self.made = self.owners = 0
        self.flows: list[str] = []
        self.children: Counter[str] = Counter()
        self.running: dict[tuple[str, str], dict[str, Claimed]] = {}
        self.hits: Counter[str] = Counter()

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    async def step(self, doors: Sequence[str] = tuple(DOORS)) -> None:
        """Do one thing."""
        (what,) = self.rng.choices(doors, [DOORS[each] for each in doors])
        self.hits[what] += await getattr(self, f"_{what}")() is not False

    async def _children(self, of: str, count: int) -> None:
        for _ in range(count):
            expires = self.rng.choice(("", "", "", "expires=3000,"))
            edge = Edge("mail", of, self.children[of], self.rng.choice(MODES))
            self.children[of] += 1
            await self.flowing.kids.add(self.name("k"), flags=FLAGS, options=f"{expires}edges={edge}")

    async def _parent(self) -> None:
        # Its children may come, and end, before it.
        parent, n, early = self.name("p"), self.rng.randrange(1, 4), self.rng.random() < 0.4
        if early:
            await self._children(parent, n)
            await self._claim()
            await self._settle()
            await self._carry()
        options = self.rng.choice(("", "", "expires=5000"))
        await self.flowing.parent(parent, n, options=options, delay_ms=self.rng.choice((0, 0, 2000)))
        if not early:
            await self._children(parent, n)

    async def _follow(self) -> bool:
        known = sorted(await self.flowing.kids.hash("rec"))
        if not known:
            return False
        parent, after = self.name("p"), self.rng.sample(known, min(len(known), 2))
        edges = [
            part
            for i, each in enumerate(after)
            for part in (each, str(Edge("mail", parent, i, self.rng.choice(MODES))))
        ]
        unknown, _ = await self.book.follow("kids", edges, deadline=LATER)
        assert unknown == []
        await self.flowing.parent(parent, len(after))
        return True

    async def _open(self) -> bool:
        if len(await self.flowing.home.ids("flows")) > 1:
            return False
        flow = self.name("f")
        self.flows.append(flow)
        await self.flowing.open(flow, self.rng.choice(("open", "open", "staging")))
        return True

    async def _fill(self) -> bool:
        if not self.flows:
            return False
        flow, mode = (
            self.flows[-1],
            self.rng.choice((Mode.COUNTED, Mode.TOP, Mode.TOLERATED)),
        )
        if (await self.flowing.told(flow)).state not in {"open", "staging"}:
            return False
        await self.flowing.fill(self.rng.randrange(1, 4), flow, self.name("c"), mode)
        return True

    async def _close(self) -> bool:
        if not self.flows:
            return False
        await self.flowing.close(self.flows[-1])
        return True

    async def _cancel_flow(self) -> bool:
        if not self.flows:
            return False
        await self.book.cancel("mail", self.rng.choice(self.flows), deadline=LATER)
        return True

    async def _cancel_parent(self) -> bool:
        """Cancel a job within a tree, which may be on its way still, and with it those below."""
        flow, count = self.name("f"), self.rng.randrange(3, 6)
        self.flows.insert(0, flow)
        await self.flowing.open(flow, "staging")
        ids = [f"{flow}.{i}" for i in range(count)]
        below = [(1, 1), (2, count - 2), *[None] * (count - 2)]
        nodes = [NodeInfo("kids", ids[i], ids[i], "j@1", (), below[i]) for i in range(count)]
        await self.flowing.fill(count, flow, "c", self.rng.choice((Mode.COUNTED, Mode.TOLERATED)), nodes)
        await self.flowing.close(flow)
        if self.rng.random() < 0.8:
            await self.flowing.settle_all()
        await self._claim()
        verdicts = (
            await self.flowing.kids.scripts.cancel("kids", ids=ids[: self.rng.randrange(1, 3)])
        ).verdicts
        return verdicts[0] == "cancelled"

    async def _retry_flow(self) -> bool:
        for flow in self.rng.sample(self.flows, len(self.flows)):
            if (await self.flowing.told(flow)).state == "failed":
                return await self.book.retry("mail", flow, deadline=LATER) > 0
        # None has failed yet: all that is there ends, some of it badly.
        if self.flows:
            await self.flowing.close(self.flows[-1])
            await self.flowing.settle_all()
            for job in (await self.flowing.kids.claim(40, owner=f"w{self.owners}")).jobs:
                verb, info = self.rng.choice((("complete", b""), ("fail", b"poison 1 0")))
                ended = group(verb, job, arg=FLAGS, info=info, keep_count=-1)
                await self.flowing.kids.settle(ended, owner=f"w{self.owners}")
        return False

    async def _claim(self) -> None:
        engine = self.rng.choice((self.flowing.home, self.flowing.kids, self.flowing.kids))
        owner = f"w{self.owners + self.rng.randrange(2)}"
        claim = await engine.claim(self.rng.randrange(2, 8), owner=owner)
        self.running.setdefault((engine.queue, owner), {}).update({job.id: job for job in claim.jobs})

    def _engine(self, queue: str) -> Engine:
        return self.flowing.home if queue == "mail" else self.flowing.kids

    async def _settle(self) -> None:
        for (queue, owner), jobs in self.running.items():
            taken = [jobs.pop(job_id) for job_id in list(jobs)[: self.rng.randrange(6)]]
            verb = self.rng.choice(
                (
                    "complete",
                    "complete",
                    "complete",
                    "fail",
                    "fail",
                    "retry",
                    "release",
                    "unroutable",
                    "cancel",
                    "snooze",
                )
            )
            if taken:
                arg = 300 if verb in {"retry", "snooze"} else FLAGS
                info = b"" if verb == "complete" else b"poison 1 0"
                keep = self.rng.choice((-1, -1, 0, 2))
                settled = group(verb, *taken, arg=arg, info=info, keep_count=keep)
                await self._engine(queue).settle(settled, owner=owner)

    async def _wait(self) -> bool:
        owner = f"w{self.owners}"
        mine = self.running.setdefault(("mail", owner), {})
        mine.update({job.id: job for job in (await self.flowing.home.claim(1, owner=owner)).jobs})
        if not mine:
            return False
        job = mine.pop(next(iter(mine)))
        await self._children(job.id, self.rng.randrange(1, 3))
        await self.flowing.home.settle(group("wait", job, arg=self.children[job.id]), owner=owner)
        return True

    async def _die(self) -> None:
        if self.running:
            queue, owner = self.rng.choice(list(self.running))
            await self._engine(queue).scripts.release(queue, owner=owner)
            del self.running[queue, owner]
            self.owners = max(self.owners, int(owner[1:]) + 1)

    async def _disturb(self) -> None:
        engine = self.rng.choice(self.engines)
        scripts, queue, known = engine.scripts, engine.queue, sorted(await engine.hash("rec"))
        some = self.rng.sample(known, min(len(known), 2))
        match self.rng.choice(
            ("cancel", "remove", "retry", "retry", "drain", "clean", "promote", "reschedule")
        ):
            case "cancel":
                await scripts.cancel(queue, ids=some)
            case "remove":
                await scripts.remove(queue, ids=some)
            case "retry":
                await scripts.retry(queue, ids=(await engine.ids("failed"))[:2])
            case "drain":
                await scripts.drain(queue, home=self.rng.choice(("waiting", "delayed")), limit=2)
            case "clean":
                await scripts.clean(queue, home=self.rng.choice(("failed", "cancelled")), age_ms=0, limit=2)
            case "promote":
                await scripts.promote(queue, ids=some)
            case _:
                await scripts.reschedule(queue, ids=some, delay_ms=500)

    async def _pass_time(self) -> None:
        await self.flowing.home.advance(self.rng.choice((0.01, 0.4, 2)))
        self.flowing.kids.us = self.flowing.home.us

    async def _carry(self) -> None:
        # Some of it, and what was carried may be carried again.
        engine = self.rng.choice(self.engines)
        page = await engine.scripts.outbox(engine.queue)
        ids = [entry.id for entry in page.entries]
        if ids:
            relay = Relay(engine.scripts, hold=0)
            await relay.relay(engine.queue, ids=sorted(self.rng.sample(ids, (len(ids) + 1) // 2)))
            if self.rng.random() < 0.8 and not self.flowing.holds:
                await relay.confirm()

    async def _upkeep(self) -> None:
        engine = self.rng.choice(self.engines)
        await engine.scripts.trim(engine.queue)
        await engine.scripts.tend(engine.queue)
        await engine.scripts.reroute(engine.queue, offset=0, names=["*"])

    async def _lose(self) -> None:
        """Let the server of a queue, or of both, lose what it had answered; the effects of that time are still held."""
        before = {engine.queue: await engine.dumped() for engine in self.engines}
        self.flowing.holds = True
        for _ in range(self.rng.randrange(5, 40)):
            await self.step(SENT)
        self.flowing.holds = False
        # A server that starts anew, or takes over, does so later than what it lost.
        await self.flowing.home.advance(0.5)
        losers = self.rng.choice((self.engines, self.engines[:1], self.engines[1:]))
        for engine in losers:
            await engine.restore(before[engine.queue])
            for owner in await engine.ids("owners"):
                # What they run and what the queue holds for them differ.
                await engine.scripts.release(engine.queue, owner=owner)
                self.running.pop((engine.queue, owner), None)
                self.owners = max(self.owners, int(owner[1:]) + 1)
        for key in [each for each in self.running if each[0] in {engine.queue for engine in losers}]:
            del self.running[key]
        self.flows = [flow for flow in self.flows if (await self.flowing.told(flow)).state]

    async def finish(self) -> None:
        """Let all that can run complete."""
        for flow in self.flows:
            if (await self.flowing.told(flow)).state in {"open", "staging"}:
                await self.flowing.close(flow)
        for queue, owner in list(self.running):
            await self._engine(queue).scripts.release(queue, owner=owner)
        for _ in range(12):
            await self.flowing.home.advance(1)
            self.flowing.kids.us = self.flowing.home.us
            for engine in self.engines:
                await engine.scripts.tend(engine.queue)
                await engine.scripts.reroute(engine.queue, offset=0, names=["*"])
                await self.flowing.settle_all()
                jobs = (await engine.claim(100, owner="last")).jobs
                await engine.settle(group("complete", *jobs, arg=FLAGS, info=b""), owner="last")
            await self.flowing.settle_all()


@pytest.mark.parametrize("seed", [0, 2])
async def test_no_walk_leaves_anybody_waiting(flowing: Flowing, seed: int) -> None:
    walk = Walk(flowing, seed)
    for at in range(240):
        await walk.step()
        if at % 20 == 19:
            assert await broken(flowing.home) == [], at
    assert [what for what in DOORS if not walk.hits[what]] == []
    await walk.finish()
    for engine in walk.engines:
        assert [await engine.ids(home) for home in ("waiting", "delayed", "blocked", "unroutable")] == [
            []
        ] * 4
        assert await engine.call("EXISTS", "out") == 0
    assert await flowing.home.ids("flows") == []
    states = {flow: (await flowing.told(flow)).state for flow in walk.flows}
    assert set(states.values()) <= {"completed", "failed", "cancelled", ""}
