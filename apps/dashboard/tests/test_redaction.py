"""What code marks as never to be shown leaves the dashboard by no route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.dashboards import JOBS, embedded, sent

from jobs_admin import Admin

if TYPE_CHECKING:
    import httpx2
    from tests.support.seeding import Seeder

SECRET = "correct horse"
PAYLOAD = {"user": "ada", "password": SECRET}
LETTER = {
    "queue": "mail",
    "id": "9",
    "name": "login@1",
    "reason": f"ValueError: {SECRET}",
    "group": "ValueError",
    "failed_at_ms": 1_700_000_000_000,
    "created_at_ms": 1_700_000_000_000,
    "priority": 3,
    "attempts": [
        {"attempt": 1, "started_at_ms": 1, "run_ms": 2.0, "worker": "w", "error_type": "E", "error": SECRET}
    ],
    "payload": PAYLOAD,
}
LOOKS = (
    JOBS,
    f"{JOBS}?q=correct",
    f"{JOBS}/1",
    f"{JOBS}/1/logs",
    f"{JOBS}/1/doctor",
    "/api/queues/dead-letter/jobs",
    "/api/queues/dead-letter/jobs/a",
    "/api/dead-letters",
    "/api/dead-letters/a",
    "/api/schedules",
    "/api/schedules/mail/daily",
    "/api/queues/mail/history",
    "/api/audit",
    "/api/metrics",
)


async def test_no_route_tells_it(mail: Seeder, redis_url: str, prefix: str) -> None:
    await mail.add("1", name="login", data=PAYLOAD, metadata={"hint": SECRET}, tags=[SECRET])
    await mail.settle("fail", await mail.claim())
    await mail.named("dead-letter").add("a", name="dead-letter", data=LETTER)
    async with (
        Admin(redis_url, prefix=prefix) as admin,
        embedded(admin, redis_url, prefix) as (_, client),
    ):
        body = {"name": "login", "payload": PAYLOAD}
        assert SECRET not in str(await sent(client, "POST", JOBS, body, status=202))
        schedule = {**body, "queue": "mail", "id": "daily", "every_ms": 60_000}
        assert SECRET not in str(await sent(client, "POST", "/api/schedules", schedule, status=201))
        for path in LOOKS:
            assert SECRET not in await told(client, path), path
        edited = {"payload": {"user": "eve", "password": "***"}}
        await sent(client, "POST", f"{JOBS}/1/replay", edited)
        assert SECRET not in await told(client, f"{JOBS}/1")


async def told(client: httpx2.AsyncClient, path: str) -> str:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.text
