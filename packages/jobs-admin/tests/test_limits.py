import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin, LimitRecord, RateRecord
from jobs_core import OptionError, Queue, RateLimit, UnknownQueue


async def test_both_the_declared_and_the_live_limit_are_shown(admin: Admin, mail: Seeder) -> None:
    queue = Queue("mail", max_active=5, rate_limit=RateLimit(10, 60, burst=3))
    await mail.scripts.declare("mail", definition="d", fields=queue.definition())
    assert await admin.limit("mail", max_active=2, rate_limit=None, key_rate=RateLimit(1, 0.5))
    assert await admin.limits("mail") == [
        LimitRecord("max_active", 5, 2, lifted=False),
        LimitRecord("rate_limit", RateRecord(10, 60_000, 3), None, lifted=True),
        LimitRecord("key_concurrency", None, None, lifted=False),
        LimitRecord("key_rate", None, RateRecord(1, 500, 1), lifted=False),
    ]
    assert not await admin.limit("mail", max_active=2)
    assert await admin.limit("mail", max_active="declared", rate_limit="declared", key_rate="declared")
    assert {limit.live for limit in await admin.limits("mail")} == {None}


async def test_a_wrong_limit_is_refused(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    with pytest.raises(OptionError, match="max_active"):
        await admin.limit("mail", max_active=0)
    with pytest.raises(OptionError, match="the limits are"):
        await admin.limit("mail", depth=3)  # pyright: ignore[reportCallIssue] - what is wrong is the point
    with pytest.raises(UnknownQueue):
        await admin.limit("male", max_active=1)


async def test_the_doctor_names_the_limit_that_holds_jobs_back(admin: Admin, mail: Seeder) -> None:
    queue = Queue("mail", max_active=1, rate_limit=RateLimit(1, 60))
    await mail.scripts.declare("mail", definition="d", fields=queue.definition())
    await mail.add("a", "b")
    await mail.claim(5)
    codes = {finding.code for finding in await admin.doctor("mail")}
    assert {"max_active", "rate_limit"} <= codes
    codes = {finding.code for finding in await admin.doctor("mail", "b")}
    assert {"waiting", "max_active", "rate_limit"} <= codes
