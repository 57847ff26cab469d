"""The demo's receivers, launcher and verification: what is missing or wrong is noticed and named."""

import asyncio
import csv
import re
import smtplib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import msgspec
import openpyxl
import pytest
from demo import dataset, pictures, verification, workload
from demo.check import Check
from demo.processes import DemoFailed, Programs
from demo.received import BUSY_EVERY, ReceivedHook, ReceivedMail
from demo.summary import percentiles, report
from fpdf import FPDF
from PIL import Image
from rich.console import Console
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.support.workers import alive

from jobs_core.queues.webhooks.signature import signature_header

ROOT = str(Path(verification.__file__).parent.parent)
SECRET = "a secret of the tests"
ROWS: Sequence[Sequence[object]] = (("VIE", "Vienna", 183.0), ("AMS", "Schiphol; Am", -3), ("ZZZ", None, 2.5))
KILLED = """
import asyncio, sys
from demo.processes import Programs

async def main():
    async with Programs() as programs:
        program = programs.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
        print(program.process.pid, programs.directory, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
async def programs() -> AsyncIterator[Programs]:
    async with Programs() as programs:
        yield programs


# Receivers


async def test_smtp_receiver_keeps_each_mail_it_accepted(programs: Programs, tmp_path: Path) -> None:
    port = free_port()
    store = tmp_path / "mails"
    program = programs.start("smtp", receiver("smtp", port, store), {"PYTHONPATH": ROOT})
    await programs.ready(program, f"tcp://127.0.0.1:{port}")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            for number in (9, 10):
                client.send_message(mail(number))

    await asyncio.to_thread(send)
    check = verification.check_mails(store, {number: workload.expected_mail(number) for number in (9, 10)})
    assert check == Check(name="mails", expected=2, right=2)


async def test_webhook_receiver_takes_only_what_is_signed_and_is_busy_once(
    programs: Programs, tmp_path: Path
) -> None:
    port = free_port()
    store = tmp_path / "hooks"
    env = {"WEBHOOK_SECRET": SECRET, "PYTHONPATH": ROOT}
    program = programs.start("webhooks", receiver("webhook", port, store), env)
    await programs.ready(program, f"http://127.0.0.1:{port}/healthz")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def post(number: int, secret: str) -> int:
            body = msgspec.json.encode({"number": number})
            now, webhook_id = int(time.time()), workload.webhook_id(number)
            headers = {
                "Webhook-Id": webhook_id,
                "Webhook-Signature": signature_header(
                    [secret], webhook_id=webhook_id, timestamp=now, body=body
                ),
            }
            async with session.post("/bookings", data=body, headers=headers) as response:
                return response.status

        assert await post(1, SECRET) == 204
        assert [await post(BUSY_EVERY, SECRET) for _ in range(2)] == [503, 204]
        assert verification.turned_away(store) == 1
        expected = {number: workload.webhook_id(number) for number in (1, BUSY_EVERY)}
        assert verification.check_webhooks(store, expected) == Check(name="webhooks", expected=2, right=2)
        assert await post(2, "not the secret") == 401
    check = verification.check_webhooks(store, expected)
    assert check.wrong == ("booking-2 has a wrong signature",)


# The launcher


async def test_program_that_ends_is_reported_with_its_last_words(programs: Programs) -> None:
    program = programs.start("broken", [sys.executable, "-c", "raise SystemExit('no such luck')"])
    with pytest.raises(DemoFailed, match=r"broken ended with exit code 1:\n +no such luck"):
        await programs.ready(program, "tcp://127.0.0.1:1")


async def test_stopped_programs_leave_nothing_behind(programs: Programs) -> None:
    program = programs.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
    await programs.stop()
    programs.close()
    assert not program.running
    assert not programs.directory.exists()


def test_killed_demo_takes_its_programs_and_its_directory_along() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert demo.stdout is not None
    with demo.stdout:
        pid, directory = demo.stdout.readline().split()
        demo.kill()
        demo.wait()
    wait_until(lambda: not alive(int(pid)), what="the end of its program")
    wait_until(lambda: not Path(directory).exists(), what="the end of its directory")


async def test_settings_of_the_user_do_not_reach_the_programs(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://production.example.com/0")
    monkeypatch.setenv("EDITOR", "ed")
    code = "import os; print(os.environ.get('REDIS_URL'), os.environ['EDITOR'], os.environ['API_PORT'])"
    program = programs.start("printer", [sys.executable, "-c", code], {"API_PORT": "1"})
    await asyncio.to_thread(program.process.wait)
    assert program.log.read_text() == "None ed 1\n"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_small_demo_runs_to_its_end(tmp_path: Path) -> None:
    Image.new("RGB", (900, 600), "teal").save(tmp_path / "teal.jpg")
    command = [sys.executable, "-m", "demo.run", "--mails=40", "--webhooks=25", f"--pictures={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL" in done.stdout
    assert re.search(r"jobs completed +72 of 72", done.stdout)
    assert re.search(r"links to reports +6 of 6", done.stdout)


# Mails


def test_mail_that_never_came_is_missing(tmp_path: Path) -> None:
    store = mails(tmp_path, [mail(1)])
    check = verification.check_mails(store, {number: workload.expected_mail(number) for number in (1, 2)})
    assert not check.passed
    assert check.complaint() == "mails: 1 of 2 are right. Missing: traveller-2@example.com."


def test_mail_that_came_twice_is_explained_by_the_kill_alone(tmp_path: Path) -> None:
    store = mails(tmp_path, [mail(1), mail(1)])
    expected = {1: workload.expected_mail(1)}
    explained = verification.check_mails(store, expected, interrupted={1})
    assert explained == Check(name="mails", expected=1, right=1, repeated=1, explained=1)
    assert verification.check_mails(store, expected).wrong == ("number 1 came 2 times",)


def test_mail_of_two_message_ids_is_wrong(tmp_path: Path) -> None:
    store = mails(tmp_path, [mail(1), mail(1, message_id="<other@example.com>")])
    check = verification.check_mails(store, {1: workload.expected_mail(1)}, interrupted={1})
    assert check.wrong == ("number 1 came under 2 Message-IDs",)


def test_two_mails_of_one_message_id_are_wrong(tmp_path: Path) -> None:
    store = mails(tmp_path, [mail(1, message_id="<same@x>"), mail(2, message_id="<same@x>")])
    check = verification.check_mails(store, {number: workload.expected_mail(number) for number in (1, 2)})
    assert check.wrong == ("traveller-2@example.com and number 1 share the Message-ID <same@x>",)
    assert check.missing == ("traveller-2@example.com",)


def test_mail_without_its_attachment_is_wrong(tmp_path: Path) -> None:
    store = mails(tmp_path, [mail(10, attach=False)])
    check = verification.check_mails(store, {10: workload.expected_mail(10)})
    assert check.wrong == ("the mail to traveller-10@example.com: its attachment is gone",)


def test_unfinished_last_line_is_no_mail(tmp_path: Path) -> None:
    store = mails(tmp_path, [mail(1), mail(2)])
    store.write_bytes(store.read_bytes()[:-1])
    check = verification.check_mails(store, {number: workload.expected_mail(number) for number in (1, 2)})
    assert check.missing == ("traveller-2@example.com",)


# Webhooks


def test_webhook_that_was_only_turned_away_is_missing(tmp_path: Path) -> None:
    store = tmp_path / "hooks"
    hook = ReceivedHook(
        received_at=0.0,
        webhook_id="booking-1",
        event="booking.confirmed",
        signed=True,
        status=503,
        body=msgspec.Raw(b'{"number":1}'),
    )
    store.write_bytes(msgspec.json.encode(hook) + b"\n")
    check = verification.check_webhooks(store, {1: "booking-1"})
    assert check.missing == ("booking-1",)


def test_nothing_received_at_all_is_missing(tmp_path: Path) -> None:
    assert verification.check_webhooks(tmp_path / "none", {1: "booking-1"}).missing == ("booking-1",)
    assert verification.check_mails(tmp_path / "none", {1: workload.expected_mail(1)}).right == 0


# Pictures


def test_pictures_are_decoded_and_measured(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "navy").save(tmp_path / "right.webp")
    Image.new("RGB", (41, 30), "navy").save(tmp_path / "size.webp")
    Image.new("RGB", (40, 30), "navy").save(tmp_path / "kind.webp", format="PNG")
    (tmp_path / "broken.webp").write_bytes((tmp_path / "right.webp").read_bytes()[:20])
    expected = dict.fromkeys(["right.webp", "size.webp", "kind.webp", "broken.webp", "gone.webp"], (40, 30))
    check = verification.check_pictures(tmp_path, expected)
    assert (check.expected, check.right, check.missing) == (5, 1, ("gone.webp",))
    assert check.wrong[:2] == ("size.webp is 41 x 30, not 40 x 30", "kind.webp is PNG, not WEBP")
    assert check.wrong[2].startswith("broken.webp cannot be opened")


def test_pictures_of_the_user_are_found_and_others_left_out(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "below" / "a.JPG")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.txt").write_text("no picture either")
    sources = pictures.find_photographs(tmp_path)
    stocked = pictures.stock(sources, tmp_path / "store", "in")
    assert [path.name for path in sources] == ["b.png", "a.JPG"]
    assert stocked == [pictures.Photograph("in/0001.jpg", 40, 30)]


def test_directory_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="no picture"):
        pictures.find_photographs(tmp_path)


def test_packages_ship_enough_distinct_photographs() -> None:
    found = pictures.find_photographs(None)
    assert len({path.read_bytes() for path in found}) == len(found) >= pictures.ENOUGH


# Reports


def test_reports_are_read_and_compared_row_by_row(tmp_path: Path) -> None:
    write_csv(tmp_path / "right.csv", ROWS)
    write_csv(tmp_path / "short.csv", ROWS[:2])
    write_csv(tmp_path / "other.csv", [*ROWS[:2], ("ZZZ", None, 2.6)])
    write_xlsx(tmp_path / "right.xlsx", ROWS)
    write_xlsx(tmp_path / "short.xlsx", ROWS[:2])
    write_pdf(tmp_path / "right.pdf", ROWS)
    write_pdf(tmp_path / "short.pdf", ROWS[:2])
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    names = ["right.csv", "right.xlsx", "right.pdf", "short.csv", "other.csv", "short.xlsx", "short.pdf"]
    check = verification.check_reports(tmp_path, dict.fromkeys([*names, "broken.pdf", "gone.csv"], ROWS))
    assert (check.right, check.missing) == (3, ("gone.csv",))
    assert check.wrong[:4] == (
        "short.csv has 2 rows, the query gives 3",
        "other.csv differs in row 3: ['ZZZ', '', '2.6'], the query gives ['ZZZ', None, 2.5]",
        "short.xlsx has 2 rows, the query gives 3",
        "short.pdf has 2 rows of 3; ZZZ lacks",
    )
    assert check.wrong[4].startswith("broken.pdf cannot be read")


def test_every_question_has_an_answer(tmp_path: Path) -> None:
    database = tmp_path / "airports.db"
    assert dataset.build(database) > 25_000
    rows = {question.name: dataset.ask(database, question.query) for question in dataset.QUESTIONS}
    assert {question.format for question in dataset.QUESTIONS} == {"csv", "xlsx", "pdf"}
    assert all(len(found) > 10 for found in rows.values())
    assert all(len({row[0] for row in found}) == len(found) for found in rows.values())


# The summary


def test_missing_output_makes_the_exit_code_non_zero(capsys: pytest.CaptureFixture[str]) -> None:
    good = Check(name="pictures", expected=40, right=40)
    bad = Check(name="mails", expected=2000, right=1999, missing=("traveller-7@example.com",))
    assert report(Console(width=120), [], [good]) == 0
    capsys.readouterr()
    assert report(Console(width=120), [], [good, bad]) == 1
    assert "mails: 1,999 of 2,000 are right. Missing: traveller-7@example.com." in capsys.readouterr().out


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([float(value) for value in range(1, 101)]) == (50.0, 95.0, 99.0)
    assert percentiles([7.0]) == (7.0, 7.0, 7.0)
    assert percentiles([]) == (0.0, 0.0, 0.0)


def receiver(kind: str, port: int, store: Path) -> Sequence[str]:
    return [sys.executable, "-m", f"demo.{kind}_receiver", str(port), str(store)]


def mail(number: int, *, message_id: str = "", attach: bool = True) -> EmailMessage:
    """Return the mail with this number as a worker would send it."""
    payload: Mapping[str, object] = workload.mail(number).payload
    message = EmailMessage()
    message["From"] = "demo@example.com"
    message["To"] = str(payload["to"])
    message["Subject"] = str(payload["subject"])
    message["Message-ID"] = message_id or f"<{number}@example.com>"
    message.set_content("Hello")
    if attach and number % workload.ATTACHMENT_EVERY == 0:
        message.add_attachment(workload.itinerary(number), maintype="text", subtype="csv", filename="i.csv")
    return message


def mails(directory: Path, messages: Sequence[EmailMessage]) -> Path:
    store = directory / "mails"
    with store.open("wb") as file:
        for message in messages:
            received = ReceivedMail(0.0, "demo@example.com", [str(message["To"])], message.as_bytes())
            file.write(msgspec.json.encode(received) + b"\n")
    return store


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("code", "name", "height"), *rows])


def write_xlsx(path: Path, rows: Sequence[Sequence[object]]) -> None:
    workbook = openpyxl.Workbook()
    for row in (("code", "name", "height"), *rows):
        workbook.worksheets[0].append(
            [cell if isinstance(cell, int | float) else str(cell or "") for cell in row]
        )
    workbook.save(path)


def write_pdf(path: Path, rows: Sequence[Sequence[object]]) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=10)
    with pdf.table() as table:
        for row in (("code", "name", "height"), *rows):
            table.row([str(cell) for cell in row])
    pdf.output(str(path))
