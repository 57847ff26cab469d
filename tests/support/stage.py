"""A small system with something of everything that a dashboard shows: a real worker, and jobs in every state."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from msgspec import Struct
from tests.support.seeding import Seeder
from tests.support.waiting import WITHIN

from jobs_admin import Admin
from jobs_core import Fixed, Queue
from jobs_core.connection import client_for, parse_address
from jobs_core.registry import WorkerEntry, announce_worker
from jobs_core.scripts import Scripts
from jobs_producer import Producer, Workflow
from jobs_worker import Fail, JobContext, Worker, processor

if TYPE_CHECKING:
    from types import TracebackType


class Order(Struct, frozen=True, kw_only=True):
    """What a customer ordered."""

    customer: str
    amount: float = 0.0
    express: bool = False
    note: str | None = None


class Receipt(Struct, frozen=True):
    """What was charged."""

    number: int
    text: str


class CardDeclined(Exception):
    """The bank said no."""


ORDERS = Queue("orders", concurrency=8, default_job_options={"remove_on_complete": False})
CHARGE = ORDERS.job("charge", Order, Receipt, attempts=3, backoff=Fixed(0))
EXPORTS = Queue("exports", concurrency=2)
BUILD = EXPORTS.job("build", Order, str)
NEWSLETTER = Queue("newsletter")
SEND = NEWSLETTER.job("send", Order, str)
UNSERVED = Queue("unserved")
LONELY = UNSERVED.job("lonely", Order, str)
QUEUES = (ORDERS, EXPORTS, NEWSLETTER, UNSERVED)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_log = logging.getLogger("shop.orders")


class Stage:
    """Producer, admin and worker on one server. `building` is set once an export runs, `go_on` lets exports end."""

    def __init__(self, url: str, prefix: str = "jobs") -> None:
        self.url, self.prefix = url, prefix
        self.producer = Producer(url, prefix=prefix)
        self.admin = Admin(url, prefix=prefix, actor="ada@ops")
        self.building, self.go_on = asyncio.Event(), asyncio.Event()
        self._stack = AsyncExitStack()

        @processor(CHARGE)
        async def charge(payload: Order, ctx: JobContext) -> Receipt:
            ctx.log.info("charging", customer=payload.customer, amount=payload.amount)
            _log.warning("the bank of %s is slow", payload.customer)
            if payload.amount < 0:
                raise CardDeclined(f"{payload.customer} has no money, attempt {ctx.attempt}")
            if payload.amount == 13:
                raise Fail(payload.note or "13 is bad luck")
            return Receipt(7, f"{payload.customer} paid {payload.amount}")

        @processor(BUILD)
        async def build(payload: Order, ctx: JobContext) -> str:
            ctx.progress(current=3, total=7, message=payload.note or "page 3 of 7")
            ctx.log.info("reading", customer=payload.customer)
            self.building.set()
            await self.go_on.wait()
            return "built"

        self.worker = Worker(processors=[charge, build], url=url, prefix=prefix)

    async def __aenter__(self) -> Self:
        for each in (self.producer, self.admin, self.worker):
            await self._stack.enter_async_context(each)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        await self._stack.aclose()

    async def fill(self, *, text: str = "ada", count: int = 12) -> None:
        """Bring jobs into every state, with a text wherever one is free."""
        add, order = self.producer.enqueue, Order(customer=text, note=text)
        ended = [
            await add(
                CHARGE,
                Order(customer=text, amount=number + 1, note=text),
                metadata={"who": text},
                tags=[text[:50]],
            )
            for number in range(count)
        ]
        ended.append(await add(CHARGE, Order(customer=text, amount=-5), job_id="declined", tags=[text[:50]]))
        unlucky = Order(customer=text, amount=13, note=text)
        ended += [await add(CHARGE, unlucky, job_id=f"bad-{number}") for number in range(6)]
        for job in ended:
            await job.done(WITHIN)
        await add(BUILD, order, job_id="building", metadata={"who": text})
        await asyncio.wait_for(self.building.wait(), WITHIN)
        for number in range(3):
            await add(CHARGE, order, job_id=f"later-{number}", delay=3600, priority="high")
        for number in range(6):
            await add(SEND, order, job_id=f"letter-{number}", priority="low")
        await self.admin.pause("newsletter", reason=text)
        await add(LONELY, order, job_id="lonely")
        await self.admin.pause("unserved", job="lonely", reason=text)
        schedules = self.producer.schedules
        await schedules.upsert("nightly", CHARGE, order, cron="30 2 * * *", timezone="Europe/Paris")
        await schedules.upsert("often", SEND, order, every=timedelta(minutes=15))
        await self.announce(text)
        client = client_for(parse_address(self.url))
        await client.connect(timeout=WITHIN)
        seeder = Seeder(Scripts(client, self.prefix), "newsletter")
        traceparent = f"00-{TRACE}-00f067aa0ba902b7-01"
        await seeder.add("traced", name="send", trace={"traceparent": traceparent}, delay=3600)
        await client.close()

    async def announce(self, host: str) -> None:
        """Let a worker be heard of now; nobody remembers it for longer than 10 min."""
        now = int(time.time() * 1000)
        entry = WorkerEntry(
            id=f"web-1-{host}"[:150],
            host=host,
            pid=412,
            version="0.1.0",
            worker_type="light",
            queues=("orders", "exports"),
            jobs=("charge@1", "build@1"),
            slots=20,
            running=3,
            processes=2,
            memory_bytes=400 * 2**20,
            cpu=1.25,
            lag_ms=812.5,
            started_ms=now - 1_800_000,
            seen_ms=now,
        )
        client = client_for(parse_address(self.url))
        await client.connect(timeout=WITHIN)
        await announce_worker(client, self.prefix, entry)
        await client.close()

    async def begin_flow(self, flow_id: str) -> str:
        """Start a workflow whose first step is due in an hour; return its id."""
        workflow = Workflow("nightly-export", id=flow_id)
        first = workflow.add("first", CHARGE, Order(customer="ada"), delay=3600)
        parts = [workflow.add(f"part {i}", BUILD, Order(customer="bob"), after=[first]) for i in range(8)]
        workflow.add("last", CHARGE, Order(customer="cleo"), after=parts)
        return (await workflow.start(self.producer)).id
