"""Random calls against a small model of the state machine; after each, all invariants must hold."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.support.engine import Engine
from tests.support.invariants import broken
from tests.support.waiting import WITHIN

from jobs_core.connection import client_for, parse_address
from jobs_core.connection.protocol import Encodable
from jobs_core.errors import OwnerGone, ServerError
from jobs_core.scripts import Claimed, Group
from jobs_core.wire import OWN_ID, Others

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])
DAY_MS = 86_400_000
OFFSETS_MS = {1: DAY_MS, 2: 1_800_000, 3: 0, 4: -600_000, 5: -7_200_000}
MAX_STALLED = 3
# How long expired jobs are kept, unless the queue says otherwise.
KEPT_MS = 7 * DAY_MS
OWNERS: tuple[str, ...] = ("w1", "w2", "w3")
IDS = [f"j{i}" for i in range(12)]


@dataclass
class Job:
    """What the model knows of a job. `ready_us` is where its place in the queue comes from."""

    id: str
    priority: int
    own: bool
    state: str
    ready_us: int
    due_ms: int = 0
    crashes: int = 0
    owner: str = ""
    fence: int = 0
    finished_ms: int = 0
    expires_ms: int = 0

    @property
    def place(self) -> tuple[int, str]:
        """Where it waits."""
        return self.ready_us - OFFSETS_MS[self.priority] * 1000, self.id


@dataclass
class Model:
    """A queue, as a person would describe it."""

    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    tombs: dict[str, int] = field(default_factory=dict[str, int])
    told: set[str] = field(default_factory=set[str])
    leases: dict[str, int] = field(default_factory=dict[str, int])
    dead: set[str] = field(default_factory=set[str])
    paused: bool = False
    stamp: int = 0
    lease_ms: int = 0
    seen_ms: int = 0

    def of(self, *states: str) -> list[Job]:
        """List jobs by state, in the order in which they wait or ended."""
        jobs = [job for job in self.jobs.values() if job.state in states]
        if "waiting" in states:
            return sorted(jobs, key=lambda job: job.place)
        return sorted(jobs, key=lambda job: (job.finished_ms, job.id))

    def tick(self, ms: int) -> None:
        """Advance the lease clock."""
        if self.seen_ms:
            self.lease_ms += min(max(ms - self.seen_ms, 0), 5000)
        self.seen_ms = ms

    def promote(self, ms: int) -> None:
        """Let delayed jobs wait that are due."""
        for job in self.of("delayed"):
            if job.due_ms <= ms:
                job.state, job.ready_us = "waiting", job.due_ms * 1000

    def sweep(self, ms: int) -> None:
        """End what did not start in time."""
        for job in self.jobs.values():
            if 0 < job.expires_ms <= ms:
                job.state, job.finished_ms, job.expires_ms = "expired", ms, 0

    def forget(self, job: Job, ms: int) -> None:
        """Drop a job."""
        del self.jobs[job.id]
        if job.own:
            self.tombs[job.id] = ms + DAY_MS

    def post(self, us: int) -> None:
        """Send what follows: an entry of the outbox has a stamp of its own."""
        self.stamp = max(self.stamp + 1, us)

    def give_back(self, owner: str, charged: Iterable[str], ms: int) -> tuple[set[str], set[str]]:
        """End an owner. Returns who waits again, and who is poison."""
        back, poisoned = set[str](), set[str]()
        for job in [each for each in self.of("active") if each.owner == owner]:
            job.owner = ""
            if job.id in charged:
                job.crashes += 1
            if job.id in charged and job.crashes > MAX_STALLED:
                job.state, job.finished_ms = "failed", ms
                poisoned.add(job.id)
                self.post(ms * 1000)
            else:
                job.state = "waiting"
                back.add(job.id)
        self.leases.pop(owner, None)
        self.dead.add(owner)
        return back, poisoned


class Move(NamedTuple):
    """A call that a life may make: how often beside the others, whether it can now, and what it is drawn from."""

    name: str
    weight: int
    can: Callable[[Machine], object]
    given: dict[str, st.SearchStrategy[object]]

    def __repr__(self) -> str:
        return self.name


MOVES: list[Move] = []


def move(
    weight: int, can: Callable[[Machine], object] = lambda _: True, **given: st.SearchStrategy[object]
) -> Callable[[F], F]:
    """Let lives make a call. With a rule for each, most lives would lack one that leads to the others."""

    def enter(method: F) -> F:
        MOVES.append(Move(method.__name__, weight, can, dict(given)))
        return method

    return enter


class Machine(RuleBasedStateMachine):
    """Drives an engine and its model with the same calls."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = client_for(parse_address(self.url))
        self.model = Model()
        self.generation: dict[str, int] = dict.fromkeys(OWNERS, 0)
        self.old: list[Claimed] = []

    def run(self, call: Coroutine[object, object, T]) -> T:
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        self.run(self.client.close())
        self.loop.close()

    @initialize()
    def begin(self) -> None:
        self.run(self.client.connect(timeout=WITHIN))
        self.run(self.client.call("FLUSHALL"))
        self.engine = self.run(Engine(self.client, "model").start())

    @property
    def ms(self) -> int:
        return self.engine.ms

    def owner(self, name: str) -> str:
        """Name the living incarnation of an owner."""
        return f"{name}.{self.generation[name]}"

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "engine"):
            assert self.run(broken(self.engine)) == []

    @rule(data=st.data())
    def live(self, data: st.DataObject) -> None:
        able = [each for each in MOVES for _ in range(each.weight) if each.can(self)]
        chosen = data.draw(st.sampled_from(able))
        given = {name: data if name == "data" else data.draw(of) for name, of in chosen.given.items()}
        getattr(self, chosen.name)(**given)

    @move(
        8,
        ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True),
        priority=st.integers(1, 5),
        delay_ms=st.sampled_from([0, 0, 0, 1, 700, 20_000]),
        lasts_ms=st.sampled_from([0, 0, 0, 100, 5000]),
        twice=st.booleans(),
    )
    def enqueue(self, ids: list[str], priority: int, delay_ms: int, lasts_ms: int, *, twice: bool) -> None:
        # Ids of our making are never used twice, those of a caller may be.
        taken = [*self.model.jobs, *self.model.told, *self.model.tombs]
        own = any(each in taken for each in ids) or len(ids) % 2 == 0
        ids = [each for each in ids if each not in taken or each in self.model.tombs or self.is_own(each)]
        if not ids:
            return
        # Ids of our making sort by time, so jobs of a call that are alike share a place in it.
        ids = ids if own else sorted(ids)
        alike = not own and not lasts_ms
        model, expected = self.model, ""
        stamp = max(model.stamp + 1, self.engine.us)
        for job_id in ids:
            known = own and (job_id in model.jobs or model.tombs.get(job_id, 0) > self.ms)
            expected += "0" if known else "1"
            if not known:
                model.told.discard(job_id)
                model.tombs.pop(job_id, None)
                state = "delayed" if delay_ms else "waiting"
                due_ms = self.ms + delay_ms if delay_ms else 0
                job = model.jobs[job_id] = Job(job_id, priority, own, state, stamp, due_ms)
                job.expires_ms = (due_ms or self.ms) + lasts_ms if lasts_ms else 0
                model.stamp = stamp
                stamp += not alike
        flags = OWN_ID if own else 0
        options = f"expires={lasts_ms}" if lasts_ms else ""
        for again in range(1 + twice):
            self.engine.seqs["producer"] -= again
            call = self.engine.add(*ids, priority=priority, delay_ms=delay_ms, flags=flags, options=options)
            assert self.run(call).decode() == expected

    def is_own(self, job_id: str) -> bool:
        return job_id in self.model.jobs and self.model.jobs[job_id].own

    @move(8, name=st.sampled_from(OWNERS), want=st.integers(0, 6), twice=st.booleans())
    def claim(self, name: str, want: int, *, twice: bool) -> None:
        model, owner = self.model, self.owner(name)
        model.tick(self.ms)
        if owner not in model.leases:
            model.leases[owner] = model.lease_ms + 20_000
        model.sweep(self.ms)
        model.promote(self.ms)
        taken = [] if model.paused else model.of("waiting")[:want]
        if taken:
            fence = max(model.stamp + 1, self.engine.us)
            for i, job in enumerate(taken):
                job.state, job.owner, job.fence, job.expires_ms = "active", owner, fence + i, 0
                model.stamp = fence + i
        for again in range(1 + twice):
            self.engine.seqs[f"{owner}:claim"] -= again
            claim = self.run(self.engine.claim(want, owner=owner, free=want + 1))
            assert [(job.id, job.fence) for job in claim.jobs] == [(job.id, job.fence) for job in taken]
            assert claim.left == len(model.of("waiting"))
            self.old += claim.jobs

    @move(
        6,
        lambda machine: machine.model.of("active"),
        data=st.data(),
        verb=st.sampled_from(["complete", "fail", "retry", "release", "unroutable"]),
        keep=st.sampled_from([0, 2, -1]),
        ttl_ms=st.sampled_from([0, 5000]),
        delay_ms=st.sampled_from([0, 300, 9000]),
        twice=st.booleans(),
    )
    def settle(
        self, data: st.DataObject, verb: str, keep: int, ttl_ms: int, delay_ms: int, *, twice: bool
    ) -> None:
        model = self.model
        active = model.of("active")
        owner = data.draw(st.sampled_from(sorted({job.owner for job in active})))
        mine = [job for job in active if job.owner == owner]
        jobs = data.draw(st.lists(st.sampled_from(mine), min_size=1, unique_by=lambda job: job.id))
        home = {"complete": "completed", "fail": "failed"}.get(verb, "")
        items: list[Encodable] = [
            p for j in jobs for p in (j.id, j.fence, int(j.own) if home else delay_ms, b"info")
        ]
        group = Group(verb=verb, name="send@1", items=items, keep_count=keep, result_ttl_ms=ttl_ms)
        if verb == "fail":
            model.post(self.engine.us)
        for job in jobs:
            job.owner = ""
            job.state = {"release": "waiting", "unroutable": "unroutable"}.get(verb, home)
            job.finished_ms = self.ms
            if verb == "retry":
                job.state = "delayed" if delay_ms else "waiting"
                job.due_ms = self.ms + delay_ms
                job.ready_us = job.due_ms * 1000
            elif home and keep == 0:
                model.forget(job, self.ms)
                if ttl_ms:
                    model.told.add(job.id)
        if home and keep > 0:
            excess = min(len(model.of(home)) - keep, 2 * len(jobs))
            for job in model.of(home)[: max(excess, 0)]:
                model.forget(job, self.ms)
        for again in range(1 + twice):
            self.engine.seqs[f"{owner}:settle"] -= again
            assert self.run(self.engine.settle(group, owner=owner)) == b"1" * len(jobs)

    @move(2, lambda machine: machine.old, data=st.data(), verb=st.sampled_from(["complete", "retry"]))
    def settle_late(self, data: st.DataObject, verb: str) -> None:
        job = data.draw(st.sampled_from(self.old))
        now = self.model.jobs.get(job.id)
        for name in OWNERS:
            if now is None or (now.owner, now.fence) != (self.owner(name), job.fence):
                group = Group(verb=verb, name="send@1", items=[job.id, job.fence, 0, b""])
                assert self.run(self.engine.settle(group, owner=self.owner(name))) == b"0"

    @move(3, seconds=st.sampled_from([0.001, 0.1, 1, 5, 21, 3600, 90_000, 400_000]))
    def time_passes(self, seconds: float) -> None:
        self.run(self.engine.advance(seconds))

    @move(1, names=st.lists(st.sampled_from(OWNERS), unique=True))
    def beat(self, names: list[str]) -> None:
        model, owners = self.model, [self.owner(name) for name in names]
        model.tick(self.ms)
        gone = [owner for owner in owners if owner not in model.leases]
        for owner in set(owners) - set(gone):
            model.leases[owner] = model.lease_ms + 20_000
        silent = {owner for owner, till in model.leases.items() if till <= model.lease_ms}
        found = self.run(self.engine.scripts.beat(self.engine.queue, lease_ms=20_000, owners=owners))
        assert (found.gone, set(found.silent)) == (gone, silent)

    @move(1, name=st.sampled_from(OWNERS))
    def reap(self, name: str) -> None:
        model, owner = self.model, self.owner(name)
        model.tick(self.ms)
        call = self.engine.scripts.reap(self.engine.queue, owner=owner)
        if model.leases.get(owner, 0) > model.lease_ms:
            with pytest.raises(ServerError, match="OWNER_ALIVE"):
                self.run(call)
            return
        held = [job.id for job in model.of("active") if job.owner == owner]
        expected = model.give_back(owner, held, self.ms)
        given = self.run(call)
        assert (set(given.ids), set(given.poisoned)) == expected
        self.refused(name)

    @move(
        1,
        name=st.sampled_from(OWNERS),
        charged=st.lists(st.sampled_from(IDS), max_size=3),
        charge_all=st.booleans(),
    )
    def release(self, name: str, charged: list[str], *, charge_all: bool) -> None:
        owner = self.owner(name)
        expected = self.model.give_back(owner, IDS if charge_all else charged, self.ms)
        given = self.run(
            self.engine.scripts.release(
                self.engine.queue,
                owner=owner,
                others=Others.CHARGED if charge_all else Others.RELEASED,
                culprits=charged,
            )
        )
        assert (set(given.ids), set(given.poisoned)) == expected
        self.refused(name)

    def refused(self, name: str) -> None:
        """A dead owner stays dead; its worker goes on under another name."""
        with pytest.raises(OwnerGone):
            self.run(self.engine.claim(1, owner=self.owner(name)))
        self.generation[name] += 1

    @move(1, ids=st.lists(st.sampled_from(IDS), max_size=3, unique=True))
    def promote(self, ids: list[str]) -> None:
        if not ids:
            self.model.sweep(self.ms)
        before = len(self.model.of("delayed"))
        if ids:
            for job in self.model.of("delayed"):
                if job.id in ids:
                    job.state, job.ready_us = "waiting", self.ms * 1000
        else:
            self.model.promote(self.ms)
        promoted, _ = self.run(self.engine.scripts.promote(self.engine.queue, ids=ids))
        assert promoted == before - len(self.model.of("delayed"))

    @move(1, ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True))
    def remove(self, ids: list[str]) -> None:
        expected: list[str] = []
        for job_id in ids:
            job = self.model.jobs.get(job_id)
            if job is not None and job.state == "active":
                expected.append("active")
                continue
            expected.append("1" if job is not None or job_id in self.model.told else "0")
            self.model.told.discard(job_id)
            if job is not None:
                self.model.forget(job, self.ms)
        assert self.run(self.engine.scripts.remove(self.engine.queue, ids=ids)) == expected

    @move(2, ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True))
    def retry(self, ids: list[str]) -> None:
        expected: list[str] = []
        for job_id in ids:
            job = self.model.jobs.get(job_id)
            if job is None:
                expected.append("finished" if job_id in self.model.told else "0")
            elif job.state == "failed":
                expected.append("1")
                job.state, job.ready_us, job.crashes = "waiting", self.ms * 1000, 0
            else:
                expected.append(job.state)
        if "1" in expected:
            self.model.post(self.engine.us)
        assert self.run(self.engine.scripts.retry(self.engine.queue, ids=ids)) == expected

    @move(1, home=st.sampled_from(["completed", "failed", "expired"]), limit=st.integers(0, 3))
    def clean(self, home: str, limit: int) -> None:
        gone = self.model.of(home)[:limit]
        for job in gone:
            self.model.forget(job, self.ms)
        call = self.engine.scripts.clean(self.engine.queue, home=home, age_ms=0, limit=limit)
        assert self.run(call) == len(gone)

    @move(1, limit=st.integers(0, 3))
    def drain(self, limit: int) -> None:
        gone = self.model.of("waiting")[:limit]
        for job in gone:
            self.model.forget(job, self.ms)
        call = self.engine.scripts.drain(self.engine.queue, home="waiting", limit=limit)
        assert self.run(call) == (len(gone), len(self.model.of("waiting")))

    @move(1)
    def reroute(self) -> None:
        for job in self.model.of("unroutable"):
            job.state = "waiting"
        self.run(self.engine.scripts.reroute(self.engine.queue, offset=0, names=["*"]))

    @move(1)
    def trim(self) -> None:
        self.model.sweep(self.ms)
        self.run(self.engine.scripts.trim(self.engine.queue))
        for job in self.model.of("expired"):
            if job.finished_ms + KEPT_MS <= self.ms:
                self.model.forget(job, self.ms)
        told = self.run(self.engine.hash("result"))
        self.model.told &= set(told)
        self.model.tombs = {each: till for each, till in self.model.tombs.items() if till > self.ms}

    @move(1, paused=st.booleans())
    def pause(self, *, paused: bool) -> None:
        call = self.engine.scripts.pause if paused else self.engine.scripts.resume
        assert self.run(call(self.engine.queue)) == (paused != self.model.paused)
        self.model.paused = paused

    @move(2)
    def look(self) -> None:
        found = self.run(self.engine.scripts.lookup(self.engine.queue, ids=IDS))
        expected = [
            job.state if (job := self.model.jobs.get(each)) else "finished" if each in self.model.told else ""
            for each in IDS
        ]
        assert [each.state for each in found] == expected
        assert list(self.run(self.engine.zset("waiting"))) == [job.id for job in self.model.of("waiting")]


def test_the_state_machine_does_what_its_model_says(redis_url: str) -> None:
    Machine.url = redis_url
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(os.environ.get("JOBS_MODEL_EXAMPLES", "12")),
            stateful_step_count=50,
            deadline=None,
            derandomize="JOBS_MODEL_EXAMPLES" not in os.environ,
            suppress_health_check=[HealthCheck.too_slow],
            phases=[each for each in Phase if "JOBS_MODEL_RAW" not in os.environ or each is Phase.generate],
        ),
    )
