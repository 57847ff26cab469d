"""Declare the queue that runs workflows."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from jobs_core.payloads import JsonValue
from jobs_core.queue import MEDIUM, Queue

WORKFLOW = Queue("workflow", profile=MEDIUM, concurrency=5)


class RunWorkflow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Run a workflow that code declares by its name; the input must fit what it takes."""

    workflow: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    input: JsonValue = None


class WorkflowResult(Struct, frozen=True, kw_only=True):
    """The workflow that ran: its id, the queue that keeps it, and the result of each step that has one, by the name of the step.

    `results` is empty, and `truncated` set, where they have more than 512 KiB together: read those of the single steps then.
    """

    workflow: str
    id: str
    queue: str
    jobs: int
    results: Mapping[str, JsonValue]
    truncated: bool = False


RUN_WORKFLOW = WORKFLOW.job("run", payload=RunWorkflow, result=WorkflowResult)
