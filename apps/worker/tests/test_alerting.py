"""A worker judges the alerts of all queues and has them told."""

from __future__ import annotations

from pathlib import Path

from tests.support.http_server import serving
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

from jobs_admin import Admin
from jobs_core.queues.webhooks import verify_signature
from jobs_producer import Producer


async def test_a_backlog_is_told_to_the_webhook_and_the_log(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    async with (
        serving() as hook,
        Producer(redis_url, prefix=prefix) as producer,
        Admin(redis_url, prefix=prefix) as admin,
    ):
        await producer.enqueue_notification("somebody", "hello", channel="log")
        for _ in range(3):
            await producer.queue("slow").enqueue("act")
        await admin.set_alert("slow", "waiting", 2)
        variables = {
            "WORKER_TYPE": "light",
            "WORKER_QUEUES": "notifications,webhooks",
            "WORKER_HTTP_PORT": "0",
            "ALERT_WEBHOOK": hook.url + "/alerts",
            "WEBHOOK_SECRET": "s3cret",
            "WEBHOOK_ALLOW_HOSTS": "127.0.0.1",
        }
        with WorkerProcess(url=redis_url, prefix=prefix, path=tmp_path, **variables) as worker:
            worker.line(
                "alert_fired", within=40, queue="slow", alert="waiting", value=3, threshold=2, sent=True
            )
            await until(lambda: hook.requests, within=40)
            request, body = hook.requests[0], hook.bodies[0]
            assert request.path == "/alerts"
            assert verify_signature("s3cret", headers=request.headers, body=body)
            assert b"3 jobs wait" in body
            fires = [each for each in await admin.alerts("slow", active=True) if each.alert == "waiting"]
            assert [each.value for each in fires] == [3]
            worker.line("alert", within=40, logger="jobs.handler", error="slow: waiting fired")
