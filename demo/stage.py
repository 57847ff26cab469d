"""Set the stage: a server, receivers, three workers, the dashboard and the API, each a process of its own."""

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from demo import dataset, pictures
from demo.pictures import Photograph
from demo.processes import Program, Programs, free_ports

ROOT = Path(__file__).parent.parent
WEIGHTS = ("light", "medium", "heavy")
_PICTURES = "photographs"
_SOURCE = "airports"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is: addresses without a slash at their end, files, and what is in them."""

    api: str
    dashboard: str
    token: str
    workers: Mapping[str, str]
    bookings: str
    mails: Path
    hooks: Path
    files: Path
    database: Path
    airports: int
    photographs: Sequence[Photograph]
    source: str = _SOURCE


async def set_up(programs: Programs, redis_url: str, sources: Sequence[Path]) -> Stage:
    """Start all programs and prepare the data meanwhile. Raises DemoFailed."""
    directory = programs.directory
    files = directory / "files"
    files.mkdir()
    smtp_port, hook_port, api_port, dashboard_port, *worker_ports = free_ports(7)
    secret, token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    mails, hooks, database = (
        directory / "mails.jsonl",
        directory / "webhooks.jsonl",
        directory / "airports.db",
    )
    common = {
        "REDIS_URL": redis_url,
        "FILES_URL": str(files),
        "DOWNLOAD_SECRET": secrets.token_urlsafe(32),
        "DOWNLOAD_URL": f"http://127.0.0.1:{api_port}/download",
        "LOG_FORMAT": "json",
    }
    features = {
        "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
        "MAIL_FROM": "Jobs Demo <demo@example.com>",
        "WEBHOOK_SECRET": secret,
        "WEBHOOK_ALLOW_HOSTS": f"127.0.0.1:{hook_port}",
        "REPORT_SOURCES": f"{_SOURCE}=sqlite:///{database}",
    }
    receivers = [
        (_receiver(programs, "smtp", smtp_port, mails, {}), f"tcp://127.0.0.1:{smtp_port}"),
        (
            _receiver(programs, "webhook", hook_port, hooks, {"WEBHOOK_SECRET": secret}),
            f"http://127.0.0.1:{hook_port}/healthz",
        ),
    ]
    # The sources of a worker are there before it starts, as they would be anywhere else.
    airports = await asyncio.to_thread(dataset.build, database)
    workers = {weight: f"http://127.0.0.1:{port}" for weight, port in zip(WEIGHTS, worker_ports, strict=True)}
    started = [
        (
            programs.start(
                f"worker-{weight}",
                ["jobs", "worker"],
                {
                    **common,
                    **features,
                    "WORKER_TYPE": weight,
                    "WORKER_HTTP_PORT": workers[weight].rpartition(":")[2],
                },
            ),
            f"{workers[weight]}/readyz",
        )
        for weight in WEIGHTS
    ]
    api, dashboard = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{dashboard_port}"
    started += [
        (
            programs.start("api", ["jobs-api-example"], {**common, "API_PORT": str(api_port)}),
            f"{api}/healthz",
        ),
        (
            programs.start(
                "dashboard",
                ["jobs", "dashboard"],
                {**common, "DASHBOARD_PORT": str(dashboard_port), "DASHBOARD_TOKEN": token},
            ),
            f"{dashboard}/healthz",
        ),
    ]
    photographs = await asyncio.to_thread(pictures.stock, sources, files, _PICTURES)
    await asyncio.gather(*(programs.ready(program, url) for program, url in (*receivers, *started)))
    return Stage(
        api=api,
        dashboard=dashboard,
        token=token,
        workers=workers,
        bookings=f"http://127.0.0.1:{hook_port}/bookings",
        mails=mails,
        hooks=hooks,
        files=files,
        database=database,
        airports=airports,
        photographs=photographs,
    )


def _receiver(programs: Programs, kind: str, port: int, store: Path, env: Mapping[str, str]) -> Program:
    command = [sys.executable, "-m", f"demo.{kind}_receiver", str(port), str(store)]
    return programs.start(f"{kind}-receiver", command, {**env, "PYTHONPATH": str(ROOT)})
