"""What a scrape of the dashboard gives, as Prometheus reads it."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, TypeAlias, cast

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
from tests.support.promtool import promtool
from tests.support.seeding import Seeder
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_admin import alerting as judging
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.measures import measure_items
from jobs_core.outbox import Relay
from jobs_core.registry import WorkerEntry, announce_worker
from jobs_core.scripts import Group
from jobs_dashboard.metrics import FAMILIES, OPENMETRICS, TEXT, Scrapes

if TYPE_CHECKING:
    import httpx2
    from conftest import Open

Samples: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]
# Contract: by queue and job, with the type of the error, by queue alone.
BY_JOB = {
    "queue_jobs_added_total",
    "queue_jobs_processing",
    "queue_jobs_completed_total",
    "queue_jobs_failed_total",
    "queue_job_processing_duration_ms_count",
    "queue_job_duration_seconds_count",
    "queue_job_wait_seconds_count",
    "queue_jobs_retried_total",
    "queue_jobs_stalled_total",
    "queue_jobs_expired_total",
    "queue_jobs_cancelled_total",
    "queue_leases_lost_total",
}
BY_QUEUE = {
    "queue_jobs_waiting",
    "queue_jobs_delayed",
    "queue_jobs_unroutable",
    "queue_dead_letters",
    "queue_oldest_waiting_seconds",
    "queue_workers",
}


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


async def scrape(client: httpx2.AsyncClient) -> Samples:
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == TEXT
    return samples(response.text)


async def tell(mail: Seeder, *groups: Group) -> None:
    """Tell what a worker tells besides its settlements."""
    await mail.scripts.settle(mail.queue, session="teller", seq=time.time_ns(), owner="w", groups=groups)


@pytest.fixture
async def busy(mail: Seeder) -> Seeder:
    """Return a queue in which everything happened that is counted."""
    await mail.finish("complete", "done-1", "done-2")
    await mail.finish("fail", "bad")
    await mail.finish("retry", "again")
    await mail.add("waits")
    await mail.add("later", delay=60)
    await mail.claim(1)
    await mail.add("waits-2", "waits-3")
    await tell(
        mail,
        Group("measure", "send@1", measure_items([2_000, 1_500_000], [900, 70_000])),
        Group("error", "send@1", ["timeout", 2, "", "", 'Odd"\n\\', 1, "", ""]),
    )
    return mail


async def test_counts_are_those_of_the_queue(client: httpx2.AsyncClient, busy: Seeder) -> None:
    found = await scrape(client)
    send = {"queue": "mail", "job": "send"}
    counts = {
        name: value(found, f"queue_{name}", **send)
        for name in ("jobs_added_total", "jobs_completed_total", "jobs_failed_total", "jobs_retried_total")
    }
    assert counts == {
        "jobs_added_total": 8,
        "jobs_completed_total": 2,
        "jobs_failed_total": 1,
        "jobs_retried_total": 1,
    }
    assert value(found, "queue_jobs_processing", **send) == 1
    assert value(found, "queue_jobs_waiting", queue="mail") == 2
    assert value(found, "queue_jobs_delayed", queue="mail") == 2
    assert value(found, "queue_jobs_retained", queue="mail", state="failed") == 1
    assert value(found, "queue_job_errors_total", **send, error_type="timeout") == 2
    assert value(found, "queue_job_errors_total", **send, error_type='Odd"\n\\') == 1


async def test_histograms_are_cumulative_and_have_sums(client: httpx2.AsyncClient, busy: Seeder) -> None:
    found = await scrape(client)
    send = {"queue": "mail", "job": "send"}
    seconds = "queue_job_duration_seconds"
    assert [
        value(found, f"{seconds}_bucket", **send, le=le) for le in ("0.001", "0.002", "1.0", "2.0", "+Inf")
    ] == [0, 1, 1, 2, 2]
    assert (value(found, f"{seconds}_count", **send), value(found, f"{seconds}_sum", **send)) == (2, 1.502)
    ms = "queue_job_processing_duration_ms"
    assert [value(found, f"{ms}_bucket", **send, le=le) for le in ("2.0", "2000.0", "3600000.0")] == [1, 2, 2]
    assert value(found, f"{ms}_sum", **send) == 1502
    assert value(found, "queue_job_wait_seconds_sum", **send) == pytest.approx(0.0709)
    await tell(busy, Group("measure", "send@1", measure_items([500_000], [100])))
    found = await scrape(client)
    assert [value(found, f"{seconds}_bucket", **send, le=le) for le in ("0.002", "1.0", "+Inf")] == [1, 2, 3]
    assert (value(found, f"{seconds}_count", **send), value(found, f"{seconds}_sum", **send)) == (3, 2.002)


async def test_every_metric_of_the_contract_is_there(client: httpx2.AsyncClient, busy: Seeder) -> None:
    by_labels: dict[str, set[frozenset[str]]] = {}
    for name, labels in await scrape(client):
        by_labels.setdefault(name, set()).add(frozenset(label for label, _ in labels))
    assert {name: by_labels.get(name) for name in BY_JOB} == {
        key: {frozenset({"queue", "job"})} for key in BY_JOB
    }
    assert {name: by_labels.get(name) for name in BY_QUEUE} == {
        key: {frozenset({"queue"})} for key in BY_QUEUE
    }
    assert by_labels["queue_job_errors_total"] == {frozenset({"queue", "job", "error_type"})}


async def test_workers_that_are_heard_of_count(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("1")
    now = round(time.time() * 1000)
    for name, seen in (("here", now), ("gone", now - 60_000)):
        entry = WorkerEntry(
            id=name, host="h", pid=7, version="0", worker_type="light", queues=("mail",), seen_ms=seen
        )
        await announce_worker(mail.scripts.client, mail.scripts.prefix, entry)
    assert value(await scrape(client), "queue_workers", queue="mail") == 1


async def test_dead_letters_count_where_they_come_from_as_long_as_they_are_there(
    client: httpx2.AsyncClient, mail: Seeder, admin: Admin
) -> None:
    async def relayed() -> float | None:
        await Relay(mail.scripts).relay("mail")
        return value(await scrape(client), "queue_dead_letters", queue="mail")

    # The id of the last letter is too long to hold that of its job.
    await mail.finish("fail", "1", "2", "3", "x" * 128)
    assert await relayed() == 4
    await admin.replay("1", queue="mail")
    assert await relayed() == 3
    letters = {each.id for each in (await admin.jobs(DEAD_LETTER_QUEUE)).jobs}
    await admin.remove(DEAD_LETTER_QUEUE, *(each for each in letters if each.startswith("mail:2:")))
    assert await relayed() == 2
    await admin.drain(DEAD_LETTER_QUEUE)
    assert await relayed() == 0


async def test_a_dashboard_judges_where_no_worker_does(
    dashboard: Open,
    mail: Seeder,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(judging, "_SPREAD_S", 0.0)
    await mail.add("1", "2")
    await admin.set_alert("mail", "waiting", 1)
    async with dashboard() as client:

        async def fires() -> bool:
            return value(await scrape(client), "queue_alert_active", queue="mail") == 1

        await until(fires)

        def logged() -> list[dict[str, object]]:
            lines = [vars(each)["jobs_fields"] for each in caplog.records if each.message == "alert_fired"]
            return [each for each in lines if each["alert"] == "waiting"]

        (told,) = await until(logged)
        assert told["message"] == "queue mail: 2 jobs wait (alert above 1)"
        assert (told["queue"], told["value"], told["threshold"]) == ("mail", 2, 1)


async def test_versions_of_a_job_are_one_and_names_are_capped(
    client: httpx2.AsyncClient, mail: Seeder
) -> None:
    await mail.add("1")
    stats = mail.scripts.key("mail") + "stats"
    fields = [field for number in range(80) for field in (f"retried:job-{number:02}@1", 1)]
    await mail.scripts.client.call("HSET", stats, *fields, "retried:job-00@2", 5)
    found = await scrape(client)
    retried = {
        dict(labels)["job"]: count
        for (name, labels), count in found.items()
        if name == "queue_jobs_retried_total"
    }
    assert (retried["job-00"], retried["other"], len(retried)) == (6, 30, 51)
    assert sum(retried.values()) == 85


async def test_a_name_that_was_measured_keeps_its_place(client: httpx2.AsyncClient, mail: Seeder) -> None:
    await mail.add("1")
    await tell(mail, Group("measure", "zuletzt@1", measure_items([1], [1])))
    stats = mail.scripts.key("mail") + "stats"
    await mail.scripts.client.call("HSET", stats, *(x for n in range(80) for x in (f"retried:job-{n}@1", 1)))
    assert value(await scrape(client), "queue_job_wait_seconds_count", queue="mail", job="zuletzt") == 1


async def test_several_dashboards_tell_the_same(dashboard: Open, busy: Seeder) -> None:
    async with dashboard() as one, dashboard() as other:
        texts = [(await each.get("/metrics")).text.splitlines() for each in (one, other)]
    first, second = ([line for line in text if "oldest" not in line] for text in texts)
    assert first == second


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPENMETRICS,
        ),
        ("application/openmetrics-text;q=0.1,text/plain", TEXT),
        ("application/openmetrics-text;q=nonsense", TEXT),
    ],
)
async def test_the_format_that_is_asked_for(
    client: httpx2.AsyncClient, mail: Seeder, accept: str, kind: str
) -> None:
    await mail.add("1")
    response = await client.get("/metrics", headers={"Accept": accept})
    assert response.headers["content-type"] == kind


async def test_openmetrics_says_the_same(client: httpx2.AsyncClient, busy: Seeder) -> None:
    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in openmetrics.text_string_to_metric_families(response.text)  # pyright: ignore[reportUnknownMemberType] - untyped
        for sample in family.samples
        if "oldest" not in sample.name
    }
    plain = {key: value for key, value in (await scrape(client)).items() if "oldest" not in key[0]}
    assert found == plain


async def test_promtool_finds_only_the_unit_that_is_kept(client: httpx2.AsyncClient, busy: Seeder) -> None:
    text = (await client.get("/metrics")).content
    _, said = promtool("check", "metrics", text=text)
    complaints = said.splitlines()
    assert complaints
    assert all(line.startswith("queue_job_processing_duration_ms ") for line in complaints), said


async def test_nobody_without_a_token_unless_it_is_public(dashboard: Open, mail: Seeder) -> None:
    await mail.add("1")
    async with dashboard(client="10.0.0.7", viewer_token="see") as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "Bearer see"})).status_code == 200
    async with dashboard(client="10.0.0.7", token="all", metrics_public=True) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/api/queues")).status_code == 401


async def test_scrapes_that_come_together_read_once(client: httpx2.AsyncClient, busy: Seeder) -> None:
    async def reads() -> int:
        info = cast("bytes", await busy.scripts.client.call("INFO", "commandstats")).decode()
        return sum(int(count) for count in re.findall(r"cmdstat_mget:calls=(\d+)", info))

    before = await reads()
    await client.get("/metrics")
    alone = await reads() - before
    await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
    assert (alone, await reads() - before) == (1, 2)


async def test_an_empty_server_has_no_samples(redis_url: str, prefix: str) -> None:
    async with Admin(redis_url, prefix=prefix) as admin:
        kind, body = await Scrapes(admin).scrape()
    assert kind == TEXT
    assert samples(body.decode()) == {}
    assert body.count(b"# TYPE ") == len(FAMILIES)
