"""Queues on a real cluster, each on a node of its own: all that joins queues works across nodes, and nodes come and go."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from redis.crc import key_slot
from redis.exceptions import ResponseError
from tests.support.cluster import Cluster
from tests.support.ports import free_port
from tests.support.refusals import refusal
from tests.support.waiting import WITHIN, until

from jobs_admin import Admin
from jobs_core import Queue, ServerRefused
from jobs_core.connection import client_for, parse_address
from jobs_core.connection.slots import SLOTS, slot_of
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_producer import Flow, Producer, SyncProducer
from jobs_worker import JobContext, Worker, processor
from jobs_worker.glances import glances


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(primaries=3, replicas=1) as cluster:
        # Not for a node that is only slow, nor before a test has looked.
        cluster.nodes[3].ask("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        yield cluster


class Place:
    """A queue on each of three nodes, a worker of all of them, a producer and an admin."""

    def __init__(self, cluster: Cluster, prefix: str) -> None:
        self.prefix = prefix
        self.names = cluster.names()
        self.ran: Counter[str] = Counter()
        self.told: list[str] = []
        queues = [Queue(name, concurrency=10) for name in self.names]
        self.first, self.second, self.third = (
            queue.job("add", payload=int, result=int, attempts=2) for queue in queues
        )
        self.call = queues[1].job("told", payload=str)

        @processor(self.first)
        @processor(self.second)
        @processor(self.third)
        async def add(payload: int, ctx: JobContext) -> int:
            self.ran[ctx.queue] += 1
            return payload + 1 + sum(ctx.children.results(self.first))

        @processor(self.call)
        async def told(payload: str, _: JobContext) -> None:
            self.told.append(payload)

        self.processors = [add, told]
        self.worker = Worker(processors=self.processors, url=cluster.url, prefix=prefix)
        self.producer = Producer(cluster.url, prefix=prefix, enqueue_timeout=WITHIN)
        self.admin = Admin(cluster.url, prefix=prefix)

    async def faults(self) -> list[str]:
        """Name what the checker finds wrong, and what the doctor holds for an error."""
        report = await self.admin.check()
        found = await self.admin.doctor()
        return [str(each) for each in report.breaches] + [
            each.text for each in found if each.severity == "error"
        ]


@pytest.fixture
async def place(cluster: Cluster, prefix: str) -> AsyncIterator[Place]:
    place = Place(cluster, prefix)
    async with AsyncExitStack() as stack:
        for each in (place.producer, place.admin, place.worker):
            await stack.enter_async_context(each)
        yield place
        assert await place.faults() == []


@pytest.mark.parametrize("key", ["a", "{a}b", "a{b}c", "a{}b", "a{b", "}a{b}", "{{a}}b", "jobs:{mail}:x", ""])
def test_slots_are_those_of_the_servers(key: str) -> None:
    assert slot_of(key) == slot_of(key.encode()) == key_slot(key.encode())


async def test_what_joins_queues_joins_those_of_different_nodes(place: Place) -> None:
    producer, names = place.producer, place.names
    async with place.admin.listener() as listener:
        heard: Counter[tuple[str, str]] = Counter()
        listener.on("*", lambda event: heard.update([(event.queue, event.event)]))
        listener.start()
        jobs = [await producer.enqueue(each, 1) for each in (place.first, place.second, place.third)]
        assert [await job.result(WITHIN) for job in jobs] == [2, 2, 2]
        chain = place.first.then(place.second).then(place.third)
        assert await (await producer.enqueue_chain(chain, 1)).result(WITHIN) == 4
        children = [Flow(place.second, 1), Flow(place.third, 2, children=[Flow(place.first, 5)])]
        tree = await Flow(place.first, 10, children=children).submit(producer)
        assert await tree.result(WITHIN) == 10 + 1 + 2 + (2 + 1 + 6)
        async with await producer.flows.batch(
            "batch", place.first.queue, on_success=[place.call.call("all done")]
        ) as batch:
            for each in (place.first, place.second, place.third):
                await batch.add_many(each, range(20))
        assert (await batch.run.done(WITHIN)).completed == 60
        await until(lambda: place.told == ["all done"])
        await producer.schedules.upsert("often", place.third, 7, every=0.2)
        await until(lambda: heard[names[2], "scheduled"] >= 1 and heard[names[2], "completed"] >= 24)
        await producer.schedules.remove(place.third.queue, "often")
        await until(lambda: all(heard[name, "completed"] >= 22 for name in names))
    assert {each.queue for each in await place.admin.queues()} >= set(names)
    assert len(await place.admin.workers()) <= 1
    totals = {each.queue: each.completed for each in await place.admin.queues()}
    assert min(totals[name] for name in names) >= 22


async def test_a_sync_producer_enqueues_on_every_node(cluster: Cluster, place: Place) -> None:
    with SyncProducer(cluster.url, prefix=place.prefix) as producer:
        jobs = [await asyncio.to_thread(producer.enqueue, each, 2) for each in (place.first, place.second)]
        assert [await asyncio.to_thread(job.result, WITHIN) for job in jobs] == [3, 3]


async def test_a_queue_waits_while_its_slot_moves_and_goes_on_elsewhere(
    cluster: Cluster, place: Place
) -> None:
    job = await place.producer.enqueue(place.third, 1, delay=3600, job_id="later")
    slot = key_slot(f"{{{place.names[2]}}}".encode())
    source, target = cluster.nodes[2], cluster.nodes[1]
    cluster.begin_move(slot, source, target)
    # A script would find half of the queue on either node.
    waiting = asyncio.create_task(place.producer.enqueue(place.third, 1))
    assert await (await place.producer.enqueue(place.second, 1)).result(WITHIN) == 2
    assert not waiting.done()
    await asyncio.to_thread(cluster.end_move, slot, source, target)
    assert await (await waiting).result(WITHIN) == 2
    await place.admin.promote(place.names[2], "later")
    assert await job.result(WITHIN) == 2
    await asyncio.to_thread(cluster.begin_move, slot, target, source)
    await asyncio.to_thread(cluster.end_move, slot, target, source)
    # The worker is idle: it is woken by a message on a channel that moved as well.
    assert await (await place.producer.enqueue(place.third, 1)).result(WITHIN) == 2


async def test_a_queue_goes_on_while_a_server_moves_its_slot_whole(cluster: Cluster, place: Place) -> None:
    slot, source, target = slot_of(f"{{{place.names[2]}}}"), cluster.nodes[2], cluster.nodes[1]
    late = await place.producer.enqueue(place.third, 1, delay=3600, job_id="whole")
    for giver, taker in ((source, target), (target, source)):
        try:
            await asyncio.to_thread(cluster.move_whole, slot, giver, taker)
        except ResponseError:
            pytest.skip("the server has no CLUSTER MIGRATESLOTS")
        results = list[int]()
        while not cluster.has_slot(slot, taker):
            results.append(await (await place.producer.enqueue(place.third, 1)).result(WITHIN))
        assert await (await place.producer.enqueue(place.third, 2)).result(WITHIN) == 3
        assert set(results) <= {2}
    await place.admin.promote(place.names[2], "whole")
    assert await late.result(WITHIN) == 2


async def test_jobs_go_on_while_the_node_that_lists_the_queues_stands_still(
    cluster: Cluster, place: Place
) -> None:
    lists = cluster.nodes[1]
    assert slot_of("{~}") // (SLOTS // 3) == 1
    async with Producer(cluster.url, prefix=place.prefix) as producer:
        os.kill(lists.server.pid, signal.SIGSTOP)
        try:
            assert await (await producer.enqueue(place.third, 1)).result(WITHIN) == 2
        finally:
            os.kill(lists.server.pid, signal.SIGCONT)
    assert await (await place.producer.enqueue(place.second, 1)).result(WITHIN) == 2


async def test_programs_start_while_a_node_is_away(
    cluster: Cluster, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_core.connection.cluster._CONNECT_PATIENCE", 0.2)
    monkeypatch.setattr("jobs_worker.declared._PATIENCE", 0.2)
    away = cluster.nodes[2]
    assert await (await place.producer.enqueue(place.third, 1)).result(WITHIN) == 2
    await place.worker.close()
    os.kill(away.server.pid, signal.SIGSTOP)
    try:
        async with (
            Producer(cluster.url, prefix=place.prefix, enqueue_timeout=WITHIN) as producer,
            Admin(cluster.url, prefix=place.prefix) as admin,
            Worker(processors=place.processors, url=cluster.url, prefix=place.prefix),
        ):
            assert await (await producer.enqueue(place.first, 1)).result(WITHIN) == 2
            assert not producer.connection_info().connected
            told = [each.text for each in await admin.doctor() if each.code == "node_away"]
            assert any(f":{away.port}/0 does not answer" in each for each in told)
            late = asyncio.create_task(producer.enqueue(place.third, 5))
            os.kill(away.server.pid, signal.SIGCONT)
            assert await (await late).result(WITHIN) == 6
            await until(producer.is_connected)
    finally:
        os.kill(away.server.pid, signal.SIGCONT)


async def test_one_server_is_no_cluster_and_a_node_of_a_cluster_no_server(
    cluster: Cluster, prefix: str
) -> None:
    with pytest.raises(ServerRefused, match=r"redis\+cluster://"):
        await Producer(f"redis://127.0.0.1:{cluster.nodes[0].port}", prefix=prefix).connect()
    with EmbeddedServer(port=0, options={"cluster-enabled": "no"}) as server:
        url = server.url.replace("redis://", "redis+cluster://")
        with pytest.raises(ServerRefused, match="no node of a cluster"):
            await Producer(url, prefix=prefix).connect()
        port = server.url.rpartition(":")[2]
    said = await refusal(url, prefix, "Connect call failed")
    assert f"redis://127.0.0.1:{port}: " in said


async def test_a_cluster_that_serves_no_slots_is_named(prefix: str) -> None:
    options = {"cluster-enabled": "yes", "cluster-port": str(free_port())}
    with EmbeddedServer(port=0, options=options) as server:
        url = server.url.replace("redis://", "redis+cluster://")
        await refusal(url, prefix, "serves slots")


async def test_a_replica_takes_over_from_a_primary_that_died(cluster: Cluster, place: Place) -> None:
    primary, replica = cluster.nodes[0], cluster.nodes[3]
    assert await (await place.producer.enqueue(place.first, 1)).result(WITHIN) == 2
    late = await place.producer.enqueue(place.first, 3, delay=3600, job_id="late")
    assert primary.ask("WAIT", 1, 5000) == 1
    client = client_for(parse_address(cluster.url))
    await client.connect(timeout=WITHIN)
    primary.server.kill()
    during = asyncio.create_task(place.producer.enqueue(place.first, 5))
    # The others go on meanwhile, and whoever looks at all queues sees theirs.
    assert await (await place.producer.enqueue(place.second, 1)).result(WITHIN) == 2
    assert {*await glances(Scripts(client, place.prefix), place.names)} == {*place.names[1:]}
    assert not client.is_connected
    assert str(primary.port) in client.failure
    await client.close()
    replica.ask("CONFIG", "SET", "cluster-replica-no-failover", "no")
    assert await (await during).result(WITHIN) == 6
    assert replica.role == "master"
    assert (await place.admin.promote(place.names[0], "late"))[0].done
    assert await late.result(WITHIN) == 4
    assert place.producer.connection_info().nodes == tuple(
        f"redis://127.0.0.1:{node.port}/0" for node in (replica, *cluster.nodes[1:3])
    )
