import struct

import pytest
from tests.support.freezing import frozen
from tests.support.seeding import Seeder

from jobs_admin import Admin, Unanswered
from jobs_core.errors import ConnectionFailed, OptionError, UnknownQueue
from jobs_core.server import EmbeddedServer
from jobs_core.wire import Others


async def test_counts_every_home_and_total(admin: Admin, mail: Seeder) -> None:
    await mail.finish("complete", "c1", "c2")
    await mail.finish("complete", "gone", keep=0)
    await mail.finish("fail", "f1")
    await mail.add("u1")
    await mail.settle("unroutable", await mail.claim())
    await mail.add("a1")
    await mail.claim()
    await mail.add("w1", "w2", "w3")
    await mail.add("d1", delay=60)
    record = await admin.stats("mail")
    assert (record.waiting, record.active, record.delayed, record.unroutable, record.blocked) == (
        3,
        1,
        1,
        1,
        0,
    )
    assert (record.completed, record.failed, record.total) == (3, 1, 5)
    assert (record.retained_completed, record.retained_failed) == (2, 1)
    assert not record.paused


async def test_lists_the_queues_that_were_used(admin: Admin, mail: Seeder) -> None:
    assert await admin.queues() == []
    await mail.add("1")
    await mail.named("audit").add("1", "2")
    assert [(record.queue, record.waiting) for record in await admin.queues()] == [("audit", 2), ("mail", 1)]


async def test_totals_stay_when_jobs_are_removed(admin: Admin, mail: Seeder) -> None:
    await mail.finish("complete", "1", "2")
    assert await admin.clean("mail") == 2
    record = await admin.stats("mail")
    assert (record.completed, record.retained_completed) == (2, 0)


async def test_an_unknown_queue_is_an_error_with_the_nearest_names(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    with pytest.raises(UnknownQueue) as caught:
        await admin.stats("mial")
    assert caught.value.nearest == ["mail"]
    with pytest.raises(UnknownQueue):
        await admin.pause("mial")
    with pytest.raises(OptionError):
        await admin.stats("no spaces")


async def test_a_declared_queue_exists_before_it_is_used(redis_url: str, prefix: str) -> None:
    async with Admin(redis_url, prefix=prefix, declared=["mail"]) as admin:
        assert (await admin.stats("mail")).total == 0
        assert await admin.pause("mail")


async def test_pause_and_resume_say_whether_they_changed_anything(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    assert await admin.pause("mail", reason="provider down", actor="ada")
    assert not await admin.pause("mail", reason="provider down", actor="ada")
    record = await admin.stats("mail")
    assert (record.paused, record.paused_by, record.pause_reason) == (True, "ada", "provider down")
    assert record.paused_at is not None
    assert await admin.resume("mail")
    assert not await admin.resume("mail")
    assert (await admin.stats("mail")).paused_at is None


async def test_metrics_of_a_queue_that_did_nothing_yet(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", delay=60)
    metrics = await admin.metrics("mail")
    assert (metrics.total_added, metrics.total_processed) == (1, 0)
    assert metrics.success_rate is None
    assert metrics.avg_processing_ms is None
    assert metrics.oldest_waiting_ms is None


async def test_metrics_measure_what_was_settled(admin: Admin, mail: Seeder) -> None:
    await mail.finish("complete", "1", "2", "3")
    await mail.finish("fail", "4")
    await mail.add("5")
    await mail.claim()
    metrics = await admin.metrics("mail")
    assert (metrics.total_processed, metrics.total_failed, metrics.success_rate) == (4, 1, 0.75)
    assert (metrics.avg_processing_ms, metrics.avg_wait_ms) == (2000.0, 1000.0)
    assert metrics.current_concurrency == 1


async def test_metrics_of_all_queues_hold_each(admin: Admin, mail: Seeder) -> None:
    await mail.finish("complete", "1")
    await mail.named("audit").finish("fail", "1")
    metrics = await admin.metrics()
    assert (metrics.queue, metrics.total_processed, metrics.success_rate) == (None, 2, 0.5)
    assert isinstance(metrics.queues, tuple)
    assert [(each.queue, each.success_rate) for each in metrics.queues] == [("audit", 0.0), ("mail", 1.0)]


async def test_stalled_jobs_are_counted(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", "2")
    await mail.claim()
    await mail.scripts.release("mail", owner=mail.owner, others=Others.CHARGED)
    assert (await admin.stats("mail")).stalled == 2
    assert (await admin.metrics("mail")).total_stalled == 2
    assert (await admin.metrics()).total_stalled == 2


@pytest.mark.parametrize("priority", [1, 2, 3, 4, 5])
async def test_the_oldest_waiting_job_is_found_among_other_priorities(
    admin: Admin, mail: Seeder, priority: int
) -> None:
    offsets_ms = {1: 86_400_000, 2: 1_800_000, 3: 0, 4: -600_000, 5: -7_200_000}
    await mail.add("old", priority=priority)
    ready_ms = await admin._calls.server_ms() - 300_000
    client, key = mail.scripts.client, mail.scripts.key("mail")
    await client.call("HSET", key + "state", "old", struct.pack(">IIIBQ", 0, 0, 0, 0, ready_ms))
    await client.call("ZADD", key + "waiting", (ready_ms - offsets_ms[priority]) * 1000, "old")
    for other in offsets_ms:
        await mail.add(*(f"new-{other}-{number}" for number in range(10)), priority=other)
    oldest = (await admin.metrics("mail")).oldest_waiting_ms
    assert oldest is not None
    assert 300_000 <= oldest < 330_000


async def test_connection_info_never_shows_the_password(redis_url: str) -> None:
    admin = Admin("redis://ada:secret@localhost:1/3")
    assert "secret" not in repr(admin.connection_info())
    assert admin.connection_info().db == 3
    async with Admin(redis_url) as connected:
        assert await connected.is_connected()
        assert connected.connection_info().role == "master"
    assert not await connected.is_connected()


async def test_an_unreachable_server_is_told_in_time() -> None:
    with pytest.raises(ConnectionFailed):
        async with Admin("redis://127.0.0.1:1/0", timeout=0.1):
            pass


def test_reads_its_settings_from_the_environment() -> None:
    admin = Admin.from_env({"REDIS_URL": "redis://cache:7000/2", "JOBS_PREFIX": "shop"})
    assert admin.connection_info().address == "redis://cache:7000/2"


async def test_a_server_that_does_not_answer_is_told_in_time(
    admin: Admin, mail: Seeder, server: EmbeddedServer
) -> None:
    await mail.add("1")
    await mail.scripts.client.call("CLIENT", "PAUSE", 60_000, "WRITE")
    assert (await admin.stats("mail")).waiting == 1
    admin._calls.timeout = 0.1
    with pytest.raises(Unanswered, match="call again: that is safe"):
        await admin.pause("mail")
    await mail.scripts.client.call("CLIENT", "UNPAUSE")
    with frozen(server), pytest.raises(ConnectionFailed, match=r"no answer within 0\.1 s"):
        await admin.stats("mail")
    assert issubclass(Unanswered, ConnectionFailed)
