"""Whether queues are well, and the recipe that asks it for a service."""

import asyncio
import json
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from tests.support.documents import ROOT, blocks
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.errors import OptionError, UnknownQueue
from jobs_core.server import EmbeddedServer


async def test_a_queue_is_well_within_the_thresholds(admin: Admin, mail: Seeder) -> None:
    await mail.add("w1", "w2", "w3")
    record = await admin.queue_health("mail")
    assert record.healthy
    assert (record.waiting, record.failed, record.paused) == (3, 0, False)
    assert record.message.startswith(
        "queue mail: healthy; waiting 3 (at most 1000), failed 0 (at most 100), oldest "
    )


async def test_each_threshold_counts_for_itself(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "f1", "f2")
    await mail.add("w1", "w2")
    assert (await admin.queue_health("mail", max_waiting=2, max_failed=2)).healthy
    waiting = await admin.queue_health("mail", max_waiting=1)
    assert not waiting.healthy
    assert "too much: waiting; waiting 2 (at most 1), failed 2 (at most 100)" in waiting.message
    failed = await admin.queue_health("mail", max_failed=1)
    assert "too much: failed" in failed.message
    both = await admin.queue_health("mail", max_waiting=0, max_failed=0)
    assert "too much: waiting, failed" in both.message
    assert (await admin.queue_health("mail", max_waiting=None, max_failed=None)).healthy
    # Milliseconds are what it is told in: another one must have begun.
    async with asyncio.timeout(40):
        while not (await admin.queue_health("mail")).oldest_waiting_ms:
            pass
    old = await admin.queue_health("mail", max_age=0)
    assert "too much: oldest" in old.message
    assert (await admin.queue_health("mail", max_age=60)).healthy
    await admin.retry_failed("mail")
    assert (await admin.queue_health("mail", max_failed=0)).failed == 0


async def test_a_paused_queue_says_so(admin: Admin, mail: Seeder) -> None:
    await mail.add("w1")
    await admin.pause("mail")
    record = await admin.queue_health("mail")
    assert record.healthy
    assert record.message.endswith(", paused")


async def test_what_cannot_be_asked_is_an_error(admin: Admin, redis_url: str, prefix: str) -> None:
    with pytest.raises(UnknownQueue):
        await admin.queue_health("mail")
    with pytest.raises(OptionError, match="max_failed"):
        await admin.queue_health("mail", max_failed=-1)
    async with Admin(redis_url, prefix=prefix, declared=["mail"]) as other:
        assert (await other.queue_health("mail")).healthy


async def test_a_server_that_does_not_answer_is_unhealthy() -> None:
    with EmbeddedServer() as server:
        admin = Admin(server.url, timeout=0.3, declared=["mail"])
        await admin.connect(30)
    record = await admin.queue_health("mail")
    await admin.close()
    assert (record.healthy, record.waiting) == (False, None)
    assert record.message.startswith("queue mail: ")


async def test_stats_name_what_is_paused(admin: Admin, mail: Seeder) -> None:
    await mail.add("w1")
    assert not isinstance((await admin.stats("mail")).paused_parts, tuple)
    await admin.pause("mail", job="digest", reason="too many")
    await admin.pause("mail", key="tenant-7")
    parts = (await admin.stats("mail")).paused_parts
    assert isinstance(parts, tuple)
    assert [(part.scope, part.name, part.pause_reason) for part in parts] == [
        ("job", "digest", "too many"),
        ("key", "tenant-7", ""),
    ]


async def test_the_recipe_registers_a_required_check(admin: Admin, mail: Seeder) -> None:
    (recipe,) = (each for each in blocks(ROOT / "docs/admin.md", "python") if "HealthRegistry" in each.text)
    names: dict[str, Any] = {}
    exec(compile(recipe.text, "docs/admin.md", "exec"), names)
    registry = names["HealthRegistry"]()
    names["register_queues"](registry, admin)
    await mail.named("email").add("1")
    images = mail.named("images")
    await images.finish("fail", *(f"f{number}" for number in range(10)))

    async def asked() -> tuple[int, dict[str, str]]:
        answer = cast("JSONResponse", await registry.endpoint(Request({"type": "http"})))
        return answer.status_code, json.loads(bytes(answer.body))

    code, told = await asked()
    assert (code, sorted(told)) == (200, ["email", "images"])
    await images.finish("fail", "one-more")
    code, told = await asked()
    assert code == 503
    assert "failed 11 (at most 10)" in told["images"]
