from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.support.dashboards import embedded, sent
from tests.support.waiting import WITHIN, until

from jobs_admin import Admin, BulkAction
from jobs_dashboard import bulks

if TYPE_CHECKING:
    import httpx2
    import pytest
    from tests.support.seeding import Seeder

    from jobs_admin import Progress


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
        return None if action.ended_at is None else action

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
    told = {each.verb: each for each in (await admin.audit()).changes}
    assert (told["cancel"].count, told["cancel"].detail) == (done.done, f"cancelled after {done.done}")
    assert (told["bulk cancel"].actor, told["bulk cancel"].detail) == ("ada", "cancel of ada")


async def test_a_bulk_action_is_undone_before_it_begins(
    ada: httpx2.AsyncClient, admin: Admin, mail: Seeder
) -> None:
    await mail.add("1", "2")
    body = {"verb": "remove", "queue": "mail", "q": "state:waiting", "undo_window_ms": 300_000}
    wrong = await sent(ada, "POST", "/api/bulk", {**body, "q": "stat:waiting"}, status=422)
    assert wrong["type"] == "option_error"
    await sent(ada, "POST", "/api/queues/mial/drain", {"undo_window_ms": 1}, status=404)
    await sent(ada, "POST", "/api/bulk", {**body, "undo_window_ms": 300_001}, status=422)
    action = await sent(ada, "POST", "/api/bulk", body, status=202)
    assert (action["state"], action["done"]) == ("pending", 0)
    seen = await sent(ada, "GET", f"/api/bulk/{action['id']}")
    assert (seen["state"], seen["starts_at"]) == ("pending", action["starts_at"])
    assert 0 < seen["starts_in_ms"] <= 300_000
    grace = admin.acting(actor="grace", reason="wrong list")
    # It is so at once, whenever the dashboard that waits hears of it; who comes later undoes nothing more.
    assert (await grace.cancel_bulk(action["id"])).state == "undone"
    late = await sent(ada, "POST", f"/api/bulk/{action['id']}/cancel")
    assert (late["state"], late["cancelled_by"]) == ("undone", "grace")
    assert [each["state"] for each in await sent(ada, "GET", "/api/bulk")] == ["undone"]
    done = await ended(admin, action["id"])
    assert (done.state, done.cancelled_by, done.done) == ("undone", "grace", 0)
    assert (await admin.stats("mail")).waiting == 2
    ending, undo = (await admin.audit()).changes
    assert (undo.actor, undo.verb, undo.detail) == ("grace", "bulk undo", "remove of ada")
    assert (undo.filter, undo.reason) == ("state:waiting", "wrong list")
    assert (ending.actor, ending.verb, ending.count, ending.detail) == ("ada", "remove", 0, "undone by grace")


async def test_a_bulk_action_begins_when_it_can_be_undone_no_more(
    ada: httpx2.AsyncClient, admin: Admin, mail: Seeder
) -> None:
    await mail.add("1", "2")
    action = await sent(ada, "POST", "/api/queues/mail/drain", {"undo_window_ms": 1}, status=202)
    assert action["state"] == "pending"
    done = await ended(admin, action["id"])
    assert (done.state, done.done, done.starts_in_ms) == ("completed", 2, None)
    assert (await admin.stats("mail")).waiting == 0


async def test_an_undo_in_the_last_moment_is_kept(
    admin: Admin, mail: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the end of the window and the word that it begins: who was told that it is undone is right."""
    await mail.add("1")
    keep = Admin.keep_bulk
    told: list[str] = []

    async def late(self: Admin, action: BulkAction) -> str:
        if action.state == "running":
            told.append((await admin.cancel_bulk(action.id)).state)
        return await keep(self, action)

    monkeypatch.setattr(Admin, "keep_bulk", late)
    every = bulks.Bulks()

    async def work(acting: Admin, dry_run: bool, progress: Progress) -> int:  # noqa: FBT001 - as Work
        return await acting.drain("mail", dry_run=dry_run, progress=progress)

    plan = bulks.Plan(verb="drain", queue="mail", work=work)
    action = await every.start(admin, plan, "ada", "", 0.001)
    done = await ended(admin, action.id)
    assert (told, done.state) == (["undone"], "undone")
    assert (await admin.stats("mail")).waiting == 1


async def test_a_dashboard_that_stops_tells_how_far_it_came(
    admin: Admin, mail: Seeder, redis_url: str, prefix: str
) -> None:
    await mail.add(*(str(number) for number in range(500)))
    body = {"verb": "cancel", "queue": "mail", "q": "state:waiting", "rate": 5}
    async with embedded(admin, redis_url, prefix) as (_, client):
        action = await sent(client, "POST", "/api/bulk", body, status=202)
        await begun(admin, action["id"])
        begins = await sent(client, "POST", "/api/bulk", {**body, "undo_window_ms": 300_000}, status=202)
    by = "the dashboard that did it was stopped"
    done = await admin.bulk_action(action["id"])
    assert (done.state, done.cancelled_by) == ("cancelled", by)
    assert done.done >= 5
    undone = await admin.bulk_action(begins["id"])
    assert (undone.state, undone.cancelled_by, undone.done) == ("undone", by, 0)


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
