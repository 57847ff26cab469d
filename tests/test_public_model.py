"""The public API against a model of it in plain Python: random lives of jobs on a real server whose time stands still between calls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from copy import copy
from random import Random
from typing import TypeVar, Unpack, cast

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct
from tests.support.engine import CLOCK, START_MS
from tests.support.invariants import broken_queues
from tests.support.public_model import Asked, Bucket, Job, Letter, Model

from jobs_admin import Admin
from jobs_core import (
    Debounce,
    DuplicateJob,
    Fixed,
    JobOptions,
    KeyLimits,
    Queue,
    RateLimit,
    Throttle,
    Unique,
)
from jobs_core.connection import Client, parse_address
from jobs_core.connection.protocol import Reply
from jobs_core.dead_letters import letter_id
from jobs_core.errors import JobNotFound, WrongState
from jobs_core.outbox import Relay
from jobs_core.scripts import Claim, Claimed, Scripts
from jobs_core.wire import BIG, Others
from jobs_producer import Producer
from jobs_worker import Discard, Fail, JobContext, RateLimited, Snooze, processor
from jobs_worker.declared import declare
from jobs_worker.delivery import Delivery
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.sessions import Pump
from jobs_worker.settlement import Settlement, completed, ended_with, released, unroutable
from jobs_worker.settling import settle
from jobs_worker.starting import header_of, open_delivery
from jobs_worker.telling import Teller

T = TypeVar("T")
OWNERS: tuple[str, ...] = ("w1", "w2")
UNIQUE_KEYS = ("red", "blue")
OWN_IDS = ("mine-1", "mine-2", "mine-3")
PRIORITIES = ("critical", "high", "normal", "low", "background")


class Note(Struct):
    """What a job carries."""

    n: int
    key: str = ""


def pairs(reply: Reply) -> list[tuple[bytes, bytes]]:
    return [*cast("dict[bytes, bytes]", reply).items()]


class ClockedProducer(Producer):
    _clock = CLOCK


class ClockedAdmin(Admin):
    _clock = CLOCK


def plain() -> tuple[Queue, Model]:
    return Queue("mail", max_depth=50), Model(START_MS * 1000)


def gated() -> tuple[Queue, Model]:
    queue = Queue("mail", max_active=3, rate_limit=RateLimit(4, 2, burst=2))
    return queue, Model(START_MS * 1000, max_active=3, bucket=Bucket(2, 500_000))


def keyed() -> tuple[Queue, Model]:
    queue = Queue("mail", key="key", key_limits=KeyLimits(concurrency=2), max_active=4, dead_letter=False)
    return queue, Model(START_MS * 1000, letters_kept=False, keyed=True, key_active=2, max_active=4)


QUEUES = {"plain": plain, "gated": gated, "keyed": keyed}
KEPT = {0: True, -1: False}
PICK = tuple(range(12))
ASKED = (
    *(None,) * 60,
    *(
        Asked(key, mode, conflict, ttl)
        for key in UNIQUE_KEYS
        for mode in ("s", "d", "t")
        for conflict in ("skip", "replace", "keep_last", "extend", "error")
        for ttl in (1000, 8000)
    ),
    *(Asked(key, ttl=-1, max_wait=max_wait) for key in UNIQUE_KEYS * 8 for max_wait in (0, 600)),
)
# What can happen: how often, and what is chosen from.
MOVES: dict[str, tuple[float, dict[str, Sequence[object]]]] = {
    "enqueue": (
        9,
        {
            "priority": (1, 2, 3, 4, 5),
            "delay_ms": (0, 0, 0, 0, 0, 0, 0, 1, 700, 20_000),
            "lasts_ms": (0, 0, 0, 0, 0, 0, 100, 5000),
            "own": (*("",) * 9, *OWN_IDS),
            "key": ("", "a", "b"),
            "attempts": (1, 2, 3),
            "backoff_ms": (0, 300),
            "keep_done": (0, 0, 2, -1),
            "keep_failed": (-1, -1, 0, 2),
            "result_ttl": (0, 5000),
            "asked": ASKED,
        },
    ),
    "claim": (7, {"name": OWNERS, "want": (0, 1, 1, 2, 2, 3, 3, 5, 5)}),
    "settle": (
        8,
        {
            "pick": PICK,
            "outcome": (
                *("return", "return", "return", "raise", "raise", "raise", "fail", "fail", "discard"),
                *("snooze", "release", "park", "limit job", "limit key", "limit queue", "stopped"),
            ),
            "delay_ms": (300, 9000),
        },
    ),
    "time_passes": (
        3,
        {"seconds": (0.001, 0.001, 0.3, 0.3, 0.3, 0.5, 0.5, 2, 2, 2, 9, 9, 25, 3600, 400_000)},
    ),
    "change": (
        4,
        {
            "pick": PICK,
            "verb": ("priority", "reschedule", "promote", "remove", "retry", "retry", "retry"),
            "priority": (1, 2, 3, 4, 5),
            "delay_ms": (0, 1, 4000),
        },
    ),
    "cancel": (1, {"pick": PICK, "other": PICK}),
    "replay": (2, {"pick": PICK}),
    "pause": (
        1,
        {
            "what": ("", "key:a", "job:send"),
            "for_ms": (0, 2000, 2000),
            "on": (False, False, True),
        },
    ),
    "clean": (1, {"state": ("completed", "failed", "cancelled", "expired"), "limit": (1, 2, 3)}),
    "die": (1, {"name": OWNERS, "charged": (False, True)}),
    "drain": (0.2, {}),
    "trim": (1, {}),
    "know_more_names": (1, {}),
    "limit": (1, {"most": (1, 2, 3, 4)}),
    "look": (2, {"pick": PICK}),
}
NAMES, WEIGHTS = list(MOVES), [weight for weight, _ in MOVES.values()]


class Machine(RuleBasedStateMachine):
    """Drives producer, admin and a worker's own code, and the model, with the same calls."""

    url = ""
    kind = "plain"
    client: Client
    producer: Producer
    admin: Admin
    scripts: Scripts
    pumps: dict[str, Pump]
    teller: Teller
    relay: Relay

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        queue, self.model = QUEUES[self.kind]()
        self.queue = queue
        self.job = queue.job("send", payload=Note, result=int)

        @processor(self.job)
        async def send(payload: Note, ctx: JobContext) -> int:
            return payload.n

        self.routes = build_routes(marks_of(send), [queue])
        self.deliveries: dict[str, Delivery] = {}
        self.generation: dict[str, int] = dict.fromkeys(OWNERS, 0)
        self.seen: list[str] = []
        self.made = self.steps = 0

    def run(self, call: Coroutine[object, object, T]) -> T:
        return self.loop.run_until_complete(call)

    @initialize()
    def begin(self) -> None:
        async def connect() -> None:
            self.client = Client(parse_address(self.url))
            await self.client.connect(timeout=5)
            await self.client.call("FLUSHALL")
            await self.client.call("SET", "test-clock", self.model.us)
            self.producer, self.admin = ClockedProducer(self.url), ClockedAdmin(self.url)
            await self.producer.connect()
            await self.admin.connect()
            self.scripts = Scripts(self.client, "jobs", clock=CLOCK)
            self.pumps = {owner: Pump() for owner in OWNERS}
            self.teller = Teller("w")
            self.relay = Relay(self.scripts)
            await declare(self.scripts, self.routes)

        self.run(connect())

    def teardown(self) -> None:
        if hasattr(self, "relay"):
            self.judge()
            self.run(self.producer.close())
            self.run(self.admin.close())
            self.run(self.client.close())
        self.loop.close()

    def owner(self, name: str) -> str:
        return f"{name}.{self.generation[name]}"

    def letters(self) -> list[tuple[str, Letter]]:
        return [
            (letter_id("mail", job_id, ms), letter) for (job_id, ms), letter in self.model.letters.items()
        ]

    # What is held against the model after each call.

    @invariant()
    def same_states(self) -> None:
        if not self.seen:
            return
        found = self.run(self.scripts.lookup("mail", ids=self.seen))
        states = ["removed" if each.state == "finished" else each.state for each in found]
        assert dict(zip(self.seen, states, strict=True)) == {
            each: self.model.where(each) for each in self.seen
        }
        page = self.run(self.scripts.page("mail", home="waiting", newest=False))
        waiting = self.model.of("waiting")
        assert page.ids == [job.id for job in waiting]
        # Dead letters take stamps too, of which the model knows nothing: so to the millisecond.
        for score, job in zip(page.scores, waiting, strict=True):
            assert abs(float(score) - job.place[0]) < 1000, job

    @invariant()
    def same_keys(self) -> None:
        """Who holds a unique key, and who waits behind."""
        if hasattr(self, "relay"):
            holders, behind = (
                {
                    key.decode().removeprefix("send:"): job_id.decode()
                    for key, job_id in pairs(self.run(self.client.call("HGETALL", f"jobs:{{mail}}:{name}")))
                }
                for name in ("uniq", "uniq.next")
            )
            model = self.model.unique
            assert holders == {key: each.id for key, each in model.items()}
            assert behind == {key: each.behind for key, each in model.items() if each.behind}

    @invariant()
    def same_letters(self) -> None:
        if hasattr(self, "relay"):
            page = self.run(self.scripts.page("dead-letter", home="waiting", newest=False))
            assert sorted(page.ids) == sorted(each for each, _ in self.letters())

    @invariant()
    def sound(self) -> None:
        # All that there is to judge takes as long as ten of the calls.
        self.steps += 1
        if self.steps % 10 == 0:
            self.judge()

    def judge(self) -> None:
        assert self.run(broken_queues(self.scripts, "mail")) == []

    # One rule with all that can happen: many rules would be switched off in most lives, and values drawn one by one are too
    # much alike. Of a life that goes wrong the shortest one is found all the same.

    @rule(seed=st.integers(0, 2**64 - 1))
    def live(self, seed: int) -> None:
        rng = Random(seed)
        (what,) = rng.choices(NAMES, WEIGHTS)
        chosen = {name: rng.choice(values) for name, values in MOVES[what][1].items()}
        needs = {
            "settle": self.deliveries,
            "replay": self.model.letters,
            "look": self.model.jobs,
            "limit": self.seen if self.kind != "plain" else [],
        }
        free = {"enqueue", "time_passes", "claim", "die", "know_more_names", "trim"}
        if what in free or needs.get(what, self.seen):
            note(f"{what} {chosen}")
            getattr(self, what)(**chosen)

    def one_of(self, some: Sequence[T], pick: int) -> T:
        """Pick the newer ones of many."""
        return some[-1 - pick % len(some)]

    # Producers.

    def enqueue(self, *, asked: Asked | None, delay_ms: int, key: str, own: str, **given: int) -> None:
        self.made += 1
        options: JobOptions = {
            "priority": given["priority"],
            "attempts": given["attempts"],
            "backoff": Fixed(given["backoff_ms"] / 1000),
            "remove_on_complete": KEPT.get(given["keep_done"], given["keep_done"]),
            "remove_on_fail": KEPT.get(given["keep_failed"], given["keep_failed"]),
            "result_ttl": given["result_ttl"] / 1000,
        }
        if delay_ms:
            options["delay"] = delay_ms / 1000
        if given["lasts_ms"]:
            options["expires_in"] = given["lasts_ms"] / 1000
        if own:
            options["job_id"] = own
        if asked is not None:
            asked = copy(asked)
            delay_ms = self._ask(asked, options, delay_ms)
        key = key if self.model.keyed else ""
        name = own or f"?{self.made}"
        new = Job(name, self.made, "", 0, key=key, own=bool(own), asked=asked)
        for option, value in given.items():
            setattr(new, option, value)
        self._send(new, delay_ms, Note(self.made, key), options)

    def _ask(self, asked: Asked, options: JobOptions, delay_ms: int) -> int:
        """Turn what is asked into options; a debounce has a delay of its own."""
        if asked.ttl == -1:
            # What has another delay than its own is no debounce.
            options.pop("delay", None)
            options["debounce"] = Debounce(0.5, max_wait=asked.max_wait / 1000 or None, key=asked.key)
            asked.mode, asked.conflict, asked.ttl = "s", "debounce", 0
            return 500
        if asked.mode == "t" and asked.conflict == "skip":
            options["throttle"] = Throttle(asked.ttl / 1000, key=asked.key)
            return delay_ms
        until = {"s": "start", "d": "done", "t": "ttl"}[asked.mode]
        if asked.mode != "t" and asked.ttl == 1000:
            asked.ttl = 0
        options["unique"] = Unique(
            key=asked.key,
            until=until,  # pyright: ignore[reportArgumentType] - one of the three
            ttl=asked.ttl / 1000 or None,
            on_conflict=asked.conflict,  # pyright: ignore[reportArgumentType] - debounce was before
        )
        return delay_ms

    def _send(self, new: Job, delay_ms: int, note: Note, options: JobOptions) -> None:
        async def send(**given: Unpack[JobOptions]) -> tuple[str, str]:
            try:
                handle = await self.producer.enqueue(self.job, note, **given)
            except DuplicateJob as error:
                return "error", error.job_id
            return handle.outcome, handle.id

        outcome, survivor = self.run(send(**options))
        if not new.own and survivor not in self.seen:
            new.id = survivor
        expected = self.model.enqueue(new, delay_ms)
        assert (outcome, survivor) == (("known" if expected[0] == "duplicate" else expected[0]), expected[1])
        if survivor not in self.seen:
            self.seen.append(survivor)

    # A worker.

    def claim(self, *, name: str, want: int) -> None:
        owner = self.owner(name)
        if self.model.keyed:
            self._claim_by_key(name, owner, want)
            return
        expected = self.model.startable(want)
        claimed = self._claim(name, owner, want).jobs
        assert [each.id for each in claimed] == [job.id for job in expected]
        for job, each in zip(expected, claimed, strict=True):
            self._start(job, each, owner)

    def _claim_by_key(self, name: str, owner: str, want: int) -> None:
        """In a queue with keys the order between keys is its own; inside a key, and the limits, are held."""
        self.model.sweep()
        self.model.promote_due()
        while True:
            claim = self._claim(name, owner, want)
            for each in claim.jobs:
                job = self.model.jobs[each.id]
                first = next(one for one in self.model.of("waiting") if one.key == job.key)
                assert job is first
                assert self.model.may_start(job), job
                self._start(job, each, owner)
            want -= len(claim.jobs)
            if want <= 0 or not claim.again:
                break
        assert want <= 0 or not any(self.model.may_start(job) for job in self.model.of("waiting"))

    def _claim(self, name: str, owner: str, want: int) -> Claim:
        session = self.pumps[name].claims
        session.advance()
        return self.run(
            self.scripts.claim(
                "mail",
                session=session.name,
                seq=session.number,
                owner=owner,
                register=True,
                want=want,
                free=want + 1,
            )
        )

    def _start(self, job: Job, claimed: Claimed, owner: str) -> None:
        self.model.start(job, owner, claimed.fence)
        header = header_of(claimed)
        assert not header.flags & BIG
        routes = self.routes["mail"]
        delivery = open_delivery(routes, claimed, header, claimed.record[header.size :], owner, "w")
        assert isinstance(delivery, Delivery)
        assert (delivery.attempt, delivery.entry.crashes) == (job.made + 1, job.crashes)
        self.deliveries[job.id] = delivery

    def settle(self, *, pick: int, outcome: str, delay_ms: int) -> None:
        job = self.model.jobs[self.one_of(sorted(self.deliveries), pick)]
        if outcome == "limit queue" and self.kind == "plain":
            outcome = "limit job"
        if outcome == "stopped":
            outcome = "discard" if job.stopping else "return"
        delivery = self.deliveries.pop(job.id)
        settlement = self._ended(delivery, outcome, delay_ms)
        name = job.owner.partition(".")[0]
        # How its attempts end is decided by what its record says, which a newer payload may have changed.
        settled = self.run(
            settle(self.scripts, "mail", self.pumps[name].settlements, [settlement], self.teller)
        )
        stopping = job.stopping and outcome not in {"return", "discard"}
        assert (settled.lost, bool(settled.stopped)) == ([], stopping)
        self.model.settle(job, outcome, delay_ms)
        self.relay_all()

    def _ended(self, delivery: Delivery, outcome: str, delay_ms: int) -> Settlement:
        error: BaseException
        match outcome:
            case "return":
                return completed(delivery, 7, 5000, "w")
            case "release":
                return released(delivery)
            case "park":
                return unroutable(delivery)
            case "raise":
                error = ValueError("no")
            case "fail":
                error = Fail("no")
            case "discard":
                error = Discard("not needed")
            case "snooze":
                error = Snooze(delay_ms / 1000)
            case _:
                error = RateLimited(delay_ms / 1000, scope=outcome.removeprefix("limit "))  # pyright: ignore[reportArgumentType]
        return ended_with(delivery, error, 5000, "w")

    def relay_all(self) -> None:
        self.run(self.relay.relay("mail"))

    def die(self, *, name: str, charged: bool) -> None:
        owner = self.owner(name)
        for job in self.model.of("active"):
            if job.owner == owner:
                self.deliveries.pop(job.id, None)
        expected = self.model.give_back(owner, charged=charged)
        given = self.run(
            self.scripts.release("mail", owner=owner, others=Others.CHARGED if charged else Others.RELEASED)
        )
        assert (set(given.ids), set(given.poisoned), given.left) == (*expected, 0)
        self.generation[name] += 1
        self.relay_all()

    def know_more_names(self) -> None:
        self.model.reroute()
        self.run(self.scripts.reroute("mail", offset=0, names=["*"]))

    # People.

    def cancel(self, *, pick: int, other: int) -> None:
        ids = list(dict.fromkeys([self.one_of(self.seen, pick), self.one_of(self.seen, other)]))
        found = self.run(self.admin.cancel("mail", *ids))
        assert [each.outcome for each in found] == self.model.cancel(ids)

    def change(self, *, pick: int, verb: str, priority: int, delay_ms: int) -> None:
        failed = [job.id for job in self.model.of("failed")]
        job_id = self.one_of(failed if verb == "retry" and failed and pick % 3 else self.seen, pick)
        model, admin = self.model, self.admin
        before = model.where(job_id)
        match verb:
            case "priority":
                call, expected = (
                    admin.priority("mail", job_id, to=priority),
                    model.reprioritize(job_id, priority),
                )
            case "reschedule":
                call = admin.reschedule("mail", job_id, delay=delay_ms / 1000)
                expected = model.reschedule(job_id, delay_ms)
            case "promote":
                call, expected = admin.promote("mail", job_id), model.promote(job_id)
            case "remove":
                call, (expected,) = admin.remove("mail", job_id), model.remove([job_id])
            case _:
                call, expected = admin.retry("mail", job_id), model.retry(job_id)
        if expected:
            assert [each.done for each in self.run(call)] == [True]
        else:
            with pytest.raises(JobNotFound if not before else WrongState):
                self.run(call)
        if verb == "retry" and expected:
            # Two lives of one job do not end in the same millisecond.
            self.time_passes(seconds=0.001)

    def replay(self, *, pick: int) -> None:
        own, letter = self.one_of(self.letters(), pick)
        if self.model.replay(letter):
            assert self.run(self.admin.replay(own))[0].done
            self.time_passes(seconds=0.001)
        else:
            with pytest.raises(WrongState):
                self.run(self.admin.replay(own))

    def clean(self, *, state: str, limit: int) -> None:
        assert self.run(self.admin.clean("mail", state, limit=limit)) == self.model.clean(state, limit)

    def drain(self) -> None:
        assert self.run(self.admin.drain("mail")) == self.model.drain()

    def trim(self) -> None:
        self.model.trim()
        self.run(self.scripts.trim("mail"))

    def pause(self, *, what: str, for_ms: int, on: bool) -> None:
        kind, _, name = what.partition(":")
        job, key = (name if kind == "job" else None), (name if kind == "key" else None)
        before = self.model.paused(what)
        if on:
            call = self.admin.pause("mail", job=job, key=key, for_=for_ms / 1000 if for_ms else None)
            self.model.pauses[what] = self.model.ms + for_ms if for_ms else 0
            assert self.run(call) == (not before)
        else:
            self.model.pauses.pop(what, None)
            assert self.run(self.admin.resume("mail", job=job, key=key)) == before

    def limit(self, *, most: int) -> None:
        self.model.max_active = most
        self.run(self.admin.limit("mail", max_active=most))

    def time_passes(self, *, seconds: float) -> None:
        self.model.us += round(seconds * 1_000_000)
        self.run(self.client.call("SET", "test-clock", self.model.us))

    def look(self, *, pick: int) -> None:
        job = self.one_of(sorted(self.model.jobs.values(), key=lambda each: each.id), pick)
        found = self.run(self.admin.job("mail", job.id))
        assert (found.state, found.priority) == (job.state, PRIORITIES[job.priority - 1])
        assert isinstance(found.payload, dict)
        assert found.payload["n"] == job.payload
        assert (found.attempts_made + found.stalled + found.releases) >= job.made + job.crashes


@pytest.mark.parametrize("kind", QUEUES)
def test_the_public_api_does_what_its_model_says(redis_url: str, kind: str) -> None:
    run_model(redis_url, kind, int(os.environ.get("JOBS_MODEL_EXAMPLES", "3")), steps=30)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", QUEUES)
def test_the_public_api_does_what_its_model_says_for_long(redis_url: str, kind: str) -> None:
    run_model(redis_url, kind, int(os.environ.get("JOBS_MODEL_EXAMPLES", "400")), steps=60)


def run_model(url: str, kind: str, examples: int, *, steps: int) -> None:
    """Let a machine live so many lives of so many calls."""
    machine = type("Machine", (Machine,), {"url": url, "kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=examples < 20,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
            ],
            print_blob=True,
            phases=[each for each in Phase if "JOBS_MODEL_RAW" not in os.environ or each is Phase.generate],
        ),
    )
