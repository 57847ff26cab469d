"""Producer, admin and a worker's own code on a server whose time stands still, beside the model of them: what can happen, and what must agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from copy import copy
from random import Random
from typing import TypeVar, Unpack, cast

import pytest
from msgspec import Struct
from tests.support.engine import CLOCK, START_MS
from tests.support.invariants import broken_queues
from tests.support.model_flows import Batch, Policy, Waits
from tests.support.model_limits import Limit, Limits, Turns
from tests.support.public_model import KEPT_MS, LIVE, Asked, Job, Letter, Model

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
from jobs_core.connection import Client, client_for, parse_address
from jobs_core.connection.protocol import Reply
from jobs_core.dead_letters import letter_id
from jobs_core.errors import DependencyUnknown, JobNotFound, WrongState
from jobs_core.outbox import Relay
from jobs_core.scripts import Claim, Claimed, Scripts
from jobs_core.wire import BIG, Others
from jobs_producer import Producer, on
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


def modelled(
    queue: Queue, *, weights: dict[str, int] | None = None, **declared: Limit
) -> tuple[Queue, Model]:
    limits = Limits(declared, fifo=queue.definition().get("fifo") == "1")
    letters = queue.definition().get("dead_letter") != "0"
    model = Model(
        START_MS * 1000, letters_kept=letters, keyed=queue.keyed, limits=limits, turns=Turns(weights or {})
    )
    return queue, model


def plain() -> tuple[Queue, Model]:
    return modelled(Queue("mail", max_depth=50))


def gated() -> tuple[Queue, Model]:
    rate = RateLimit(4, 2, burst=2)
    return modelled(Queue("mail", max_active=3, rate_limit=rate), max_active=3, rate_limit=rate)


def keyed() -> tuple[Queue, Model]:
    limits = KeyLimits(concurrency=2)
    queue = Queue("mail", key="key", key_limits=limits, max_active=4, dead_letter=False)
    return modelled(queue, key_concurrency=2, max_active=4)


def weighed() -> tuple[Queue, Model]:
    rate, weights = RateLimit(4, 1, burst=5), {"a": 3}
    queue = Queue("mail", key="key", key_limits=KeyLimits(rate=rate, weights=weights))
    return modelled(queue, weights=weights, key_rate=rate)


def fifo() -> tuple[Queue, Model]:
    return modelled(Queue("mail", key="key", key_limits=KeyLimits(fifo=True)))


QUEUES = {"plain": plain, "gated": gated, "keyed": keyed, "weighed": weighed, "fifo": fifo}
LIMITS: dict[str, tuple[Limit | str, ...]] = {
    "max_active": (1, 3, 5, None, None, "declared", "declared"),
    "rate_limit": (RateLimit(8, 1, burst=5), RateLimit(1, 5), None, None, "declared", "declared"),
    "key_concurrency": (1, 2, 3, None, None, "declared", "declared"),
    "key_rate": (RateLimit(5, 1), RateLimit(1, 60), RateLimit(2, 1), None, None, "declared", "declared"),
}
KEPT = {0: True, -1: False}
POLICIES: tuple[Policy, ...] = ("fail_parent", "ignore", "continue", "remove")
PICK = tuple(range(12))
ASKED = (
    *(None,) * 160,
    *(
        Asked(key, mode, conflict, ttl)
        for key in UNIQUE_KEYS
        for mode in ("s", "d", "t")
        for conflict in ("skip", "replace", "keep_last", "extend", "error")
        for ttl in (1000, 8000)
    ),
    *(Asked(key, ttl=-1, max_wait=max_wait) for key in UNIQUE_KEYS * 8 for max_wait in (0, 600)),
)
# What becomes of a job that waits for so many others, where one of them does not complete. (Of two that end in one step either may
# be heard first, so none is to go on at once for one of them and to fail for the other.)
AFTER: tuple[tuple[Policy, ...], ...] = (
    *((),) * 4,
    *((each,) for each in POLICIES),
    *((each, "ignore") for each in POLICIES),
    *((each, "fail_parent") for each in POLICIES if each != "continue"),
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
            "key": ("", "a", "a", "b"),
            "attempts": (1, 2, 3),
            "backoff_ms": (0, 300),
            "keep_done": (0, 0, 2, -1),
            "keep_failed": (-1, -1, 0, 2),
            "result_ttl": (0, 5000),
            "asked": ASKED,
            "after": AFTER,
            "pick": PICK,
        },
    ),
    "flood": (2.5, {"keys": ("aaaaabbb", "bbbaaaaa", "aaabbb--", "aaaaaaabbb---")}),
    "claim": (10, {"name": OWNERS, "want": (0, 1, 1, 2, 2, 3, 5, 8, 12)}),
    "settle": (
        18,
        {
            "pick": PICK,
            "outcome": (
                *("return", "return", "return", "raise", "raise", "raise", "fail", "fail", "discard"),
                *("return", "return", "return", "return", "snooze", "release", "park"),
                *("limit job", "limit key", "limit queue", "stopped"),
            ),
            "delay_ms": (300, 9000),
        },
    ),
    "time_passes": (
        4,
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
    "limit": (2, {"name": tuple(LIMITS), "pick": PICK}),
    "batch": (1, {"count": (1, 2, 2, 3), "attempts": (1, 2), "keep_failed": (-1, 0), "close": (True, False)}),
    "fill": (0.5, {"pick": PICK, "close": (True, True, False)}),
    "look": (2, {"pick": PICK}),
}
MOVING = {"change", "cancel", "drain", "replay", "pause", "know_more_names", "trim"}
STEADY = {"enqueue", "flood", "claim", "settle", "time_passes", "limit", "batch", "fill", "look"}
NAMES, WEIGHTS = list(MOVES), [weight for weight, _ in MOVES.values()]


class World:
    """Drives producer, admin and a worker's own code, and the model, with the same calls. `hits` counts what happened in this life."""

    client: Client
    producer: Producer
    admin: Admin
    scripts: Scripts
    pumps: dict[str, Pump]
    teller: Teller
    relay: Relay

    def __init__(self, url: str, kind: str) -> None:
        """Make the queue of a kind and its model; `begin` connects."""
        self.url, self.kind = url, kind
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
        self.batches: dict[str, Batch] = {}
        self.kept: list[Batch] = []
        self.callbacks = Queue("callbacks").job("call", payload=str)
        self.made = self.steps = 0
        self.weights: list[float] = []
        self.hits: Counter[str] = Counter()

    def run(self, call: Coroutine[object, object, T]) -> T:
        return self.loop.run_until_complete(call)

    def begin(self) -> None:
        async def connect() -> None:
            self.client = client_for(parse_address(self.url))
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

    def end(self) -> None:
        """Judge what is there, and leave."""
        if hasattr(self, "relay"):
            self.judge()
            self.hits["turns between keys"] += self.model.turns.met
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

    def same_states(self) -> None:
        if not self.seen:
            return
        found = self.run(self.scripts.lookup("mail", ids=self.seen))
        states = ["removed" if each.state == "finished" else each.state for each in found]
        assert dict(zip(self.seen, states, strict=True)) == {
            each: self.model.where(each) for each in self.seen
        }
        page = self.run(self.scripts.page("mail", home="waiting", newest=False, limit=500))
        waiting = self.model.of("waiting")
        assert page.ids == [job.id for job in waiting]
        # Dead letters take stamps too, of which the model knows nothing: so to the millisecond.
        for score, job in zip(page.scores, waiting, strict=True):
            assert abs(float(score) - job.place[0]) < 1000, job

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

    def same_letters(self) -> None:
        if hasattr(self, "relay"):
            page = self.run(self.scripts.page("dead-letter", home="waiting", newest=False))
            assert sorted(page.ids) == sorted(each for each, _ in self.letters())

    def same_batches(self) -> None:
        """Where each batch is, how its jobs ended, and the callbacks that it sent."""
        for batch in self.kept:
            told = self.run(self.scripts.flow_show("mail", flow_id=batch.id))
            ends = Counter("x" if end == "cancelled" else end[0] for end in batch.ends.values())
            assert (told.state, told.total, told.resolved) == (batch.state, batch.total, len(batch.ends))
            assert Counter({sign: n for sign, n in told.counts.items() if n}) == ends
        if self.batches:
            page = self.run(self.admin.jobs("callbacks", limit=100))
            sent = Counter(str(job.payload) for job in page.jobs)
            assert sent == Counter(
                f"{batch.id} {moment}" for batch in self.batches.values() for moment in batch.sent
            )

    def sound(self) -> None:
        # All that there is to judge takes as long as ten of the calls.
        self.steps += 1
        if self.steps % 10 == 0:
            self.judge()

    def judge(self) -> None:
        assert self.run(broken_queues(self.scripts, "mail")) == []

    def check(self) -> None:
        """Hold what is there against the model."""
        if hasattr(self, "relay"):
            for same in (self.same_states, self.same_keys, self.same_letters, self.same_batches):
                same()
            self.model.turns.can(self.model.may_turn())
            self.sound()

    def choose(self, rng: Random) -> tuple[str, dict[str, object]]:
        """Choose what happens next, of what can."""
        needs = {
            "settle": self.deliveries,
            "replay": self.model.letters,
            "look": self.model.jobs,
            "limit": self.seen if self.kind != "plain" else [],
            "fill": self.kept,
            "flood": self.seen if self.model.keyed and len(self.model.of("waiting")) < 60 else [],
        }
        free = {"enqueue", "time_passes", "claim", "die", "know_more_names", "trim", "batch"}
        if not self.weights:
            # What disturbs is rare in some lives, so that the others come far.
            rare = rng.choice((0.2, 0.6, 1))
            self.weights = [
                weight * (1 if name in STEADY else rare) for name, weight in zip(NAMES, WEIGHTS, strict=True)
            ]
        while True:
            (what,) = rng.choices(NAMES, self.weights)
            if what in free or needs.get(what, self.seen):
                return what, {name: rng.choice(values) for name, values in MOVES[what][1].items()}

    def do(self, what: str, chosen: dict[str, object]) -> None:
        """Let it happen, here and in the model."""
        self.hits[what] += 1
        getattr(self, what)(**chosen)
        self.relay_all()
        if what in MOVING or chosen.get("asked"):
            # It may have taken the last job of a key, and brought another: a key that comes back has a later turn.
            self.model.turns.ahead.clear()

    def one_of(self, some: Sequence[T], pick: int) -> T:
        """Pick the newer ones of many."""
        return some[-1 - pick % len(some)]

    # Producers.

    def enqueue(
        self,
        *,
        asked: Asked | None,
        delay_ms: int,
        key: str,
        own: str,
        after: tuple[Policy, ...],
        pick: int,
        **given: int,
    ) -> None:
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
        waits = self._after(after, pick) if asked is None and not own else {}
        if waits:
            options["after"] = [on(each, policy=policy) for each, policy in waits.items()]
        if not all(self.model.where(each) for each in waits):
            with pytest.raises(DependencyUnknown):
                self.run(self.producer.enqueue(self.job, Note(self.made, key), **options))
            self.hits["waits for one that is not known"] += 1
            return
        if waits:
            # Who waits for others is known by its id before it is there, so that is remembered as one that the caller gave.
            new.waits, new.own, new.id = Waits(dict(waits)), True, ""
        self._send(new, delay_ms, Note(self.made, key), options)

    def flood(self, *, keys: str) -> None:
        """Many jobs of some keys at once, so that these take turns."""
        for key in keys.replace("-", " "):
            self.made += 1
            new = Job(f"?{self.made}", self.made, "", 0, key=key.strip())
            self._send(
                new, 0, Note(self.made, new.key), {"backoff": Fixed(0), "attempts": 3, "result_ttl": 0}
            )

    def _after(self, after: tuple[Policy, ...], pick: int) -> dict[str, Policy]:
        """Choose whom a new job waits for: mostly some that have not ended."""
        live = [each for each in self.seen if self.model.where(each) in {*LIVE, "active"}]
        some = live if live and pick % 4 else self.seen
        return {self.one_of(some, pick + i): policy for i, policy in enumerate(after)} if some else {}

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
        if (not new.own or not new.id) and survivor not in self.seen:
            new.id = survivor
        if new.waits is not None:
            self.hits[f"waits by {'+'.join(sorted({each or '' for each in new.waits.left.values()}))}"] += 1
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
        while True:
            self.model.look(want)
            claim = self._claim(name, owner, want)
            for each in claim.jobs:
                job = self.model.jobs[each.id]
                assert job in self.model.heads(job.key)
                assert self.model.may_start(job), job
                self.model.take(job)
                self._start(job, each, owner)
                self.model.turns.can(self.model.may_turn())
            want -= len(claim.jobs)
            if want <= 0 or not claim.again:
                break
        waiting = self.model.of("waiting")
        assert want <= 0 or not any(self.model.may_start(job) for job in waiting)
        for gate in {self.model.holds(job.key) for job in waiting} - {""}:
            self.hits[f"key held back by its {gate}"] += 1
        if self.model.limits.fifo and any(job is not self.model.line(job.key)[0] for job in waiting[:1]):
            self.hits["strict order against priority"] += 1

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
        while self.run(self.relay.relay("mail")):
            pass
        before = Counter(job.state for job in self.model.jobs.values() if job.waits is not None)
        sent = sum((batch.sent for batch in self.batches.values()), Counter[str]())
        self.model.deliver()
        for batch in self.kept:
            if batch.state in {"completed", "failed"} and not batch.ended_ms:
                batch.ended_ms = self.model.ms
        after = Counter(job.state for job in self.model.jobs.values() if job.waits is not None)
        for state in after - before:
            self.hits[f"let {state} by an end"] += 1
        for moment in sum((batch.sent for batch in self.batches.values()), Counter[str]()) - sent:
            self.hits[f"batch sends {moment}"] += 1

    # Flows.

    def batch(self, *, count: int, attempts: int, keep_failed: int, close: bool) -> None:
        if len(self.batches) == 3:
            return
        batch = Batch(f"b{len(self.batches)}")
        self.batches[batch.id] = batch
        self.kept.append(batch)

        async def begin() -> None:
            success, failure, complete = (
                [self.callbacks.call(f"{batch.id} {each}")] for each in ("success", "failure", "complete")
            )
            await self.producer.flows.batch(
                "some",
                self.queue,
                id=batch.id,
                on_success=success,
                on_failure=failure,
                on_complete=complete,
                open_timeout=300 * 86_400,
            )

        self.run(begin())
        self._fill(batch, count, attempts=attempts, keep_failed=keep_failed)
        if close:
            self._close(batch)

    def fill(self, *, pick: int, close: bool) -> None:
        batch = self.one_of(self.kept, pick)
        if not batch.closed:
            self._fill(batch, 1, attempts=1, keep_failed=-1)
            if close:
                self._close(batch)

    def _fill(self, batch: Batch, count: int, *, attempts: int, keep_failed: int) -> None:
        jobs: list[Job] = []
        for i in range(count):
            self.made += 1
            name = f"{batch.id}.{batch.total + i}"
            key = ("a", "b", "")[i] if self.model.keyed else ""
            jobs.append(
                Job(name, self.made, "", 0, own=True, key=key, attempts=attempts, keep_failed=keep_failed)
            )

        async def add() -> None:
            joined = self.producer.flows.join(self.queue, batch.id)
            for job in jobs:
                keep = KEPT.get(keep_failed, keep_failed)
                note = Note(job.payload, job.key)
                await joined.add(
                    self.job, note, attempts=attempts, backoff=Fixed(0), remove_on_fail=keep, result_ttl=0
                )
            await joined.flush()

        self.run(add())
        self.model.fill(batch, jobs)
        self.seen += [job.id for job in jobs]

    def _close(self, batch: Batch) -> None:
        self.run(self.producer.flows.join(self.queue, batch.id).close())
        batch.closed = True
        batch.look()

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
        self.kept = [each for each in self.kept if not 0 < each.ended_ms <= self.model.ms - KEPT_MS]

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

    def limit(self, *, name: str, pick: int) -> None:
        if name.startswith("key") and not self.model.keyed:
            name = "max_active"
        value = LIMITS[name][pick % len(LIMITS[name])]
        self.model.limits.set(name, value)
        self.run(self.admin.limit("mail", **{name: value}))  # pyright: ignore[reportArgumentType] - one of the four
        self.hits[f"{name} {'reset' if value == 'declared' else 'lifted' if value is None else 'set'}"] += 1

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
