"""Declared workflows, run by name: started once, waited for without a slot, and the example of a user's onboarding."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.onboarding.queue import (
    CREATE_USER_PROFILE,
    SEND_PROFILE_CREATED,
    SEND_WELCOME_EMAIL,
    Profile,
    User,
)
from tests.support.onboarding.workflows import user_onboarding, welcome
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_core.discovery import load_features
from jobs_core.errors import DeclarationError, FlowCancelled, JobCancelled, JobFailed, PayloadError
from jobs_core.queues.notifications import ALERT_ADMIN, AlertAdmin, NotificationReceipt
from jobs_core.queues.workflow import WORKFLOW
from jobs_producer import Workflow, workflow
from jobs_producer.declared import UnknownWorkflow, find_workflow, load_workflows
from jobs_worker import Fail, JobContext, processor
from jobs_worker.queues.workflow import processor as processing
from jobs_worker.queues.workflow.processor import run_workflow
from jobs_worker.submitting import Submitted

if TYPE_CHECKING:
    from conftest import Run

    from jobs_core.options import MetaValue

Write = Callable[[dict[str, str]], Path]
PACKAGES = ["builtin", "tests.support.onboarding"]


@pytest.fixture(autouse=True)
def features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_FEATURES", ",".join(PACKAGES))


@dataclass
class Office:
    """Handlers of the onboarding, and what they saw."""

    broken: bool = False
    seen: list[str] = field(default_factory=list[str])
    metadata: list[dict[str, MetaValue]] = field(default_factory=list[dict[str, "MetaValue"]])
    alerts: list[AlertAdmin] = field(default_factory=list[AlertAdmin])

    def handlers(self) -> list[Callable[..., object]]:
        @processor(SEND_WELCOME_EMAIL)
        @processor(SEND_PROFILE_CREATED)
        async def mail(payload: User, ctx: JobContext) -> bool:
            self.seen.append(f"{ctx.name} {payload.user_id}")
            self.metadata.append(dict(ctx.metadata))
            return True

        @processor(CREATE_USER_PROFILE, executor="async")
        async def create(payload: User, ctx: JobContext) -> Profile:
            self.seen.append(ctx.name)
            if self.broken:
                raise Fail("no room")
            return Profile(profile=f"p-{payload.user_id}")

        @processor(ALERT_ADMIN)
        async def alert(payload: AlertAdmin, _: JobContext) -> NotificationReceipt:
            self.alerts.append(payload)
            return NotificationReceipt(notified=True, channels=("log",))

        return [mail, create, alert, run_workflow]


@pytest.fixture
def office() -> Office:
    return Office()


async def test_the_onboarding_of_a_user(run: Run, office: Office) -> None:
    async with run(*office.handlers()) as place:
        flow = await user_onboarding(User(user_id=123)).start(place.producer)
        results = await flow.result(40)
        record = await flow.status()
        jobs = await flow.jobs()
    assert (record.id, record.name) == ("user-onboarding-workflow", "User Onboarding")
    assert record.metadata == {"created_by": "system", "correlation_id": "workflow-123"}
    assert record.tags == ("onboarding", "user")
    assert [(job.queue, job.name, job.state) for job in jobs] == [
        ("email", "send-welcome-email", "completed"),
        ("data-processing", "create-user-profile", "completed"),
        ("email", "send-profile-created", "completed"),
        ("notifications", "alert-admin", "skipped"),
    ]
    assert office.seen == ["send-welcome-email 123", "create-user-profile", "send-profile-created 123"]
    assert results["create-user-profile"] == {"profile": "p-123"}
    assert all(each["correlation_id"] == "workflow-123" for each in office.metadata)


async def test_where_its_profile_fails_the_admin_is_told(run: Run, office: Office) -> None:
    office.broken = True
    async with run(*office.handlers()) as place:
        flow = await user_onboarding(User(user_id=123)).start(place.producer)
        record = await flow.done(40)
    assert record.state == "failed"
    assert office.seen == ["send-welcome-email 123", "create-user-profile"]
    assert office.alerts == [AlertAdmin(error="profile-creation-failed", user_id=123)]


@pytest.mark.parametrize("named", [True, False])
async def test_a_workflow_is_run_by_its_name_or_given_itself(
    run: Run, office: Office, *, named: bool
) -> None:
    async with run(*office.handlers()) as place:
        if named:
            job = await place.producer.enqueue_workflow("user-onboarding", {"user_id": 123})
        else:
            job = await place.producer.enqueue_workflow(user_onboarding, User(user_id=123))
        result = await job.result(40)
    assert (result.workflow, result.id, result.queue, result.jobs) == (
        *("user-onboarding", "user-onboarding-workflow", "email", 4),
    )
    assert result.results["create-user-profile"] == {"profile": "p-123"}
    assert office.seen == ["send-welcome-email 123", "create-user-profile", "send-profile-created 123"]


async def test_it_waits_without_a_slot_and_starts_nothing_twice(run: Run, office: Office) -> None:
    async with run(run_workflow) as place:
        job = await place.producer.enqueue_workflow(
            "welcome", {"user_id": 7}, metadata={"correlation_id": "c-7"}
        )

        async def waits() -> bool:
            return (await place.located("workflow", job.id)).state == "blocked"

        await until(waits)
        flow = place.producer.flows.run("email", job.id)
        record = await flow.status()
        assert (record.name, record.total, record.metadata["started_by"]) == (
            *("Welcome", 1, f"workflow/{job.id}"),
        )
        async with run(*office.handlers()):
            assert (await job.result(40)).results == {"mail": True}
    assert office.seen == ["send-welcome-email 7"]
    assert office.metadata == [{"correlation_id": "c-7"}]


async def test_a_failed_step_fails_the_job_and_is_named(run: Run, office: Office) -> None:
    office.broken = True
    async with run(*office.handlers()) as place:
        job = await place.producer.enqueue_workflow(user_onboarding, User(user_id=123))
        with pytest.raises(JobFailed, match=r"step .create-user-profile. of workflow .*no room"):
            await job.result(40)
    assert len(office.alerts) == 1


async def test_one_of_a_known_id_is_not_started_again(run: Run, office: Office) -> None:
    async with run(*office.handlers()) as place:
        first = await place.producer.enqueue_workflow(user_onboarding, User(user_id=123))
        await first.result(40)
        second = await place.producer.enqueue_workflow(user_onboarding, User(user_id=124))
        assert (await second.result(40)).results == (await first.result(40)).results
    assert len(office.seen) == 3


async def test_a_cancelled_workflow_fails_its_job(run: Run) -> None:
    async with run(run_workflow) as place:
        job = await place.producer.enqueue_workflow(welcome, User(user_id=7))

        async def waits() -> bool:
            return (await place.located("workflow", job.id)).state == "blocked"

        await until(waits)
        assert await place.producer.flows.run("email", job.id).cancel()
        with pytest.raises(JobFailed, match="was cancelled"):
            await job.result(40)


async def test_a_cancelled_job_takes_its_workflow_with_it(run: Run, redis_url: str, prefix: str) -> None:
    async with run(run_workflow) as place, Admin(redis_url, prefix=prefix) as admin:
        job = await place.producer.enqueue_workflow(welcome, User(user_id=7))

        async def waits() -> bool:
            return (await place.located("workflow", job.id)).state == "blocked"

        await until(waits)
        assert [each.outcome for each in await admin.cancel("workflow", job.id)] == ["cancelled"]
        with pytest.raises(FlowCancelled):
            await place.producer.flows.run("email", job.id).result(40)

        async def gone() -> bool:
            return (await place.scripts.tally(["email"]))["email"].totals.get(
                "cancelled:send-welcome-email@1"
            ) == 1

        await until(gone)


async def test_a_job_that_found_the_workflow_there_leaves_it_alone(
    run: Run, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "_AGAIN", 600.0)
    async with run(run_workflow) as place, Admin(redis_url, prefix=prefix) as admin:
        first = await place.producer.enqueue_workflow(user_onboarding, User(user_id=123))

        async def state(job_id: str) -> str:
            return (await place.located("workflow", job_id)).state

        async def blocked() -> bool:
            return await state(first.id) == "blocked"

        await until(blocked)
        second = await place.producer.enqueue_workflow(user_onboarding, User(user_id=124))

        async def put_off() -> bool:
            return await state(second.id) == "delayed"

        await until(put_off)
        assert [each.outcome for each in await admin.cancel("workflow", second.id)] == ["cancelled"]
        assert await state(first.id) == "blocked"
        assert (
            await place.producer.flows.run("email", "user-onboarding-workflow").status()
        ).state == "running"


async def test_a_job_cancelled_while_it_starts_its_workflow_cancels_that(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = processing.submit_workflow

    async def slowly(ctx: JobContext, workflow: Workflow) -> Submitted:
        submitted = await submit(ctx, workflow)
        begun.set()
        await until(lambda: ctx.cancelled)
        return submitted

    begun = asyncio.Event()
    monkeypatch.setattr(processing, "submit_workflow", slowly)
    async with run(run_workflow) as place:
        job = await place.producer.enqueue_workflow(welcome, User(user_id=7))
        await begun.wait()
        assert await job.cancel() == "requested"
        with pytest.raises(JobCancelled):
            await job.result(40)
        assert (await place.producer.flows.run("email", job.id).status()).state == "cancelled"


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("user-onbording", {"user_id": 1}, "Did you mean user-onboarding"),
        ("user-onboarding", {"user_id": "x"}, "user_id"),
        ("user-onboarding", None, "Expected `object`, got `null`"),
    ],
)
async def test_what_cannot_be_run_fails_at_once_and_says_why(
    run: Run, name: str, given: object, told: str
) -> None:
    async with run(run_workflow) as place:
        job = await place.producer.enqueue_workflow(name, given)
        with pytest.raises(JobFailed) as failed:
            await job.result(40)
        assert (await place.producer.status("workflow", job.id)).attempts_made == 1
    assert told in str(failed.value)


async def test_an_input_that_does_not_fit_is_told_before_anything_is_sent(run: Run) -> None:
    async with run() as place:
        with pytest.raises(PayloadError, match="user_id"):
            await place.producer.enqueue_workflow(user_onboarding, User(user_id="x"))  # pyright: ignore[reportArgumentType]
        assert (await place.scripts.tally(["workflow"]))["workflow"].sizes["waiting"] == 0


def test_they_are_found_in_feature_packages() -> None:
    found = load_workflows(PACKAGES)
    assert sorted(found) == ["user-onboarding", "welcome"]
    assert find_workflow(found, "welcome").input_type is User
    assert load_workflows(None) == {}
    with pytest.raises(UnknownWorkflow, match="welcome"):
        find_workflow(found, "welcom")
    catalog = load_features(PACKAGES)
    assert {"workflow", "email", "data-processing"} <= set(catalog.queues)
    assert catalog.queues["workflow"] is WORKFLOW
    assert "send-welcome-email" in catalog.queues["email"].jobs


def test_two_of_one_name_are_refused(shop: Write) -> None:
    text = """
from jobs_producer import Workflow, workflow

@workflow("same")
def one(given: int) -> Workflow:
    return Workflow("one")
"""
    shop({"a/workflows.py": text, "b/workflows.py": text})
    with pytest.raises(DeclarationError, match="already declared"):
        load_workflows(["shop"])


def test_a_function_without_a_typed_input_is_refused() -> None:
    with pytest.raises(DeclarationError, match="takes one parameter"):
        workflow("x")(lambda given: Workflow("x"))  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(DeclarationError, match="1 to 64"):

        @workflow("not a name")
        def wrong(given: int) -> Workflow:
            return Workflow(str(given))


async def test_a_workflow_that_was_retried_completes_its_job_when_that_is(
    run: Run, office: Office, redis_url: str, prefix: str
) -> None:
    office.broken = True
    async with run(*office.handlers()) as place, Admin(redis_url, prefix=prefix) as admin:
        job = await place.producer.enqueue_workflow(user_onboarding, User(user_id=123))
        with pytest.raises(JobFailed):
            await job.result(40)
        office.broken = False
        assert await admin.retry_flow("user-onboarding-workflow") == 2
        await place.producer.flows.run("email", "user-onboarding-workflow").result(40)
        await admin.retry("workflow", job.id)
        assert (await job.result(40)).results["create-user-profile"] == {"profile": "p-123"}
    assert office.seen.count("send-welcome-email 123") == 1
