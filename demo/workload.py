"""Make up the demo's work, and say what must come of it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from demo.dataset import QUESTIONS, Question
from demo.pictures import Photograph

Kind: TypeAlias = Literal["mails", "webhooks", "pictures", "reports"]
KINDS: tuple[Kind, ...] = ("mails", "webhooks", "pictures", "reports")
ATTACHMENT_EVERY = 10
WIDEST = 640
_ROUND = 50


class Work(msgspec.Struct, frozen=True):
    """One job to be: `number` counts from 1 within its kind."""

    kind: Kind
    number: int
    payload: Mapping[str, object]


class ExpectedMail(msgspec.Struct, frozen=True):
    """What must arrive; `attachment` is the SHA-256 of its bytes."""

    subject: str
    to: str
    attachment: str | None


def mail(number: int) -> Work:
    """Return a booking confirmation; every tenth carries its itinerary as a file."""
    expected = expected_mail(number)
    payload: dict[str, object] = {"to": expected.to, "subject": expected.subject}
    if expected.attachment is None:
        payload["template"] = "order-confirmation"
        payload["context"] = {
            "name": f"Traveller {number}",
            "order": _order(number),
            "items": [{"quantity": 1 + number % 4, "name": "Seat Vienna to New York", "price": "412.00 EUR"}],
            "total": f"{412 * (1 + number % 4)}.00 EUR",
        }
    else:
        payload["text"] = f"Your itinerary for {_order(number)} is attached.\n"
        payload["html"] = f"<p>Your itinerary for <strong>{_order(number)}</strong> is attached.</p>"
        payload["attachments"] = [
            {
                "filename": f"itinerary-{number}.csv",
                "content_type": "text/csv",
                "content": base64.b64encode(itinerary(number)).decode(),
            }
        ]
    return Work("mails", number, payload)


def expected_mail(number: int) -> ExpectedMail:
    """Return what must arrive of the mail with this number."""
    attached = number % ATTACHMENT_EVERY == 0
    return ExpectedMail(
        subject=f"Your booking {_order(number)}",
        to=f"traveller-{number}@example.com",
        attachment=hashlib.sha256(itinerary(number)).hexdigest() if attached else None,
    )


def webhook(number: int, url: str) -> Work:
    """Return the notice of a booking."""
    body = {"number": number, "order": _order(number), "from": "VIE", "to": "JFK"}
    return Work(
        "webhooks",
        number,
        {"url": url, "event": "booking.confirmed", "body": body, "idempotency_key": webhook_id(number)},
    )


def webhook_id(number: int) -> str:
    """Return what a delivery carries as its Webhook-Id."""
    return f"booking-{number}"


def _order(number: int) -> str:
    return f"VIE-{number:05d}"


def itinerary(number: int) -> bytes:
    """Return the file that every tenth mail carries."""
    return f"order,flight,from,to\r\n{_order(number)},OS {80 + number % 20},VIE,JFK\r\n".encode()


def everything(
    *, mails: int, webhooks: int, bookings: str, photographs: Sequence[Photograph], source: str
) -> Sequence[Work]:
    """Return all the work: what takes longest first, then mails and webhooks in turn."""
    work = [report(number, question, source) for number, question in enumerate(QUESTIONS, 1)]
    work += [picture(number, photograph) for number, photograph in enumerate(photographs, 1)]
    rounds = max(1, -(-mails // _ROUND))
    for turn in range(rounds):
        work += [mail(number) for number in _share(mails, turn, rounds)]
        work += [webhook(number, bookings) for number in _share(webhooks, turn, rounds)]
    return work


def count(work: Sequence[Work]) -> dict[Kind, int]:
    """Return how much there is of each kind."""
    return {kind: sum(one.kind == kind for one in work) for kind in KINDS}


def _share(total: int, turn: int, rounds: int) -> range:
    """Return the numbers, from 1, that belong to one of several turns."""
    return range(total * turn // rounds + 1, total * (turn + 1) // rounds + 1)


def picture(number: int, photograph: Photograph) -> Work:
    """Return a photograph to be made smaller and turned into WebP."""
    operations = [
        {"type": "thumbnail", "size": WIDEST},
        {"type": "strip-metadata"},
        {"type": "compress", "quality": 80},
        {"type": "convert", "format": "webp"},
    ]
    payload = {"source": photograph.path, "operations": operations, "output": output(photograph)}
    return Work("pictures", number, payload)


def output(photograph: Photograph) -> str:
    """Return where the picture made of a photograph must be."""
    return f"pictures/{Path(photograph.path).stem}.webp"


def output_size(photograph: Photograph) -> tuple[int, int]:
    """Return its size in pixels: as the photograph, but within a square."""
    scale = min(1.0, WIDEST / max(photograph.width, photograph.height))
    return (max(1, round(photograph.width * scale)), max(1, round(photograph.height * scale)))


def report(number: int, question: Question, source: str) -> Work:
    """Return a question to be answered in a file."""
    payload = {
        "source": source,
        "query": question.query,
        "format": question.format,
        "title": question.title,
        "output": report_file(question),
    }
    return Work("reports", number, payload)


def report_file(question: Question) -> str:
    """Return where the answer must be."""
    return f"reports/{question.name}.{question.format}"
