"""Log lines kept with their jobs, and checkpoints that the next attempt sees."""

import logging
from collections.abc import Iterator

import pytest
from msgspec import Struct
from tests.support import log_handlers as loud
from tests.support.runtime import captured_lines, running

from jobs_admin import Admin
from jobs_core import JobType, PayloadError, PayloadTooLarge, Queue
from jobs_worker import JobContext, processor
from jobs_worker.job_logs import install, uninstall

HANDLERS = (loud.on_loop, loud.in_thread, loud.in_process)
JOBS = pytest.mark.parametrize("job", loud.JOBS, ids=lambda job: job.name)


@pytest.fixture(autouse=True)
def at_info() -> Iterator[None]:
    with captured_lines("info"):
        yield


@JOBS
async def test_lines_of_all_attempts_are_kept_and_checkpoints_seen(
    redis_url: str, prefix: str, job: JobType[int, str]
) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker, Admin(redis_url, prefix=prefix) as admin:
        handle = await worker.producer.enqueue(job, 3)
        assert await handle.result(40) == "done in 3"
        page = await admin.logs("loud", handle.id)
        told = [line for line in page.lines if line.message != "from a thread of its own"]
        assert [(line.attempt, line.level, line.logger, line.message) for line in told] == [
            (1, "info", "jobs.handler", "at work done=0"),
            (1, "warning", "shop.mails", "only 1 of 3"),
            (2, "info", "jobs.handler", "at work done=1"),
            (2, "warning", "shop.mails", "only 2 of 3"),
            (3, "info", "jobs.handler", "at work done=2"),
        ]
        assert len(page.lines) - len(told) == (3 if job is loud.ON_LOOP else 0)
        assert not page.truncated
        first = await admin.logs("loud", handle.id, limit=1)
        assert first.cursor is not None
        rest = await admin.logs("loud", handle.id, after=first.cursor)
        assert first.lines + rest.lines == page.lines
        assert await worker.scripts.client.call("EXISTS", worker.scripts.key("loud") + "checkpoint") == 0


async def test_lines_of_one_job_do_not_enter_the_log_of_another(redis_url: str, prefix: str) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker, Admin(redis_url, prefix=prefix) as admin:
        handles = [await worker.producer.enqueue(loud.ON_LOOP, 1) for _ in range(5)]
        for handle in handles:
            await handle.result(40)
            page = await admin.logs("loud", handle.id)
            assert sorted(line.message for line in page.lines) == [
                "at work done=0",
                "from a thread of its own",
            ]


async def test_a_queue_or_a_worker_says_which_lines_are_kept(redis_url: str, prefix: str) -> None:
    quiet, off = Queue("quiet", job_logs="error"), Queue("off", job_logs="off")
    jobs = [queue.job("log", int, int, remove_on_complete=False) for queue in (quiet, off)]

    async def log(payload: int, ctx: JobContext) -> int:
        ctx.log.info("not kept")
        try:
            raise LookupError("nobody")
        except LookupError:
            logging.getLogger("shop").exception("kept of %s", ctx.queue)
        return 0

    for job in jobs:
        processor(job)(log)
    async with running(redis_url, prefix, log) as worker, Admin(redis_url, prefix=prefix) as admin:
        for job in jobs:
            handle = await worker.producer.enqueue(job, 1)
            await handle.done(40)
            lines = (await admin.logs(job.queue.name, handle.id)).lines
            if job.queue is off:
                assert lines == ()
            else:
                (line,) = lines
                assert line.message.startswith("kept of quiet\nTraceback")
                assert line.message.endswith("LookupError: nobody")


async def test_very_many_lines_lose_the_oldest_and_say_so(redis_url: str, prefix: str) -> None:
    queue = Queue("flood")
    job = queue.job("log", int, int)

    @processor(job)
    async def log(payload: int, ctx: JobContext) -> int:
        for number in range(payload):
            ctx.log.info("line", n=number)
        return 0

    async with running(redis_url, prefix, log) as worker, Admin(redis_url, prefix=prefix) as admin:
        handle = await worker.producer.enqueue(job, 1500)
        await handle.result(40)
        page = await admin.logs("flood", handle.id, limit=1000)
        assert page.truncated
        assert [line.message for line in page.lines] == [f"line n={number}" for number in range(500, 1500)]


async def test_a_handler_that_logs_nothing_leaves_nothing(redis_url: str, prefix: str) -> None:
    queue = Queue("silent")
    job = queue.job("work", int, int)

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> int:
        assert ctx.last_checkpoint is None
        assert ctx.scheduled_for == ctx.created_at
        return payload

    async with running(redis_url, prefix, work) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await handle.result(40) == 1
        call, key = worker.scripts.client.call, worker.scripts.key("silent")
        assert await call("EXISTS", key + "logs", key + "checkpoint") == 0


class Place(Struct):
    done: int


def test_a_checkpoint_is_checked_where_it_is_made_and_read() -> None:
    ctx = JobContext.for_test(checkpoint=Place(3))
    assert ctx.load_checkpoint(Place) == Place(3)
    assert ctx.last_checkpoint == {"done": 3}
    with pytest.raises(PayloadError, match="checkpoint"):
        ctx.load_checkpoint(list[int])
    with pytest.raises(PayloadError, match="checkpoint"):
        ctx.checkpoint(object())
    with pytest.raises(PayloadTooLarge, match=r"checkpoint .* 65,5"):
        ctx.checkpoint("x" * 65_536)
    ctx.checkpoint(Place(4))
    assert ctx.load_checkpoint(Place) == Place(4)
    assert JobContext.for_test().load_checkpoint(Place) is None


def test_any_name_may_be_logged_where_a_program_sets_up_its_own_logging(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("structlog.is_configured", lambda: False)
    with caplog.at_level(logging.INFO):
        JobContext.for_test().log.info("sent", message="hello", name="ada", args=1, to="eve")
    (record,) = caplog.records
    said = {name: getattr(record, name) for name in ("message_", "name_", "args_", "to", "job_id")}
    assert record.getMessage() == "sent"
    assert said == {"message_": "hello", "name_": "ada", "args_": 1, "to": "eve", "job_id": "test"}


async def test_a_queue_says_what_is_kept_where_a_program_sets_up_no_logging(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("structlog.is_configured", lambda: False)
    said: list[logging.LogRecord] = []
    root, listens = logging.getLogger(), logging.Handler()
    monkeypatch.setattr(listens, "emit", said.append)
    root.handlers[:] = [listens]
    # As the standard library has it from the beginning.
    root.setLevel(logging.WARNING)
    queue = Queue("plain", default_job_options={"remove_on_complete": False})
    job = queue.job("log", int, int)

    @processor(job)
    async def log(payload: int, ctx: JobContext) -> int:
        ctx.log.debug("not kept")
        ctx.log.info("kept", place=payload)
        ctx.log.warning("kept and written", place=payload)
        return 0

    async with running(redis_url, prefix, log) as worker, Admin(redis_url, prefix=prefix) as admin:
        handle = await worker.producer.enqueue(job, 7)
        await handle.result(40)
        lines = (await admin.logs("plain", handle.id)).lines
    assert [(line.level, line.logger, line.message) for line in lines] == [
        ("info", "jobs.handler", "kept place=7"),
        ("warning", "jobs.handler", "kept and written place=7"),
    ]
    assert [record.getMessage() for record in said if record.name == "jobs.handler"] == ["kept and written"]


def test_a_program_without_logging_goes_on_seeing_its_warnings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    install()
    try:
        logging.getLogger("shop").warning("careful")
        logging.getLogger("shop").info("quiet")
    finally:
        uninstall()
    assert capsys.readouterr().err == "careful\n"
