from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import msgspec
import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin, Event, Redaction
from jobs_core import Queue, redact
from jobs_core.discovery import Catalog
from jobs_core.errors import OptionError
from jobs_core.payloads import JsonValue
from jobs_core.records import JobRecord
from jobs_core.redaction import MASK
from jobs_core.wire import decode_envelope, parse_header
from jobs_producer import Producer


class Login(msgspec.Struct):
    user: str
    password: Annotated[str, redact]


class Token(msgspec.Struct):
    token: Annotated[str, redact]


MAIL = Queue("mail")
SEND = MAIL.job("send", payload=Login, result=Token)
SECRET = "correct horse"
PAYLOAD: JsonValue = {"user": "ada", "password": SECRET}
CATALOG = Catalog([(MAIL, "mail")])


@pytest.fixture
async def admin(redis_url: str, prefix: str) -> AsyncIterator[Admin]:
    async with Admin(redis_url, prefix=prefix, timeout=30, redaction=Redaction(CATALOG)) as admin:
        yield admin


async def test_payloads_are_masked_and_what_repeats_them_too(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", data=PAYLOAD, metadata={"hint": f"it is {SECRET}!"}, tags=[SECRET])
    job = await admin.job("mail", "1")
    assert job.payload == {"user": "ada", "password": MASK}
    assert (job.metadata, job.tags) == ({"hint": f"it is {MASK}!"}, (MASK,))
    (listed,) = (await admin.jobs("mail")).jobs
    assert SECRET not in repr(listed)


async def test_errors_and_stacks_are_scrubbed(admin: Admin, mail: Seeder) -> None:
    # What the seeder says of failures: the message, and the first word of the stack.
    await mail.add("1", data={"user": "ada", "password": "no such mailbox"})
    await mail.settle("fail", await mail.claim())
    detail = await admin.job_detail("mail", "1")
    assert detail.failed_reason == f"ValueError: {MASK}"
    assert [each.error for each in detail.history] == [MASK]
    assert "no such mailbox" not in repr(detail)


async def test_results_are_masked_by_their_own_type(admin: Admin) -> None:
    record = JobRecord(
        id="1",
        queue="mail",
        name="send",
        payload=PAYLOAD,
        state="completed",  # pyright: ignore[reportArgumentType]
        priority="normal",
        created_at=msgspec.convert("2026-01-01T00:00:00Z", type=datetime),
        result={"token": "t0ken", "echo": [SECRET]},
    )
    shown = Redaction(CATALOG).job(record)
    assert shown.result == {"token": MASK, "echo": [MASK]}


@pytest.mark.parametrize("kept", [True, False])
async def test_without_the_payload_only_the_kind_of_an_error_is_told(
    admin: Admin, mail: Seeder, *, kept: bool
) -> None:
    await mail.add("1", data=PAYLOAD)
    await mail.settle("fail", await mail.claim(), keep=-1 if kept else 0)
    detail = await admin.job_detail("mail", "1")
    assert detail.failed_reason == ("ValueError: no such mailbox" if kept else f"ValueError: {MASK}")


async def test_what_is_masked_cannot_be_searched_for(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", data=PAYLOAD)
    assert (await admin.jobs("mail", query="payload.user=ada")).jobs
    assert not (await admin.jobs("mail", query=f'payload.password="{SECRET}"')).jobs
    assert not (await admin.jobs("mail", query="payload.password:c")).jobs
    record = await admin.bulk("remove", "mail", f'payload.password="{SECRET}"', dry_run=True)
    assert record.count == 0


async def test_schedules_are_masked(admin: Admin, redis_url: str, prefix: str) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        await producer.schedules.upsert("s", SEND, Login("ada", SECRET), every=60)
    assert (await admin.schedules.get("mail", "s")).payload == {"user": "ada", "password": MASK}
    (listed,) = (await admin.schedules.list("mail")).schedules
    assert SECRET not in repr(listed)


def test_events_of_such_jobs_tell_numbers_alone() -> None:
    redaction = Redaction(CATALOG)
    at = msgspec.convert("2026-01-01T00:00:00Z", type=datetime)
    failed = Event(event="failed", queue="mail", name="send", at=at, data=f"bad {SECRET}")
    assert redaction.event(failed) == msgspec.structs.replace(failed, data=None, left_out=True)
    progress = Event(event="progress", queue="mail", name="send", at=at, data=40)
    assert redaction.event(progress) == progress
    other = Event(event="failed", queue="mail", name="other", at=at, data="why")
    assert redaction.event(other) == other


async def test_an_edited_payload_keeps_what_its_masks_stand_for(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", data=PAYLOAD)
    await mail.settle("fail", await mail.claim())
    shown = (await admin.job("mail", "1")).payload
    assert isinstance(shown, dict)
    await admin.replay("1", queue="mail", payload={**shown, "user": "eve"}, job=SEND)
    assert await stored(mail, "1") == {"user": "eve", "password": SECRET}
    again = await admin.job("mail", "1")
    assert msgspec.json.decode(str(again.metadata["edited_original"])) == {"user": "ada", "password": MASK}


async def test_a_mask_for_what_nobody_knows_is_refused(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", data={"user": "ada"})
    await mail.settle("fail", await mail.claim())
    with pytest.raises(OptionError, match="give the value itself"):
        await admin.replay("1", queue="mail", payload={"user": "eve", "password": MASK})


async def test_dead_letters_are_masked(admin: Admin, mail: Seeder) -> None:
    letters = mail.named("dead-letter")
    letter: JsonValue = {
        "queue": "mail",
        "id": "1",
        "name": "send@1",
        "reason": f"ValueError: bad {SECRET}",
        "group": "ValueError",
        "payload": PAYLOAD,
        "attempts": [{"error": SECRET, "stack": f"x = {SECRET}"}],
        "metadata": {"edited_original": '{"password":"older one"}'},
        "head": "abc",
        "envelope": "def",
    }
    await letters.add("a", name="dead-letter", data=letter)
    await letters.add("b", name="dead-letter", data={**letter, "payload": None, "payload_base64": "c2VjcmV0"})
    for job_id in ("a", "b"):
        text = repr(await admin.job("dead-letter", job_id))
        assert not any(each in text for each in (SECRET, "older one", "c2VjcmV0", "abc", "def"))
    shown = (await admin.job("dead-letter", "a")).payload
    assert isinstance(shown, dict)
    assert shown["reason"] == f"ValueError: bad {MASK}"
    assert shown["payload"] == {"user": "ada", "password": MASK}


async def stored(mail: Seeder, job_id: str) -> JsonValue:
    """Return a payload as the server has it."""
    (located,) = await mail.scripts.lookup(mail.queue, ids=[job_id])
    header = parse_header(located.record)
    return msgspec.json.decode(decode_envelope(located.record[header.size :]).payload)
