"""What people look at queues with, and change them by, on a cluster: every route of the dashboard, and the command."""

import asyncio
import json
import shlex
import socket
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
import uvicorn
from tests.support.cluster import HOST, Cluster
from tests.support.dashboards import sent
from tests.support.stage import Stage
from tests.support.waiting import WITHIN, until

from jobs_admin import Admin
from jobs_cli.main import run
from jobs_core.connection.slots import SLOTS, slot_of
from jobs_core.settings import DashboardSettings
from jobs_dashboard.app import create_app
from jobs_dashboard.table import ROWS

TOKEN = "hunter2-hunter2"
FLOW = "nightly-flow"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(primaries=3) as cluster:
        yield cluster


@pytest.fixture
async def stage(cluster: Cluster, prefix: str) -> AsyncIterator[Stage]:
    """Jobs of all states in queues on every node; in the end all invariants hold."""
    assert {slot_of(f"{{{name}}}") * 3 // SLOTS for name in ("orders", "exports", "newsletter")} == {0, 1, 2}
    async with Stage(cluster.url, prefix) as stage:
        await stage.fill()
        await stage.begin_flow(FLOW)
        yield stage
    async with Admin(cluster.url, prefix=prefix) as admin:
        assert (await admin.check()).breaches == ()


@pytest.fixture
async def asked(cluster: Cluster, stage: Stage) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(DashboardSettings(redis_url=cluster.url, prefix=stage.prefix, token=TOKEN))
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=WITHIN) as client:
            yield client
        server.should_exit = True
        await task


async def test_the_dashboard_shows_and_changes_all(stage: Stage, asked: httpx2.AsyncClient) -> None:
    orders, letters = "/api/queues/orders", "/api/dead-letters"
    async with asked.stream("GET", "/api/events?queue=orders&stats=0") as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        enqueued = {"name": "charge", "payload": {"customer": "eve", "amount": 3.0}}
        job = await sent(asked, "POST", f"{orders}/jobs", enqueued, status=202)
        async with asyncio.timeout(WITHIN):
            while job["id"] not in await anext(lines):
                pass

    async def letter() -> str:
        found = [each["id"] for each in (await sent(asked, "GET", letters))["letters"]]
        return next((each for each in found if ":bad-1:" in each), "")

    bulk = {"verb": "cancel", "queue": "newsletter", "q": "state:waiting", "limit": 2}
    names = {
        "queue": "orders",
        "name": "charge",
        "job_id": "declined",
        "flow_id": FLOW,
        "schedule_id": "nightly",
        "letter_id": await until(letter),
        "bulk_id": (await sent(asked, "POST", "/api/bulk", bulk, status=202))["id"],
        "worker_id": (await sent(asked, "GET", "/api/workers"))[0]["id"],
        "profile": "light",
    }
    for row in ROWS:
        # Of what code declares there is nothing here, and the stream was heard.
        if row.method == "GET" and not row.path.startswith(("/sign-in", "/api/declared/", "/api/events")):
            await sent_any(asked, row.path.format(**names))
    for path in ("/", "/metrics", "/queues/orders"):
        await sent_any(asked, path)
    for path, body in (
        ("/api/queues/newsletter/pause", None),
        ("/api/queues/newsletter/resume", None),
        (f"{orders}/jobs/later-0/promote", None),
        (f"{orders}/jobs/later-1/priority", {"to": "critical"}),
        (f"{orders}/jobs/later-1/cancel", None),
        (f"{orders}/jobs/bad-0/retry", None),
        (f"{letters}/{names['letter_id']}/replay", None),
        ("/api/schedules/orders/nightly/trigger", None),
        ("/api/schedules/newsletter/often/pause", None),
        (f"/api/flows/{FLOW}/cancel", None),
    ):
        await sent(asked, "POST", path, body)
    await sent(asked, "POST", f"{orders}/retry-failed", {}, status=202)
    await sent(asked, "POST", "/api/queues/newsletter/drain", {}, status=202)
    await sent(asked, "POST", "/api/queues/newsletter/obliterate", {"confirm": "newsletter"}, status=202)
    assert "cancelled" in str(await sent(asked, "GET", f"/api/flows/{FLOW}"))
    assert len((await sent(asked, "GET", "/api/audit"))["changes"]) >= 12


async def sent_any(asked: httpx2.AsyncClient, path: str) -> None:
    response = await asked.get(path)
    assert response.status_code == 200, f"{path}: {response.text}"


async def test_the_command_looks_and_changes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", stage.url)
    monkeypatch.setenv("JOBS_PREFIX", stage.prefix)
    for line in (
        *(
            "queues",
            "stats",
            "metrics orders",
            "health",
            "list orders",
            "history orders",
            "show orders declined",
        ),
        *("dead-letters", "schedules list", "schedules show orders nightly", "schedules next orders nightly"),
        *(
            "flow list",
            f"flow show {FLOW}",
            "workers list",
            "scaler light",
            "alerts",
            "doctor orders declined",
        ),
    ):
        assert await asyncio.to_thread(run, [*shlex.split(line), "--json"]) in {0, 1}, line
        json.loads(capsys.readouterr().out)
    for line in (
        *(
            "retry orders bad-0",
            "cancel orders later-0",
            "promote orders later-1",
            "priority orders later-2 --to low",
        ),
        *(
            "pause exports",
            "resume exports",
            "replay --all --limit 2",
            "retry-failed orders",
            "limit orders --max-active 4",
        ),
        *(
            "schedules trigger orders nightly",
            "schedules pause orders nightly",
            "schedules resume orders nightly",
        ),
        *(
            "schedules remove newsletter often",
            f"flow cancel {FLOW}",
            "drain newsletter",
            "clean orders --older-than 0s",
        ),
        *("obliterate newsletter --yes", "audit", "doctor", "check --repair"),
    ):
        assert await asyncio.to_thread(run, shlex.split(line)) == 0, f"{line}: {capsys.readouterr().err}"
