from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.support.dashboards import embedded, sent
from tests.support.waiting import WITHIN, until

from jobs_admin import BulkAction
from jobs_dashboard import bulks

if TYPE_CHECKING:
    import httpx2
    import pytest
    from tests.support.seeding import Seeder

    from jobs_admin import Admin


async def test_a_query_is_counted_then_changed_in_the_background(
    ada: httpx2.AsyncClient, admin: Admin, mail: Seeder
) -> None:
    await mail.add(*(str(number) for number in range(30)))
    body = {"verb": "cancel", "queue": "mail", "q": "state:waiting"}
    assert await sent(ada, "POST", "/api/bulk", {**body, "dry_run": True}) == {"count": 30, "exact": True}
    action = await sent(ada, "POST", "/api/bulk", {**body, "reason": "wrong list"}, status=202)
    done = await ended(admin, action["id"])
    assert (done.state, done.done, done.actor, done.reason) == ("completed", 30, "ada", "wrong list")
    (entry,) = (await admin.audit()).changes
    assert (entry.verb, entry.count, entry.actor, entry.reason) == ("cancel", 30, "ada", "wrong list")
    assert [each["id"] for each in await sent(ada, "GET", "/api/bulk")] == [action["id"]]


async def ended(admin: Admin, action_id: str) -> BulkAction:
    async def found() -> BulkAction | None:
        action = await admin.bulk_action(action_id)
        return None if action.state == "running" else action

    action = await until(found)
    assert action is not None
    return action


async def begun(admin: Admin, action_id: str) -> None:
    """Wait until the first are done."""

    async def some() -> bool:
        return (await admin.bulk_action(action_id)).done >= 5

    await until(some)


async def test_a_bulk_action_is_cancelled_and_what_it_did_is_told(
    ada: httpx2.AsyncClient, admin: Admin, mail: Seeder
) -> None:
    await mail.add(*(str(number) for number in range(500)))
    body = {"verb": "cancel", "queue": "mail", "q": "state:waiting", "rate": 5}
    action = await sent(ada, "POST", "/api/bulk", body, status=202)
    assert action["state"] == "running"
    await begun(admin, action["id"])
    asked = await sent(ada, "POST", f"/api/bulk/{action['id']}/cancel")
    assert asked["id"] == action["id"]
    done = await ended(admin, action["id"])
    assert (done.state, done.cancelled_by) == ("cancelled", "ada")
    cancelled = (await admin.stats("mail")).cancelled
    assert 5 <= done.done <= cancelled < 500
    entry = (await admin.audit()).changes[0]
    assert (entry.verb, entry.count, entry.detail) == ("cancel", done.done, f"cancelled after {done.done}")


async def test_a_dashboard_that_stops_tells_how_far_it_came(
    admin: Admin, mail: Seeder, redis_url: str, prefix: str
) -> None:
    await mail.add(*(str(number) for number in range(500)))
    body = {"verb": "cancel", "queue": "mail", "q": "state:waiting", "rate": 5}
    async with embedded(admin, redis_url, prefix) as (_, client):
        action = await sent(client, "POST", "/api/bulk", body, status=202)
        await begun(admin, action["id"])
    done = await admin.bulk_action(action["id"])
    assert (done.state, done.cancelled_by) == ("cancelled", "the dashboard that did it was stopped")
    assert done.done >= 5


async def test_one_that_nobody_hears_of_any_more_is_interrupted(
    ada: httpx2.AsyncClient, admin: Admin
) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    action = BulkAction(
        id="gone", verb="cancel", queue="mail", done=70, started_at=long_ago, seen_at=long_ago
    )
    await admin.keep_bulk(action)
    told = await sent(ada, "GET", "/api/bulk/gone")
    assert (told["state"], told["done"]) == ("interrupted", 70)
    await sent(ada, "GET", "/api/bulk/none", status=404)


async def test_the_last_ones_are_remembered(admin: Admin) -> None:
    begun = datetime.now(UTC)
    for number in range(203):
        at = begun + timedelta(seconds=number)
        await admin.keep_bulk(
            BulkAction(
                id=str(number), verb="cancel", queue="mail", state="completed", started_at=at, seen_at=at
            )
        )
    assert [each.id for each in await admin.bulk_actions()] == [str(number) for number in range(202, 2, -1)]


async def test_bulk_changes_of_a_queue(
    ada: httpx2.AsyncClient, admin: Admin, mail: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is, each is over when it is answered.
    monkeypatch.setattr(bulks, "_AT_ONCE_S", WITHIN)
    queue = "/api/queues/mail"
    await mail.finish("fail", "1", "2")
    assert (await sent(ada, "POST", f"{queue}/retry-failed", {"limit": 1}, status=202))["done"] == 1
    assert await sent(ada, "POST", f"{queue}/drain", {"dry_run": True}) == {"count": 1, "exact": True}
    assert (await sent(ada, "POST", f"{queue}/drain", status=202))["state"] == "completed"
    cleaned = await sent(ada, "POST", f"{queue}/clean", {"state": ["failed"]}, status=202)
    assert (cleaned["done"], cleaned["query"]) == (1, "state:failed age>0s")
    await mail.add("3")
    await sent(ada, "POST", f"{queue}/obliterate", {"confirm": "mial"}, status=422)
    await mail.claim()
    busy = await sent(ada, "POST", f"{queue}/obliterate", {"confirm": "mail"}, status=409)
    assert busy["type"] == "queue_busy"
    await sent(ada, "POST", f"{queue}/obliterate", {"confirm": "mail", "force": True}, status=202)
    assert (await admin.stats("mail")).total == 0
    await sent(ada, "POST", "/api/queues/mial/drain", status=404)


async def test_only_so_many_run_at_once(ada: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add(*(str(number) for number in range(50)))
    body = {"verb": "cancel", "queue": "mail", "q": "state:waiting", "rate": 0.1}
    for _ in range(4):
        await sent(ada, "POST", "/api/bulk", body, status=202)
    refused = await sent(ada, "POST", "/api/bulk", body, status=429)
    assert refused["type"] == "too_many_bulks"
