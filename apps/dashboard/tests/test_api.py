from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.registry import WorkerEntry, announce_worker

if TYPE_CHECKING:
    import httpx2


async def get(client: httpx2.AsyncClient, path: str, status: int = 200) -> dict[str, object]:
    response = await client.get(path)
    assert response.status_code == status, response.text
    kind = "application/json" if status == 200 else "application/problem+json"
    assert response.headers["content-type"] == kind
    return cast("dict[str, object]", response.json())


def ids(page: dict[str, object]) -> list[object]:
    return [job["id"] for job in cast("list[dict[str, object]]", page["jobs"])]


async def test_queues(client: httpx2.AsyncClient, mail: Seeder) -> None:
    assert await get(client, "/api/queues") == []
    await mail.add("1", "2")
    (queue,) = cast("list[dict[str, object]]", await get(client, "/api/queues"))
    assert (queue["queue"], queue["waiting"], queue["paused"]) == ("mail", 2, False)
    assert await get(client, "/api/queues/mail") == queue


async def test_metrics(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("1")
    one = await get(client, "/api/queues/mail/metrics")
    assert (one["queue"], one["total_processed"], one["success_rate"]) == ("mail", 0, None)
    every = await get(client, "/api/metrics")
    assert every["queue"] is None
    assert [each["queue"] for each in cast("list[dict[str, object]]", every["queues"])] == ["mail"]


async def test_jobs_by_state_name_and_page(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("1", "2", "3")
    await mail.add("4", delay=60)
    assert ids(await get(client, "/api/queues/mail/jobs")) == ["1", "2", "3", "4"]
    assert ids(await get(client, "/api/queues/mail/jobs?state=delayed&state=failed")) == ["4"]
    assert ids(await get(client, "/api/queues/mail/jobs?name=other")) == []
    first = await get(client, "/api/queues/mail/jobs?limit=2")
    assert ids(first) == ["1", "2"]
    following = await get(client, f"/api/queues/mail/jobs?limit=2&cursor={first['cursor']}")
    assert (ids(following), following["cursor"]) == (["3", "4"], None)
    assert ids(await get(client, "/api/queues/mail/jobs?offset=3")) == ["4"]


async def test_one_job_also_with_a_slash_in_its_id(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("order/7")
    job = await get(client, "/api/queues/mail/jobs/order/7")
    assert (job["id"], job["state"], job["history"]) == ("order/7", "waiting", [])


async def test_workers(client: httpx2.AsyncClient, mail: Seeder) -> None:
    now = round(time.time() * 1000)
    entry = WorkerEntry(
        id="worker-1", host="host", pid=7, version="0", worker_type="light", queues=("mail",), seen_ms=now
    )
    await announce_worker(mail.scripts.client, mail.scripts.prefix, entry)
    (worker,) = cast("list[dict[str, object]]", await get(client, "/api/workers"))
    assert (worker["id"], worker["queues"], worker["silent"]) == ("worker-1", ["mail"], False)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/queues/mial", 404, "unknown_queue"),
        ("/api/queues/mial/metrics", 404, "unknown_queue"),
        ("/api/queues/mial/jobs", 404, "unknown_queue"),
        ("/api/queues/mail/jobs/none", 404, "job_not_found"),
        ("/api/queues/no%20spaces", 422, "option_error"),
        ("/api/queues/mail/jobs?limit=501", 422, "option_error"),
        ("/api/queues/mail/jobs?limit=x", 422, "option_error"),
        ("/api/queues/mail/jobs?offset=-1", 422, "option_error"),
        ("/api/queues/mail/jobs?state=lost", 422, "option_error"),
        ("/api/queues/mail/jobs?cursor=x", 422, "option_error"),
        ("/api/queues/mail/jobs?stat=failed", 422, "option_error"),
        ("/api/nothing", 404, "no_such_route"),
    ],
)
async def test_problems(client: httpx2.AsyncClient, mail: Seeder, path: str, status: int, kind: str) -> None:
    await mail.add("1")
    problem = await get(client, path, status)
    assert (problem["type"], problem["status"]) == (kind, status)
    assert problem["detail"]


async def test_a_problem_names_the_wrong_parameter(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("1")
    assert (await get(client, "/api/queues/mail/jobs?limit=0", 422))["parameter"] == "limit"


async def test_health(client: httpx2.AsyncClient) -> None:
    assert await get(client, "/healthz") == {"status": "ok"}
    assert await get(client, "/readyz") == {"status": "ok"}


async def test_readiness_ends_with_the_connection(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_admin: Admin) -> bool:
        return False

    monkeypatch.setattr(Admin, "is_connected", away)
    response = await client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "unreachable"})
    assert (await client.get("/healthz")).status_code == 200


async def test_the_plain_page_shows_queues_and_escapes_what_people_wrote(
    client: httpx2.AsyncClient, mail: Seeder, redis_url: str, prefix: str
) -> None:
    assert "Nobody has enqueued" in (await client.get("/plain")).text
    await mail.add("1")
    async with Admin(redis_url, prefix=prefix) as admin:
        await admin.pause("mail", reason="<script>alert(1)</script>")
    response = await client.get("/plain")
    assert response.headers["content-type"].startswith("text/html")
    assert "<td>mail</td><td>1</td>" in response.text
    assert "<script" not in response.text
    assert "&lt;script&gt;" in response.text


async def test_the_plain_page_may_run_and_load_nothing(client: httpx2.AsyncClient) -> None:
    response = await client.get("/plain")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


async def test_the_scale_signal_of_a_weight_class(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("1", "2")
    signal = await get(client, "/api/scaler/light?within=30s")
    assert (signal["profile"], signal["waiting"], signal["replicas"]) == ("light", 2, 1)
    assert (await get(client, "/api/scaler/heavy"))["replicas"] == 0
    await get(client, "/api/scaler/fat", 422)
    await get(client, "/api/scaler/light?within=soon", 422)


async def test_alerts_with_their_thresholds(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("1")
    alerts = cast("list[dict[str, object]]", await get(client, "/api/alerts?queue=mail"))
    assert {each["queue"] for each in alerts} == {"mail"}
    assert {"waiting", "failed"} <= {each["alert"] for each in alerts}
    assert await get(client, "/api/alerts?active=1") == []
    await get(client, "/api/alerts?queue=mial", 404)
