"""Open everything that came out and hold it against what went in."""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import TypeVar

import msgspec
import openpyxl
import pypdf
from PIL import Image, UnidentifiedImageError

from demo.check import Check, listed
from demo.received import Booking, ReceivedHook, ReceivedMail
from demo.workload import ExpectedMail

_T = TypeVar("_T")
_S = TypeVar("_S")


def check_mails(
    store: Path, expected: Mapping[int, ExpectedMail], interrupted: Collection[int] = ()
) -> Check:
    """Parse every mail that came in: recipient, subject, attachment, and a Message-ID of its own.

    A mail that came twice must have the same Message-ID, and be one of the `interrupted`. The parser is the
    classic one, which is ten times as fast as that of email.policy.default.
    """
    by_recipient = {mail.to: number for number, mail in expected.items()}
    ids: dict[str, int] = {}
    count: Counter[int] = Counter()
    wrong: list[str] = []
    for received in _lines(store, ReceivedMail):
        message = message_from_bytes(received.content)
        to = ", ".join(received.recipients)
        number = by_recipient.get(to)
        if number is None:
            wrong.append(f"a mail to {to}, who was sent none")
            continue
        message_id = str(message["Message-ID"])
        if ids.setdefault(message_id, number) != number:
            wrong.append(f"{to} and number {ids[message_id]} share the Message-ID {message_id}")
        elif problem := _mail_problem(message, expected[number]):
            wrong.append(f"the mail to {to}: {problem}")
        else:
            count[number] += 1
    messages = Counter(ids.values())
    wrong += [
        f"number {number} came under {many} Message-IDs" for number, many in messages.items() if many > 1
    ]
    missing = [mail.to for number, mail in expected.items() if number not in messages]
    return _delivered(
        "mails", count, expected=expected, missing=missing, wrong=wrong, interrupted=interrupted
    )


def check_webhooks(store: Path, expected: Mapping[int, str], interrupted: Collection[int] = ()) -> Check:
    """Look through every webhook that came in: signed, answered 204 once, its Webhook-Id that of its booking.

    `expected` holds the ids by number.
    """
    count: Counter[int] = Counter()
    wrong: list[str] = []
    for hook in _lines(store, ReceivedHook):
        if not hook.signed:
            wrong.append(f"{hook.webhook_id or 'one without id'} has a wrong signature")
        elif hook.status == 503:
            continue
        elif hook.status != 204:
            wrong.append(f"{hook.webhook_id} was answered {hook.status}")
        else:
            number = msgspec.json.decode(hook.body, type=Booking).number
            if expected.get(number) == hook.webhook_id:
                count[number] += 1
            else:
                wrong.append(f"{hook.webhook_id} tells of booking {number}")
    missing = [webhook_id for number, webhook_id in expected.items() if number not in count]
    return _delivered(
        "webhooks", count, expected=expected, missing=missing, wrong=wrong, interrupted=interrupted
    )


def turned_away(store: Path) -> int:
    """Return how many deliveries the receiver answered with 503."""
    return sum(hook.status == 503 for hook in _lines(store, ReceivedHook))


def check_pictures(store: Path, expected: Mapping[str, tuple[int, int]]) -> Check:
    """Decode every picture that was written: WebP, and of the expected size in pixels, by path."""

    def problem(path: Path, size: tuple[int, int]) -> str | None:
        try:
            with Image.open(path) as image:
                image.load()
                found, kind = image.size, image.format
        except (OSError, UnidentifiedImageError) as error:
            return f"cannot be opened: {error}"
        if kind != "WEBP":
            return f"is {kind}, not WEBP"
        return None if found == size else f"is {found[0]} x {found[1]}, not {size[0]} x {size[1]}"

    return _files("pictures", store, expected, problem)


def check_reports(store: Path, expected: Mapping[str, Sequence[Sequence[object]]]) -> Check:
    """Read every report that was written and compare it with the rows the database gives, by path."""

    def problem(path: Path, rows: Sequence[Sequence[object]]) -> str | None:
        reader = {".csv": _csv_problem, ".xlsx": _xlsx_problem, ".pdf": _pdf_problem}[path.suffix]
        try:
            return reader(path, rows)
        # Whatever a damaged file makes a reader raise says that the file is damaged.
        except Exception as error:  # noqa: BLE001
            return f"cannot be read: {type(error).__name__}: {error}"

    return _files("reports", store, expected, problem)


def _mail_problem(message: Message, expected: ExpectedMail) -> str | None:
    subject = str(make_header(decode_header(str(message["Subject"]))))
    if subject != expected.subject:
        return f"its subject is {subject}"
    if expected.to not in str(message["To"]):
        return f"it is addressed to {message['To']}"
    attached = [_digest(part) for part in message.walk() if part.get_content_disposition() == "attachment"]
    if attached != ([] if expected.attachment is None else [expected.attachment]):
        return (
            f"it carries {len(attached)} attachments, not the one sent"
            if attached
            else "its attachment is gone"
        )
    return None


def _digest(part: Message) -> str:
    content = part.get_payload(decode=True)
    return hashlib.sha256(content if isinstance(content, bytes) else b"").hexdigest()


def _delivered(
    name: str,
    count: Mapping[int, int],
    *,
    expected: Collection[int],
    missing: Sequence[str],
    wrong: Sequence[str],
    interrupted: Collection[int],
) -> Check:
    again = {number: many - 1 for number, many in count.items() if many > 1}
    unexplained = [number for number in again if number not in interrupted]
    return Check(
        name=name,
        expected=len(expected),
        right=len(count),
        missing=tuple(missing),
        wrong=(*wrong, *(f"number {number} came {again[number] + 1} times" for number in unexplained)),
        repeated=sum(again.values()),
        explained=sum(again[number] for number in again if number in interrupted),
    )


def _files(
    name: str, store: Path, expected: Mapping[str, _T], problem: Callable[[Path, _T], str | None]
) -> Check:
    present = [path for path in expected if (store / path).is_file()]
    problems = {path: problem(store / path, expected[path]) for path in present}
    wrong = [f"{path} {what}" for path, what in problems.items() if what is not None]
    return Check(
        name=name,
        expected=len(expected),
        right=len(present) - len(wrong),
        missing=tuple(path for path in expected if path not in problems),
        wrong=tuple(wrong),
    )


def _csv_problem(path: Path, rows: Sequence[Sequence[object]]) -> str | None:
    with path.open(newline="", encoding="utf-8-sig") as file:
        found = list(csv.reader(file))[1:]
    return _difference(found, rows)


def _xlsx_problem(path: Path, rows: Sequence[Sequence[object]]) -> str | None:
    workbook = openpyxl.load_workbook(path, read_only=True)
    try:
        sheet = workbook.worksheets[0]
        found = list(sheet.iter_rows(min_row=2, values_only=True))
    finally:
        workbook.close()
    return _difference(found, rows)


def _pdf_problem(path: Path, rows: Sequence[Sequence[object]]) -> str | None:
    """Look for what each row begins with: how long cells are broken is the layout's to decide."""
    words = {word for page in pypdf.PdfReader(path).pages for word in page.extract_text().split()}
    keys = [str(row[0]) for row in rows]
    lost = [key for key in keys if key not in words]
    return f"has {len(keys) - len(lost)} rows of {len(keys)}; {listed(lost)} lacks" if lost else None


def _difference(found: Sequence[Sequence[object]], rows: Sequence[Sequence[object]]) -> str | None:
    if len(found) != len(rows):
        return f"has {len(found)} rows, the query gives {len(rows)}"
    for number, (mine, theirs) in enumerate(zip(found, rows, strict=True), 1):
        if [_cell(value) for value in mine] != [_cell(value) for value in theirs]:
            return f"differs in row {number}: {list(mine)}, the query gives {list(theirs)}"
    return None


def _cell(value: object) -> str:
    """Return what a cell shows; 2 and 2.0 are the same number, in a spreadsheet and in text."""
    text = "" if value is None else str(value)
    try:
        return repr(float(text))
    except ValueError:
        return text


def _lines(path: Path, kind: type[_S]) -> Iterator[_S]:
    """Read a receiver's file. A last line without its end was never acknowledged."""
    decoder = msgspec.json.Decoder(kind)
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)
