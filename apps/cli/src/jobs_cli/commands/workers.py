"""`jobs workers list`."""

from __future__ import annotations

from datetime import UTC, datetime

from jobs_cli.arguments import Json
from jobs_cli.output import milliseconds, print_json, print_table
from jobs_cli.session import with_admin


def list_workers(*, json: Json = False) -> None:
    """List the workers that were heard of in the last 10 minutes, and what they serve."""
    workers = with_admin(lambda admin: admin.workers())
    if json:
        print_json(workers)
        return
    if not workers:
        print("no workers")
        return
    now = datetime.now(UTC)
    print_table(
        ["id", "host", "pid", "type", "running", "slots", "state", "up", "queues"],
        [
            [
                worker.id,
                worker.host,
                worker.pid,
                worker.worker_type,
                worker.running,
                worker.slots,
                "silent" if worker.silent else worker.state,
                milliseconds((now - worker.started_at).total_seconds() * 1000),
                worker.queues,
            ]
            for worker in workers
        ],
    )
