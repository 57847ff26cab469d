"""Every change in a real browser: by whom it is made on the pages, and what became of it on the server."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.shop import Ledger, shop
from tests.support.stage import CHARGE, TRACE, Order
from tests.support.visits import HOSTILE, VISITING, Visits, button, confirmed, followed, settled, until
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, write_package

from jobs_core.errors import JobNotFound

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = VISITING
DRAWN = "arg.join() === ['.spot', 'path'].map((each) => document.querySelectorAll(`.graph ${each}`).length).join()"


def listed(page: Page, *texts: str) -> None:
    """Wait until a table tells of all these."""
    for text in texts:
        page.locator("main table").get_by_text(text).first.wait_for()


def clipboard(page: Page, holds: str) -> str:
    """Wait until what was copied holds a text, and return it."""
    until(page, "navigator.clipboard.readText().then((text) => text.includes(arg))", holds)
    return page.evaluate("navigator.clipboard.readText()")


def test_a_queue_is_paused_limited_and_emptied(visits: Visits) -> None:
    theatre = visits.theatre
    with visits.admin() as page:
        settled(page, "/queues/newsletter", "newsletter")
        page.locator(".verdict").get_by_text(HOSTILE).wait_for()
        button(page, "Resume").click()
        page.locator(".toast", has_text="newsletter goes on").wait_for()
        assert not theatre.run(theatre.admin.stats("newsletter")).paused
        button(page, "Pause").click()
        page.get_by_label("For how many minutes").fill("30")
        confirmed(page, "Pause", "newsletter is paused", "the printer is out")
        record = theatre.run(theatre.admin.stats("newsletter"))
        assert (record.paused, record.pause_reason, record.paused_by) == (
            True,
            "the printer is out",
            "ada (admin token)",
        )
        assert record.paused_until is not None
        button(page, "Change: Jobs at once").click()
        page.get_by_label("At most").fill("3")
        confirmed(page, "Set", "The limit holds")
        limits = {each.limit: each.live for each in theatre.run(theatre.admin.limits("newsletter"))}
        assert limits["max_active"] == 3
        button(page, "Drain").click()
        undone_after_all(page, "Remove them")
        assert theatre.run(theatre.admin.stats("newsletter")).waiting > 0
        button(page, "Drain").click()
        followed(page, "Remove them", "old news")
        assert theatre.run(theatre.admin.stats("newsletter")).waiting == 0
        settled(page, "/bulk", "Bulk actions")
        page.locator("main").get_by_text("old news").first.wait_for()
        settled(page, "/audit?queue=newsletter", "Audit")
        listed(page, "drain", "bulk undo", "limit", "pause", "resume")


def undone_after_all(page: Page, verb: str) -> None:
    """Confirm a change of many jobs, close its dialog, and take it back by keyboard, from what stays in the corner."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("will be changed").wait_for()
    window = dialog.get_by_label("Undo window, in seconds")
    assert window.input_value() == "10"
    window.fill("300")
    button(dialog, verb).click()
    dialog.get_by_text("Nothing is changed yet").wait_for()
    button(dialog, "Undo").get_by_text(re.compile(r"\(\d+ s\)")).wait_for()
    until(page, "document.activeElement.innerText === 'Close'")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    toast = page.locator(".toast", has_text="drain newsletter")
    button(toast, "Undo").focus()
    page.keyboard.press("Enter")
    until(page, "document.activeElement.innerText === 'Dismiss'")
    page.locator(".toast", has_text="Undone: nothing was changed").wait_for()
    toast.get_by_text("undone").wait_for()
    button(toast, "Undo").wait_for(state="detached")
    until(page, "document.activeElement.innerText === 'Dismiss'")
    page.keyboard.press("Enter")
    toast.wait_for(state="detached")


def test_what_ended_is_cleaned_and_a_queue_obliterated(visits: Visits) -> None:
    theatre = visits.theatre
    with visits.admin() as page:
        settled(page, "/queues/orders", "orders")
        button(page, "Clean").click()
        page.get_by_label("Ended at least so many hours ago").fill("0")
        followed(page, "Remove them")
        assert theatre.run(theatre.admin.stats("orders")).retained_completed == 0
        theatre.run(theatre.stage.producer.queue("doomed").enqueue("stay", {"of": "no use"}))
        settled(page, "/queues/doomed", "doomed")
        button(page, "Obliterate").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("will be changed").wait_for()
        assert button(dialog, "Obliterate").is_disabled()
        dialog.get_by_label("Type doomed").fill("doomed")
        followed(page, "Obliterate")
        page.locator(".tile", has_text="Waiting").get_by_text("0", exact=True).wait_for()


def test_a_job_is_changed(visits: Visits) -> None:
    theatre = visits.theatre

    def state(queue: str, job: str) -> str:
        return theatre.run(theatre.admin.job(queue, job)).state.value

    with visits.admin(expected="404") as page:
        settled(page, "/queues/orders/jobs/later-0", "later-0")
        button(page, "Priority…").click()
        page.get_by_role("dialog").locator("select").select_option("low")
        confirmed(page, "Change", "Its priority is low")
        assert theatre.run(theatre.admin.job("orders", "later-0")).priority == "low"
        button(page, "Run now").click()
        page.locator(".node.here", has_text="completed").wait_for()
        settled(page, "/queues/orders/jobs/later-1", "later-1")
        button(page, "Remove").click()
        confirmed(page, "Remove the job", "It is removed", "a mistake")
        with pytest.raises(JobNotFound):
            state("orders", "later-1")
        settled(page, "/queues/orders/jobs/bad-0", "bad-0")
        button(page, "Retry").click()
        page.locator(".toast", has_text="It waits again").wait_for()
        settled(page, "/queues/exports/jobs/building", "building")
        page.locator("main").get_by_text("3 of 7").first.wait_for()
        button(page, "Cancel").click()
        confirmed(page, "Cancel the job", "Its worker was asked to stop it")
        page.locator(".node.here", has_text="cancelled").wait_for()


def test_a_job_is_replayed_with_another_payload(visits: Visits) -> None:
    theatre = visits.theatre
    with visits.admin() as page:
        settled(page, "/queues/orders/jobs/bad-1", "bad-1")
        button(page, "Replay…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("With another payload").check()
        assert dialog.get_by_label("customer").input_value() == HOSTILE
        dialog.get_by_label("amount").fill("20")
        dialog.get_by_label("express").check()
        button(dialog, "JSON").click()
        assert '"amount": 20' in dialog.locator("textarea").input_value()
        confirmed(page, "Replay", "It runs again")
        page.locator(".node.here", has_text="completed").wait_for()
        record = theatre.run(theatre.admin.job("orders", "bad-1"))
        assert record.payload == {"customer": HOSTILE, "amount": 20, "express": True, "note": HOSTILE}
        button(page, "Enqueue again…").click()
        dialog.get_by_label("customer").fill("grace")
        button(dialog, "Enqueue").click()
        page.wait_for_url(re.compile(r"/queues/orders/jobs/(?!bad-1)"))
        page.get_by_label("Payload").get_by_text('"grace"').wait_for()
        page.locator(".node.here", has_text="completed").wait_for()
        button(page, "Copy as CLI").click()
        command = shlex.split(clipboard(page, "jobsctl "))
        button(page, "Copy as test").click()
        copied = clipboard(page, "async def test_")
    assert command[:4] == ["jobsctl", "enqueue", "orders", "charge"]
    payload = {"customer": "grace", "amount": 20, "express": True, "note": HOSTILE}
    assert json.loads(command[4]) == payload
    (given,) = [
        node for node in ast.walk(ast.parse(copied)) if isinstance(node, ast.Assign) and node.col_offset == 0
    ]
    assert ast.unparse(given).startswith("PAYLOAD = json.loads(")
    assert isinstance(given.value, ast.Call)
    assert json.loads(ast.literal_eval(given.value.args[0])) == payload
    assert "async def test_charge() -> None:" in copied


@pytest.mark.chaos
def test_a_test_that_was_copied_passes(visits: Visits, tmp_path: Path) -> None:
    """In a process of its own, as whoever pastes it runs it."""
    theatre = visits.theatre
    write_package(tmp_path, "shop", shop(parcels="concurrency=2"))
    given = {"ledger": str(tmp_path / "ledger"), "do": 'it\'s "good" \N{SNOWMAN}\n'}
    job = theatre.run(theatre.stage.producer.queue("parcels").enqueue("act", given))
    with visits.admin() as page:
        settled(page, f"/queues/parcels/jobs/{job.id}", job.id)
        button(page, "Copy as test").click()
        (tmp_path / "test_copied.py").write_text(clipboard(page, "async def test_"))
    options = ("-p", "no:cacheprovider", "-c", os.devnull, "-o", "anyio_mode=auto", "--rootdir", ".")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_copied.py"],
        env={**os.environ, "JOBS_FEATURES": "shop", "JOBS_PROCESSORS": "shop", "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert len((tmp_path / "ledger").read_text().splitlines()) == 1


def test_a_job_tells_what_happens_to_it_without_being_asked(visits: Visits) -> None:
    theatre = visits.theatre
    with visits.admin(expected="404") as page:
        asked: list[str] = []
        began = time.monotonic()
        page.on("request", lambda request: asked.append(request.url))
        with page.expect_response(lambda response: "job=live&stats=false" in response.url):
            settled(page, "/queues/orders/jobs/live", "live")
            page.get_by_role("alert").wait_for()
        # Nothing is there yet, and nothing asks again soon: it comes by an event.
        theatre.run(theatre.stage.producer.enqueue(CHARGE, Order(customer="live"), job_id="live", delay=600))
        page.locator(".node.here", has_text="delayed").wait_for()
        assert theatre.run(theatre.admin.promote("orders", "live"))
        page.locator(".node.here", has_text="completed").wait_for()
        until(
            page,
            "arg === [...document.querySelectorAll('.node.lit')].map((each) => each.textContent)"
            ".filter((each) => each !== 'delayed').join()",
            "added,waiting,active,completed",
        )
        page.get_by_role("log").get_by_text("the bank of live is slow").wait_for()
        # It looks every 10 s without being told, too.
        assert sum(url.endswith("/jobs/live") for url in asked) < 12 + (time.monotonic() - began) / 10


def test_a_job_links_to_its_trace(visits: Visits) -> None:
    with visits.admin() as page:
        settled(page, "/queues/newsletter/jobs/traced", "traced")
        link = page.get_by_role("link", name=TRACE)
        assert link.get_attribute("href") == f"https://traces.example/trace/{TRACE}"
        assert link.get_attribute("rel") == "noreferrer"


def test_jobs_are_found_chosen_and_changed_by_a_search(visits: Visits) -> None:
    with visits.admin(expected="422") as page:
        settled(page, "/jobs", "Jobs")
        box = page.get_by_role("combobox", name="Which jobs")
        page.keyboard.press("/")
        box.press_sequentially("queue:orders st")
        page.get_by_role("option", name="state:").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        until(page, "document.activeElement.value === arg", "queue:orders state:")
        box.press_sequentially("fai")
        page.get_by_role("option", name="state:failed").click()
        until(page, "document.activeElement.value === arg", "queue:orders state:failed ")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs?q=state%3Afailed&queue=orders")
        page.get_by_role("link", name="bad-2").wait_for()
        button(page, "Save this view").click()
        page.get_by_label("Name", exact=True).fill("Broken orders")
        confirmed(page, "Save", "Saved in this browser")
        page.get_by_label("Choose bad-2").check()
        page.locator("h2", has_text="1 job chosen").wait_for()
        button(page, "Remove").click()
        page.locator(".toast", has_text="remove: 1 job done").wait_for()
        box.fill("state:failed id:bad-3,bad-4")
        box.press("Enter")
        # Those that are not meant are gone, then.
        page.get_by_role("link", name="declined").wait_for(state="detached")
        page.get_by_role("link", name="bad-3").wait_for()
        button(page, "Remove…").click()
        page.get_by_role("dialog").get_by_text("2 jobs").wait_for()
        followed(page, "Remove")
        page.get_by_text("No job is meant by this").wait_for()
        box.fill("stat:failed")
        box.press("Enter")
        page.get_by_role("alert").get_by_text("did you mean state").wait_for()
        button(page, "Broken orders").click()
        page.get_by_role("link", name="declined").wait_for()
        page.go_back()
        page.wait_for_url("**stat%3Afailed**")


def test_schedules_are_paused_triggered_backfilled_and_removed(visits: Visits) -> None:
    theatre = visits.theatre
    schedules = theatre.admin.schedules
    # It may ask for the schedule once more while that is removed.
    with visits.admin(expected="404") as page:
        settled(page, "/schedules", "Schedules")
        page.locator("main").get_by_text("At 02:30 every day, Europe/Paris").wait_for()
        page.get_by_role("link", name="nightly").click()
        page.locator("h1", has_text="nightly").wait_for()
        page.locator("ol.list > li").nth(4).wait_for()
        # In the reader's zone, which is Tokyo's.
        assert re.search(r"(09|10):30:00 GMT\+9", page.locator("ol.list > li").first.inner_text())
        button(page, "Pause").click()
        page.locator(".toast", has_text="nightly is paused").wait_for()
        assert theatre.run(schedules.get("orders", "nightly")).state == "paused"
        button(page, "Resume").click()
        page.locator(".toast", has_text="nightly goes on").wait_for()
        button(page, "Run now").click()
        page.locator(".toast", has_text="Its job was enqueued").wait_for()
        button(page, "Backfill…").click()
        confirmed(page, "Backfill", "1 job was enqueued", "the night was lost")
        wait_until(lambda: theatre.run(theatre.admin.history("orders", schedule="nightly")).rows)
        settled(page, "/schedules", "Schedules")
        settled(page, "/schedules/orders/nightly", "nightly")
        sent = page.locator(".panel", has_text="What it sent")
        sent.get_by_role("link", name="nightly:").first.wait_for()
        sent.get_by_text("completed").first.wait_for()
        button(page, "Remove…").click()
        confirmed(page, "Remove it", "nightly is removed")
        page.wait_for_url("**/schedules")
        assert [each.id for each in theatre.run(schedules.list("orders")).schedules] == []


def test_an_alert_gets_another_threshold(visits: Visits) -> None:
    theatre = visits.theatre
    with visits.admin() as page:
        settled(page, "/alerts", "Alerts")
        cell = page.get_by_role("button", name="Change waiting of exports")
        cell.click()
        page.get_by_role("spinbutton", name="Threshold").fill("7")
        confirmed(page, "Set", "judged by it", "it is small")
        cell.get_by_text("7", exact=True).wait_for()
        (alert,) = [each for each in theatre.run(theatre.admin.alerts("exports")) if each.alert == "waiting"]
        assert alert.threshold == 7


def test_a_flow_is_looked_at_as_a_graph_and_cancelled(visits: Visits) -> None:
    theatre = visits.theatre
    flow = theatre.run(theatre.stage.begin_flow("to-be-cancelled"))
    with visits.admin() as page:
        settled(page, "/flows", "Flows")
        page.locator(f"a[href='/flows/{flow}']").click()
        page.locator("h1", has_text="nightly-export").wait_for()
        # Eight parts that are alike stand as one, between the first and the last.
        spots = page.locator(".graph .spot")
        page.get_by_role("button", name="8 \N{MULTIPLICATION SIGN} build 8 blocked").wait_for()
        assert spots.all_inner_texts() == [
            "first\ndelayed",
            "8 \N{MULTIPLICATION SIGN} build\n8 blocked",
            "last\nblocked",
        ]
        until(page, DRAWN, [3, 2])
        page.get_by_role("button", name="8 \N{MULTIPLICATION SIGN} build").click()
        page.get_by_role("link", name="part 7").wait_for()
        until(page, DRAWN, [10, 16])
        button(page, "Gather those that are alike").click()
        button(page, "List").click()
        page.wait_for_url("**?view=list")
        page.locator("tbody tr").nth(1).get_by_text("first").wait_for()
        button(page, "failed").click()
        page.get_by_text("No job is in this state").wait_for()
        # A job shows the graph around itself.
        settled(page, f"/queues/orders/jobs/{flow}.9", f"{flow}.9")
        until(page, "document.querySelector('.spot.here')?.innerText === arg", "last\nblocked")
        page.get_by_role("link", name="nightly-export, 10 jobs").click()
        button(page, "Cancel").click()
        confirmed(page, "Cancel the flow", "It is cancelled", "not today")
        page.locator(".head .badge", has_text="cancelled").wait_for()
    assert theatre.run(theatre.admin.flow(flow)).state == "cancelled"


def test_a_worker_is_looked_at_quieted_resumed_and_stopped(visits: Visits, tmp_path: Path) -> None:
    theatre = visits.theatre
    write_package(tmp_path, "shop", shop(parcels="concurrency=2"))
    ledger = Ledger(tmp_path / "ledger")
    given = {"WORKER_HTTP_PORT": "0", "WORKER_QUEUES": "parcels"}
    theatre.run(theatre.stage.announce(HOSTILE))
    with (
        WorkerProcess(
            url=theatre.stage.url, prefix=theatre.stage.prefix, path=tmp_path, package="shop", **given
        ) as worker,
        # What runs is asked once more while the worker goes.
        visits.admin(expected="404") as page,
    ):
        settled(page, "/workers", "Workers")
        other = page.get_by_role("row", name="web-1")
        for text in ("400 MiB", "813 ms", "0.1.0"):
            other.get_by_text(text).wait_for()
        worker.ready()
        row = page.get_by_role("row").filter(has_text="parcels")
        row.get_by_text("0 of 2").wait_for()
        row.get_by_role("link").click()
        tiles = page.locator(".tiles")
        tiles.locator(".tile").filter(has_text=re.compile(r"Memory\s*\d+ MiB\s*\d\.\d\d cores")).wait_for()
        tiles.get_by_role("img", name=re.compile(r"^at most \d+ MiB in the last hour")).wait_for()
        page.get_by_text("It runs no job").wait_for()
        held = theatre.run(
            theatre.stage.producer.queue("parcels").enqueue("act", ledger.act("hold", 600), job_id="held")
        )
        runs = page.get_by_role("row").filter(has_text="held")
        runs.get_by_text("40 %, on hold").wait_for()
        runs.get_by_role("link").click()
        page.get_by_text("Progress 40 %, on hold", exact=True).wait_for()
        page.go_back()
        theatre.run(held.cancel())
        page.get_by_text("It runs no job").wait_for()
        tiles.locator(".tile").filter(has_text=re.compile(r"Lag\s*[\d.]+ (ms|µs|s)")).wait_for()
        button(page, "Quiet").click()
        page.locator(".head .badge", has_text="quiet").wait_for()
        button(page, "Resume").click()
        page.locator(".head .badge", has_text="running").wait_for()
        button(page, "Concurrency…").click()
        page.get_by_label("Jobs at once in each of its processes").fill("7")
        confirmed(page, "Set", "parcels: 7 at once", "a sale")
        tiles.get_by_text("of 7 slots").wait_for()
        button(page, "Stacks").click()
        dialog = page.get_by_role("dialog")
        button(dialog, "Look").click()
        dialog.get_by_text("jobs_worker/child.py").wait_for()
        button(dialog, "Close").click()
        button(page, "Stop…").click()
        confirmed(page, "Stop it", "It finishes what runs, and ends", "it is old")
        assert worker.wait() == 0
        page.get_by_text("Nothing was heard of this worker").wait_for()
        settled(page, "/audit", "Audit")
        listed(page, *(f"worker {verb}" for verb in ("quiet", "resume", "concurrency", "stop")))


def test_dead_letters_are_replayed_by_group(visits: Visits) -> None:
    theatre = visits.theatre
    with visits.admin() as page:
        settled(page, "/dead-letters", "Dead letters")
        page.get_by_role("img", name="1 failure in 24 hours").wait_for()
        # One that takes long is cancelled on the way.
        button(page, "Replay all…").click()
        page.get_by_label("At most so many a second").fill("0.1")
        followed(page, "Replay", "too early", end="cancelled:")
        page.get_by_role("button", name="CardDeclined").click()
        page.wait_for_url("**group=CardDeclined*")
        letter = page.locator(".letters details", has_text="CardDeclined")
        until(page, "document.querySelectorAll('.letters details').length === 1")
        letter.locator("summary").click()
        letter.get_by_label("Payload").get_by_text(HOSTILE.replace('"', '\\"')).first.wait_for()
        button(page, "Replay this group…").click()
        page.get_by_label("At most so many a second").fill("5")
        followed(page, "Replay", "the bank is back")
        done = [each.verb for each in theatre.run(theatre.admin.audit(limit=20)).changes]
        assert "replay" in done
