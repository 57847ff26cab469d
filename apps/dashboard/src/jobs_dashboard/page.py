"""The page without script, for who has none or did not build the others: two tables, loaded anew every 5 s."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from starlette.requests import Request

    from jobs_admin import Admin, QueueRecord, WorkerRecord

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;"
    "color-scheme:light dark}table{border-collapse:collapse;width:100%;margin:0 0 2rem}"
    "th,td{padding:.35rem .75rem;text-align:right;border-bottom:1px solid #8884;"
    "font-variant-numeric:tabular-nums}"
    "th:first-child,td:first-child{text-align:left}.text{text-align:left}.note{color:#888}"
)
_COUNTS = ("waiting", "active", "delayed", "blocked", "unroutable", "completed", "failed", "stalled")


def content_security_policy() -> str:
    """Return the policy that allows the page's own style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'"
    )


async def show(request: Request) -> HTMLResponse:
    """Show queues and workers."""
    admin: Admin = request.app.state.admin
    queues, workers = await admin.queues(), await admin.workers()
    server = admin.connection_info()
    return HTMLResponse(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Jobs</title>"
        '<meta name=viewport content="width=device-width"><meta http-equiv=refresh content=5>'
        f"<style>{_STYLE}</style></head><body><h1>Jobs</h1>"
        f"<h2>Queues</h2>{_queues(queues)}<h2>Workers</h2>{_workers(workers)}"
        f"<p class=note>{escape(f'{server.server} {server.version} at {server.address}')}</p>"
        "</body></html>",
        headers={"Content-Security-Policy": content_security_policy()},
    )


def _queues(queues: Sequence[QueueRecord]) -> str:
    if not queues:
        return "<p class=note>Nobody has enqueued a job or started a worker here yet.</p>"
    rows = [[queue.queue, *(getattr(queue, name) for name in _COUNTS), _state(queue)] for queue in queues]
    return _table(["queue", *_COUNTS, "state"], rows)


def _state(queue: QueueRecord) -> str:
    if not queue.paused:
        return "running"
    return f"paused: {queue.pause_reason}" if queue.pause_reason else "paused"


def _workers(workers: Sequence[WorkerRecord]) -> str:
    if not workers:
        return "<p class=note>No worker runs.</p>"
    rows = [
        [
            worker.id,
            worker.worker_type,
            worker.running,
            worker.slots,
            "silent" if worker.silent else worker.state,
            ", ".join(worker.queues),
        ]
        for worker in workers
    ]
    return _table(["worker", "type", "running", "slots", "state", "queues"], rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
