from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.dashboards import JOBS, embedded, sent

if TYPE_CHECKING:
    from tests.support.seeding import Seeder

    from jobs_admin import Admin


async def test_a_job_is_added_and_told(ada: httpx2.AsyncClient, admin: Admin) -> None:
    body = {"name": "send", "payload": {"to": "bob"}, "options": {"delay": "1h", "priority": "high"}}
    job = await sent(ada, "POST", JOBS, body, status=202)
    assert (job["state"], job["priority"], job["created"]) == ("delayed", "high", True)
    assert (await admin.job("mail", job["id"])).payload == {"to": "bob"}
    (entry,) = (await admin.audit()).changes
    assert (entry.actor, entry.verb, entry.queue) == ("ada", "enqueue", "mail")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"name": "send", "payload": {"to": 7}}, (422, "payload_error", "$.to")),
        ({"name": "send", "payload": {"to": "b", "copies": 9}}, (422, "payload_error", "$.copies")),
        ({"name": "send"}, (422, "payload_error", "$")),
        ({"name": "sned", "payload": {}}, (404, "unknown_job", None)),
        ({"name": "send", "payload": {"to": "b"}, "options": {"dely": 1}}, (422, "option_error", None)),
        ({"name": "send", "payload": {"to": "b"}, "options": {"delay": []}}, (422, "option_error", None)),
        ({"payload": {}}, (422, "option_error", None)),
        ({"name": "send", "payloads": {}}, (422, "option_error", None)),
        ([], (422, "option_error", None)),
    ],
)
async def test_what_does_not_fit_is_not_added(
    ada: httpx2.AsyncClient, admin: Admin, body: object, problem: tuple[int, str, str | None]
) -> None:
    status, kind, where = problem
    told = await sent(ada, "POST", JOBS, body, status=status)
    assert (told["type"], told.get("path")) == (kind, where)
    assert await admin.queues() == []


@pytest.mark.parametrize(
    ("body", "parameter", "detail"),
    [
        ({"alert": "failed", "threshold": -2}, "threshold", "threshold: expected `float` >= 0.0."),
        ({"alert": "failed", "level": 2}, "level", "level: object contains unknown field `level`."),
        ({"threshold": 2}, "alert", "alert: object missing required field `alert`."),
        (7, "body", "The body: expected `object`, got `int`."),
    ],
)
async def test_a_wrong_body_says_which_field(
    ada: httpx2.AsyncClient, mail: Seeder, body: object, parameter: str, detail: str
) -> None:
    await mail.add("1")
    told = await sent(ada, "PUT", "/api/queues/mail/alerts", body, status=422)
    assert (told["type"], told["parameter"], told["detail"]) == ("option_error", parameter, detail)


async def test_what_is_nested_too_deep_is_refused(ada: httpx2.AsyncClient) -> None:
    deep = b'{"name": "send", "payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    response = await ada.post(JOBS, content=deep, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (400, "malformed_body")


async def test_what_is_to_follow_is_added_with_its_job(ada: httpx2.AsyncClient) -> None:
    follower = {"queue": "mail", "job": "send", "payload": {"to": "eve"}, "options": {"job_id": "next"}}
    body = {"name": "send", "payload": {"to": "bob"}, "options": {"on_success": [follower]}}
    job = await sent(ada, "POST", JOBS, body, status=202)
    assert job["flow"]["next"] == [{"queue": "mail", "name": "send", "id": "next"}]
    for wrong, problem in (
        ({"payload": {"to": 7}}, (422, "payload_error")),
        ({"queue": "mial"}, (404, "unknown_queue")),
        ({"options": {"attempts": 0}}, (422, "option_error")),
    ):
        options = {"on_success": [{**follower, **wrong}]}
        told = await sent(ada, "POST", JOBS, {**body, "options": options}, status=problem[0])
        assert told["type"] == problem[1]


async def test_of_an_array_each_is_told(ada: httpx2.AsyncClient) -> None:
    items = [{"name": "send", "payload": {"to": to}} for to in ("a", 1, "b")]
    told = await sent(ada, "POST", JOBS, items, status=207)
    assert [each["status"] for each in told] == [202, 422, 202]
    assert (told[0]["job"]["payload"], told[1]["problem"]["path"]) == ({"to": "a"}, "$.to")


async def test_an_id_that_is_there_stands_for_the_call(ada: httpx2.AsyncClient) -> None:
    body = {"name": "send", "payload": {"to": "bob"}, "options": {"job_id": "order/7"}}
    assert (await sent(ada, "POST", JOBS, body, status=202))["created"]
    assert not (await sent(ada, "POST", JOBS, body, status=202))["created"]
    assert (await sent(ada, "GET", f"{JOBS}/order%2F7"))["id"] == "order/7"


async def test_a_queue_that_no_code_declares_takes_any_json_once_it_is_there(
    ada: httpx2.AsyncClient, mail: Seeder
) -> None:
    body = {"name": "any", "payload": [1, {"two": None}]}
    await sent(ada, "POST", "/api/queues/other/jobs", body, status=404)
    await mail.named("other").add("1")
    assert (await sent(ada, "POST", "/api/queues/other/jobs", body, status=202))["payload"] == [
        1,
        {"two": None},
    ]


@pytest.mark.parametrize("kind", ["plain", "bad"])
async def test_no_answer_repeats_what_is_never_shown(ada: httpx2.AsyncClient, kind: str) -> None:
    payload = {"user": "ada" if kind == "bad" else 7, "password": "correct horse", "kind": kind}
    response = await ada.post(JOBS, json={"name": "login", "payload": payload})
    assert response.status_code == 422
    assert "correct horse" not in response.text


async def test_changes_of_one_job(ada: httpx2.AsyncClient, admin: Admin, mail: Seeder) -> None:
    await mail.add("1", delay=60)
    await sent(ada, "POST", f"{JOBS}/1/priority", {"to": "critical"})
    assert (await admin.job("mail", "1")).priority == "critical"
    await sent(ada, "POST", f"{JOBS}/1/reschedule", {"run_at": "2040-01-01T00:00:00Z", "reason": "later"})
    assert (await admin.audit()).changes[0].reason == "later"
    await sent(ada, "POST", f"{JOBS}/1/promote")
    assert (await admin.job("mail", "1")).state == "waiting"
    claim = await mail.claim()
    refused = await sent(ada, "DELETE", f"{JOBS}/1", status=409)
    assert refused["type"] == "wrong_state"
    await mail.settle("fail", claim)
    await sent(ada, "POST", f"{JOBS}/1/retry")
    assert (await sent(ada, "POST", f"{JOBS}/1/cancel"))["outcome"] == "cancelled"
    await sent(ada, "DELETE", f"{JOBS}/1?reason=tidy", status=204)
    await sent(ada, "POST", f"{JOBS}/none/cancel", status=404)
    verbs = [each.verb for each in (await admin.audit()).changes]
    assert verbs == ["cancel", "remove", "cancel", "retry", "promote", "reschedule", "priority"]


async def test_a_replay_with_another_payload_is_for_admins(
    ada: httpx2.AsyncClient, admin: Admin, mail: Seeder
) -> None:
    await mail.add("1", data={"to": "bob"})
    await mail.settle("fail", await mail.claim())
    body = {"payload": {"to": "eve"}}
    response = await ada.post(f"{JOBS}/1/replay", json=body, headers={"X-Role": "operator"})
    assert (response.status_code, response.json()["type"]) == (403, "forbidden")
    wrong = await sent(ada, "POST", f"{JOBS}/1/replay", {"payload": {"to": 7}}, status=422)
    assert wrong["path"] == "$.to"
    await sent(ada, "POST", f"{JOBS}/1/replay", body)
    assert (await admin.job("mail", "1")).payload == {"to": "eve"}
    await sent(ada, "POST", f"{JOBS}/1/replay", status=409)


async def test_changes_of_a_queue(ada: httpx2.AsyncClient, admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    queue = "/api/queues/mail"
    assert await sent(ada, "POST", f"{queue}/pause", {"reason": "noise", "for_ms": 60_000}) == {
        "changed": True
    }
    stats = await admin.stats("mail")
    assert (stats.paused_by, stats.pause_reason) == ("ada", "noise")
    assert await sent(ada, "POST", f"{queue}/pause") == {"changed": False}
    assert await sent(ada, "POST", f"{queue}/resume") == {"changed": True}
    limits = {"max_active": 3, "rate_limit": {"max": 10, "per_ms": 500, "burst": 2}}
    told = {each["limit"]: each["live"] for each in await sent(ada, "PUT", f"{queue}/limits", limits)}
    assert told["max_active"] == 3
    assert told["rate_limit"] == limits["rate_limit"]
    again = {"max_active": "declared", "rate_limit": None}
    told = {each["limit"]: each for each in await sent(ada, "PUT", f"{queue}/limits", again)}
    assert (told["max_active"]["live"], told["rate_limit"]["lifted"]) == (None, True)
    await sent(ada, "PUT", f"{queue}/limits", {}, status=422)
    assert await sent(ada, "PUT", f"{queue}/scale", {"number": 2}) == {"changed": True}
    assert await sent(ada, "GET", "/api/scales") == [{"queue": "mail", "number": 2}]


async def test_schedules_are_written_looked_at_and_changed(ada: httpx2.AsyncClient, admin: Admin) -> None:
    body = {"id": "daily", "queue": "mail", "name": "send", "payload": {"to": "bob"}, "cron": "0 9 * * *"}
    written = await sent(ada, "POST", "/api/schedules", {**body, "timezone": "Europe/Berlin"}, status=201)
    assert (written["outcome"], written["schedule"]["timezone"]) == ("created", "Europe/Berlin")
    await sent(ada, "POST", "/api/schedules", {**body, "cron": None, "every_ms": 60_000, "misfire": 5})
    await sent(ada, "POST", "/api/schedules", {**body, "cron": "nonsense"}, status=422)
    one = "/api/schedules/mail/daily"
    assert (await sent(ada, "GET", one))["every_ms"] == 60_000
    assert len((await sent(ada, "GET", f"{one}/next?n=3"))["times"]) == 3
    await sent(ada, "POST", f"{one}/pause", {"reason": "holidays"})
    assert (await admin.schedules.get("mail", "daily")).note == "holidays"
    await sent(ada, "POST", f"{one}/resume")
    job = (await sent(ada, "POST", f"{one}/trigger"))["job"]
    assert (await admin.job("mail", job)).payload == {"to": "bob"}
    past = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:05:00Z"}
    assert (await sent(ada, "POST", f"{one}/backfill", past))["count"] in {5, 6}
    listed = await sent(ada, "GET", "/api/schedules")
    assert [each["id"] for each in listed["schedules"]] == ["daily"]
    await sent(ada, "DELETE", one, status=204)
    await sent(ada, "GET", one, status=404)
    assert {each.actor for each in (await admin.audit()).changes} == {"ada"}


async def test_every_option_of_a_schedule_can_be_given(ada: httpx2.AsyncClient) -> None:
    job = {"queue": "mail", "name": "send", "payload": {"to": "bob"}}
    instants = ["2040-01-31T08:00:00Z", "2040-02-01T00:00:00Z"]
    once = await sent(ada, "POST", "/api/schedules", {**job, "at": instants}, status=201)
    assert (once["schedule"]["at"], once["schedule"]["next_at"]) == (instants, instants[0])
    given = {
        "after_completion_ms": 90_000,
        "start": instants[0],
        "end": instants[1],
        "limit": 7,
        "jitter_ms": 1000,
        "overlap": "buffer_one",
        "misfire": "skip",
        "catch_up_window_ms": 7_200_000,
        "pause_on_failure": True,
    }
    options = {"priority": "low", "attempts": 9, "tags": ["night"]}
    body = {**job, **given, "options": options}
    written = (await sent(ada, "POST", "/api/schedules", body, status=201))["schedule"]
    expected = {**given, **options, "id": "mail:send:after 90000ms"}
    assert {name: written[name] for name in expected} == expected
    naive = {**job, "at": ["2040-01-31T08:00:00"]}
    assert "at" in str(await sent(ada, "POST", "/api/schedules", naive, status=422))


async def test_dead_letters_are_listed_replayed_and_removed(
    ada: httpx2.AsyncClient, admin: Admin, mail: Seeder
) -> None:
    letter = {
        "queue": "mail",
        "name": "send@1",
        "reason": "ValueError: no such mailbox",
        "group": "ValueError send:12",
        "failed_at_ms": 1_700_000_000_000,
        "created_at_ms": 1_700_000_000_000,
        "priority": 3,
        "attempts": [
            {"attempt": 1, "started_at_ms": 1, "run_ms": 2.0, "worker": "w", "error_type": "E", "error": "x"}
        ],
        "payload": {"to": "bob"},
    }
    letters = mail.named("dead-letter")
    await letters.add("a", name="dead-letter", data={**letter, "id": "1"})
    await letters.add("b", name="dead-letter", data={**letter, "id": "2", "queue": "other"})
    page = await sent(ada, "GET", "/api/dead-letters?queue=mail&name=send&group=ValueError%20send%3A12")
    assert [(each["id"], each["job"], each["name"]) for each in page["letters"]] == [("a", "1", "send")]
    one = await sent(ada, "GET", "/api/dead-letters/a")
    assert (one["payload"], one["payload_known"], one["priority"]) == ({"to": "bob"}, True, "normal")
    assert await sent(ada, "POST", "/api/dead-letters/replay", {"dry_run": True}) == {
        "count": 2,
        "exact": True,
    }
    await sent(ada, "DELETE", "/api/dead-letters/b", status=204)
    await sent(ada, "GET", "/api/dead-letters/b", status=404)
    await sent(ada, "POST", "/api/dead-letters/nothing/replay", status=404)
    assert await sent(ada, "GET", "/api/dead-letters/groups") == []


async def test_who_the_application_does_not_know_sees_nothing(ada: httpx2.AsyncClient) -> None:
    response = await ada.get("/api/queues", headers={"X-Role": "none"})
    assert response.status_code == 401
    assert "www-authenticate" in response.headers
    session = (await ada.get("/api/session", headers={"X-Role": "viewer"})).json()
    assert session == {"actor": "ada", "role": "viewer", "sign_in": ["host"], "expires_at": None}
    assert (await ada.post("/api/session", json={"token": "x"})).status_code == 404


async def test_it_works_under_a_path_of_the_application(
    admin: Admin, mail: Seeder, redis_url: str, prefix: str
) -> None:
    await mail.add("order/7")
    async with embedded(admin, redis_url, prefix) as (inner, _):
        transport = httpx2.ASGITransport(app=Starlette(routes=[Mount("/ops/jobs", inner)]))
        async with httpx2.AsyncClient(transport=transport, base_url="http://host.example") as client:
            response = await client.get("/ops/jobs/api/queues/mail/jobs/order%2F7")
            assert response.json()["id"] == "order/7"
            assert (await client.get("/ops/jobs/healthz")).status_code == 200
