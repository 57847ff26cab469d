"""The example API over HTTP, against a real server."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from jobs_api_example import bodies, create_app
from jobs_api_example.app import main
from jobs_core.downloads import make_link, sign
from jobs_core.files import store
from jobs_core.queues.cache_warmup.pages import Page, PageCache
from jobs_core.server import EmbeddedServer
from jobs_producer import Producer

MAIL = {"to": "ada@example.com", "template": "welcome"}


@pytest.fixture
def make_client(redis_url: str, prefix: str) -> Callable[[], TestClient]:
    return lambda: TestClient(create_app(lambda: Producer(redis_url, prefix=prefix)))


@pytest.fixture
def client(make_client: Callable[[], TestClient]) -> Iterator[TestClient]:
    with make_client() as client:
        yield client


# Enqueueing


def test_payload_is_accepted_with_the_address_of_its_status(client: TestClient) -> None:
    response = client.post("/emails", json=MAIL)
    accepted = response.json()
    assert response.status_code == 202
    assert accepted["queue"] == "email"
    assert accepted["name"] == "send-email"
    assert accepted["created"] is True
    assert response.headers["Location"] == accepted["status_url"] == f"/jobs/email/{accepted['id']}"
    record = client.get(response.headers["Location"]).json()
    assert record["state"] == "waiting"
    assert record["payload"]["to"] == "ada@example.com"


@pytest.mark.parametrize(
    ("path", "payload", "queue"),
    [
        ("/emails", MAIL, "email"),
        ("/webhooks", {"url": "https://example.com/hook", "event": "paid", "body": {"order": 7}}, "webhooks"),
        ("/images", {"source": "a.jpg", "operations": [{"type": "thumbnail", "size": 80}]}, "images"),
        ("/reports", {"source": "sales", "query": "SELECT 1", "format": "csv"}, "reports"),
        ("/notifications", {"user_id": 7, "message": "Paid."}, "notifications"),
        ("/warmups", {"urls": ["https://example.com/"]}, "cache-warmup"),
    ],
)
def test_each_kind_of_work_has_its_queue(
    client: TestClient, path: str, payload: dict[str, Any], queue: str
) -> None:
    response = client.post(path, json=payload)
    assert (response.status_code, response.json()["queue"]) == (202, queue)


def test_pages_are_served_from_the_cache(
    make_client: Callable[[], TestClient], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill() -> None:
        now = round(time.time() * 1000)
        async with PageCache(redis_url) as cache:
            await cache.put(
                Page(
                    url="https://example.com/?a=b",
                    body=b"<p>Hi</p>",
                    content_type="text/html; charset=utf-8",
                    fetched_at_ms=now - 7000,
                    expires_at_ms=now + 600_000,
                )
            )

    asyncio.run(fill())
    with make_client() as client:
        assert client.get("/pages", params={"url": "https://example.com/?a=b"}).status_code == 404
    monkeypatch.setenv("CACHE_URL", redis_url)
    with make_client() as client:
        response = client.get("/pages", params={"url": "https://example.com/?a=b"})
        assert client.get("/pages", params={"url": "https://example.com/"}).status_code == 404
    assert (response.status_code, response.content) == (200, b"<p>Hi</p>")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert 7 <= int(response.headers["Age"]) < 300
    assert response.headers["Content-Security-Policy"] == "sandbox"


def test_files_are_served_by_signed_links(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    monkeypatch.setenv("DOWNLOAD_SECRET", "s3cret-of-the-shop-1")
    monkeypatch.setenv("DOWNLOAD_URL", "http://testserver/download")
    store().write_bytes("reports/a.pdf", b"%PDF")
    link = make_link("reports/a.pdf")
    assert link is not None
    got = client.get(link.url)
    assert (got.status_code, got.content, got.headers["Content-Type"]) == (200, b"%PDF", "application/pdf")
    assert client.get(link.url.replace("a.pdf", "b.pdf")).status_code == 403
    past = f"expires=1000&signature={sign('reports/a.pdf', 1000, 's3cret-of-the-shop-1')}"
    assert client.get(f"/download/reports/a.pdf?{past}").json()["type"] == "download_expired"


def test_payload_that_does_not_fit_is_refused_with_its_path(client: TestClient) -> None:
    response = client.post("/emails", json=MAIL | {"to": 7})
    problem = response.json()
    assert response.status_code == problem["status"] == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == "payload_error"
    assert problem["path"] == "$.to"


def test_payload_that_no_worker_could_run_is_refused(client: TestClient) -> None:
    response = client.post("/emails", json={"to": "ada@example.com"})
    assert response.status_code == 422
    assert "template" in response.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"to": "a', b"\xff\xfe", b"[1,"])
def test_body_that_is_no_json_is_refused(client: TestClient, body: bytes) -> None:
    response = client.post("/emails", content=body)
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"


def test_body_over_the_limit_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 100)
    response = client.post("/emails", content=json.dumps(MAIL | {"context": {"text": "a" * 100}}))
    assert response.status_code == 413


def test_payload_over_the_size_cap_is_refused(client: TestClient) -> None:
    response = client.post("/emails", json=MAIL | {"context": {"text": "a" * 1_100_000}})
    assert (response.status_code, response.json()["type"]) == (413, "payload_too_large")


# Options


def test_options_come_from_the_query(client: TestClient) -> None:
    query = {"priority": "high", "delay": "1h", "attempts": "2", "tags": "a,b", "job_id": "order 7/a?"}
    accepted = client.post("/emails", json=MAIL, params=query).json()
    record = client.get(accepted["status_url"]).json()
    due = datetime.fromisoformat(record["run_at"]) - datetime.now(UTC)
    assert record["id"] == "order 7/a?"
    assert (record["state"], record["priority"], record["attempts"]) == ("delayed", "high", 2)
    assert record["tags"] == ["a", "b"]
    assert timedelta(minutes=59) < due < timedelta(minutes=61)


def test_number_means_seconds_and_a_moment_may_be_given(client: TestClient) -> None:
    assert client.post("/emails?delay=5&priority=1", json=MAIL).status_code == 202
    assert client.post("/emails?run_at=2040-01-01T00:00:00%2B00:00", json=MAIL).status_code == 202


@pytest.mark.parametrize(
    "query",
    [
        "color=red",
        "delay=soon",
        "delay=-1",
        "attempts=x",
        "attempts=0",
        "priority=9",
        "run_at=never",
        "delay=1&delay=2",
    ],
)
def test_wrong_option_is_refused_by_name(client: TestClient, query: str) -> None:
    response = client.post(f"/emails?{query}", json=MAIL)
    assert (response.status_code, response.json()["type"]) == (422, "option_error")
    assert response.json()["parameter"] == query.partition("=")[0]


def test_id_of_the_caller_is_enqueued_once(client: TestClient) -> None:
    answers = [client.post("/emails?job_id=order-7", json=MAIL) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json()["created"] for answer in answers] == [True, False]


# Arrays


def test_array_tells_what_became_of_each_item(client: TestClient) -> None:
    response = client.post("/emails", json=[MAIL, {"to": []}, MAIL])
    items = response.json()
    assert response.status_code == 207
    assert [item["status"] for item in items] == [202, 422, 202]
    assert items[0]["job"]["id"] != items[2]["job"]["id"]
    assert items[1]["problem"]["type"] == "payload_error"
    assert client.get(items[2]["job"]["status_url"]).json()["state"] == "waiting"


def test_array_of_a_thousand_is_enqueued(client: TestClient) -> None:
    items = client.post("/emails", json=[MAIL] * 1000).json()
    assert len({item["job"]["id"] for item in items}) == 1000


def test_array_may_be_empty_but_not_endless(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.post("/emails", json=[]).json() == []
    monkeypatch.setattr(bodies, "MAX_ITEMS", 2)
    assert client.post("/emails", json=[MAIL] * 3).status_code == 413
    assert client.post("/emails", content=b"[" * 100_000 + b"]" * 100_000).status_code == 400


def test_one_id_for_an_array_is_refused(client: TestClient) -> None:
    response = client.post("/emails?job_id=order-7", json=[MAIL])
    assert (response.status_code, response.json()["parameter"]) == (422, "job_id")


# Status and result


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/email/none",
        "/jobs/email/none/result",
        "/jobs/secrets/none",
        "/jobs/secrets/none/result",
        "/jobs/secrets?id=none",
        "/none",
    ],
)
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")


def test_many_statuses_are_one_request(client: TestClient) -> None:
    ids = [item["job"]["id"] for item in client.post("/emails", json=[MAIL] * 3).json()]
    found = client.get("/jobs/email", params={"id": [*ids, "none"]}).json()
    assert [record["id"] for record in found["jobs"]] == ids
    assert found["missing"] == ["none"]
    assert client.get("/jobs/email").status_code == 422


def test_result_that_is_not_there_yet_is_pending(client: TestClient) -> None:
    accepted = client.post("/emails", json=MAIL).json()
    response = client.get(f"{accepted['status_url']}/result?timeout=50ms")
    assert response.status_code == 202
    assert response.headers["Retry-After"] == "1"
    assert response.json() == {
        "id": accepted["id"],
        "queue": "email",
        "state": "waiting",
        "status_url": accepted["status_url"],
    }


# Failures


def test_health_follows_the_server(make_client: Callable[[], TestClient]) -> None:
    with make_client() as client:
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_server_that_went_away_means_come_again(prefix: str) -> None:
    with EmbeddedServer() as server:
        producer = Producer(server.url, prefix=prefix, enqueue_timeout=1)
        with TestClient(create_app(lambda: producer)) as client:
            server.kill()
            alone = client.post("/emails", json=MAIL)
            item = client.post("/emails", json=[MAIL]).json()[0]
            health = client.get("/healthz")
    assert (alone.status_code, alone.headers["Retry-After"]) == (503, "1")
    assert alone.headers["Content-Type"] == "application/problem+json"
    assert (item["status"], item["problem"]["status"]) == (503, 503)
    assert (health.status_code, health.headers["Retry-After"]) == (503, "1")


def test_import_pulls_in_no_worker() -> None:
    code = (
        "import sys, jobs_api_example; "
        "print([name for name in sys.modules if name.startswith(('jobs_worker', 'PIL', 'aiosmtplib'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_unreachable_server_ends_with_4_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = Producer(f"unix://{tmp_path}/none", enqueue_timeout=0.1)
    monkeypatch.setattr(Producer, "from_env", lambda: producer)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert capsys.readouterr().err.startswith("Cannot reach the server at unix://")


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_wrong_port_ends_with_2_and_names_the_variable(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_PORT", port)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("API_PORT=")
