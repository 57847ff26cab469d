"""Replay by an operator: by letter, by job, by filter, at a rate, with another priority or payload."""

from collections.abc import AsyncIterator

import pytest
from msgspec import Struct
from tests.support.mail import Settler
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_core import JobNotFound, OptionError, PayloadError, Priority, Queue, State, WrongState
from jobs_core.connection import client_for, parse_address
from jobs_core.outbox import Relay
from jobs_core.scripts import Scripts
from jobs_producer import Producer


class Send(Struct, frozen=True):
    to: str


MAIL = Queue("mail")
SEND = MAIL.job("send", payload=Send, attempts=1)
NOTE = MAIL.job("note", payload=Send, attempts=1, remove_on_fail=True)


class Post:
    """Fails jobs, and tells the ids of their dead letters."""

    def __init__(self, scripts: Scripts, producer: Producer) -> None:
        self.scripts = scripts
        self.producer = producer
        self.settler = Settler(scripts)

    async def letters(self) -> list[str]:
        await Relay(self.scripts).relay("mail")
        return (await self.scripts.page("dead-letter", home="waiting", newest=False)).ids

    async def fail(self, *ids: str, kept: bool = True, error: str = "no such mailbox") -> list[str]:
        for job_id in ids:
            await self.producer.enqueue(SEND if kept else NOTE, Send(to="ada"), job_id=job_id)
            await self.settler.fail(1, error=error)
        return await self.letters()


@pytest.fixture
async def post(redis_url: str, prefix: str) -> AsyncIterator[Post]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        yield Post(Scripts(client, prefix), producer)
    await client.close()


async def test_a_letter_brings_its_job_back_once(admin: Admin, post: Post) -> None:
    (letter,) = await post.fail("a")
    assert [each.done for each in await admin.replay(letter)] == [True]
    assert (await admin.job("mail", "a")).state is State.WAITING
    assert await post.letters() == []
    with pytest.raises(JobNotFound):
        await admin.replay(letter)
    assert [each.error for each in (await admin.job_detail("mail", "a")).history] == ["no such mailbox"]


async def test_the_failed_job_is_the_same_way(admin: Admin, post: Post) -> None:
    letter, _ = await post.fail("a", "b")
    await admin.retry("mail", "a")
    assert len(await post.letters()) == 1
    await admin.replay("b", queue="mail", priority="high")
    assert (await admin.job("mail", "b")).priority == "high"
    with pytest.raises(WrongState):
        await admin.replay("b", queue="mail")
    with pytest.raises(JobNotFound):
        await admin.replay(letter)


async def test_a_job_that_was_not_kept_comes_back(admin: Admin, post: Post) -> None:
    (letter,) = await post.fail("a", kept=False)
    with pytest.raises(JobNotFound):
        await admin.job("mail", "a")
    await admin.replay(letter, priority=Priority.LOW)
    job = await admin.job_detail("mail", "a")
    assert (job.state, job.priority, job.payload) == (State.WAITING, "low", {"to": "ada"})
    assert [each.error for each in job.history] == ["no such mailbox"]


@pytest.mark.parametrize("kept", [True, False])
async def test_another_payload_is_checked_and_links_the_first(admin: Admin, post: Post, kept: bool) -> None:  # noqa: FBT001
    (letter,) = await post.fail("a", kept=kept)
    with pytest.raises(PayloadError):
        await admin.replay(letter, payload={"to": 7}, job=SEND)
    assert await post.letters() == [letter]
    await admin.replay(letter, payload={"to": "grace"}, job=SEND)
    job = await admin.job("mail", "a")
    assert job.payload == {"to": "grace"}
    assert job.metadata == {"edited_from": letter, "edited_original": '{"to":"ada"}'}
    with pytest.raises(OptionError):
        await admin.replay(letter, "another", payload={})


async def test_a_failed_job_is_edited_in_its_place(admin: Admin, post: Post) -> None:
    await post.fail("a")
    await admin.replay("a", queue="mail", payload={"to": "grace"})
    assert (await admin.job("mail", "a")).payload == {"to": "grace"}


async def test_those_that_match_at_a_rate(admin: Admin, post: Post) -> None:
    await post.fail("a", "b", error="no such mailbox")
    await post.fail("c", kept=False)
    assert await admin.replay_all(name="send", dry_run=True) == 2
    assert await admin.replay_all(queue="other") == 0
    told: list[int] = []
    assert await admin.replay_all(name="send", rate=50, progress=lambda done, _: told.append(done)) == 2
    assert told[-1] == 2
    assert await admin.replay_all(limit=5) == 1
    assert (await admin.stats("mail")).waiting == 3
    with pytest.raises(OptionError):
        await admin.replay_all(rate=0)

    async def empty() -> bool:
        return await post.letters() == []

    await until(empty)


async def test_several_tell_what_became_of_each(admin: Admin, post: Post) -> None:
    first, second = await post.fail("a", "b")
    await admin.replay(first)
    outcomes = await admin.replay(first, second)
    assert [(each.done, each.code) for each in outcomes] == [(False, "job_not_found"), (True, "")]


async def test_dead_letters_are_counted(admin: Admin, post: Post) -> None:
    await post.fail("a", "b")
    await post.fail("c", kept=False)
    assert [(each.queue, each.name, each.group, each.count) for each in await admin.dead_letter_counts()] == [
        ("mail", "send@1", "ValueError", 2),
        ("mail", "note@1", "ValueError", 1),
    ]
    assert len(await admin.dead_letter_counts("mail")) == 2
    assert await admin.dead_letter_counts("sms") == []


async def test_a_job_that_was_not_kept_mends_its_batch_when_it_is_replayed(admin: Admin, post: Post) -> None:
    async with await post.producer.flows.batch("some", MAIL) as batch:
        await batch.add(NOTE, Send(to="ada"))
    await Relay(post.scripts).relay("mail")
    await post.settler.fail(1, error="no such mailbox")
    (letter,) = await post.letters()
    assert (await admin.flow(batch.id)).state == "failed"
    await admin.replay(letter)
    await post.settler.complete(1)
    await Relay(post.scripts).relay("mail")
    assert (await admin.flow(batch.id)).state == "completed"
