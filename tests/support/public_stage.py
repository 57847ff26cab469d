"""A server whose time stands still with producer, admin and a worker's own code, and a model of the queue beside them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import TypeVar

from msgspec import Struct
from tests.support.engine import CLOCK
from tests.support.invariants import broken_queues
from tests.support.model_flows import Batch
from tests.support.model_jobs import Letter
from tests.support.public_moves import OWNERS
from tests.support.public_queues import QUEUES
from tests.support.waiting import WITHIN

from jobs_admin import Admin
from jobs_core import (
    Queue,
)
from jobs_core.connection import Client, client_for, parse_address
from jobs_core.dead_letters import letter_id
from jobs_core.outbox import Relay
from jobs_core.scripts import Scripts
from jobs_producer import Producer
from jobs_worker import JobContext, processor
from jobs_worker.declared import declare
from jobs_worker.delivery import Delivery
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.sessions import Pump
from jobs_worker.telling import Teller

T = TypeVar("T")


class Note(Struct):
    """What a job carries."""

    n: int
    key: str = ""


class ClockedProducer(Producer):
    _clock = CLOCK


class ClockedAdmin(Admin):
    _clock = CLOCK


class Stage:
    """All that is driven. `seen` are the ids of the jobs that there were, `hits` counts what happened in this life."""

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
            await self.client.connect(timeout=WITHIN)
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

    def judge(self) -> None:
        assert self.run(broken_queues(self.scripts, "mail")) == []

    def one_of(self, some: Sequence[T], pick: int) -> T:
        """Pick the newer ones of many."""
        return some[-1 - pick % len(some)]

    def time_passes(self, *, seconds: float) -> None:
        self.model.us += round(seconds * 1_000_000)
        self.run(self.client.call("SET", "test-clock", self.model.us))
