"""Jobs that follow the failure of another: made when that one is enqueued, kept with it, sent by the script that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobs_core.drafts import derived_id, make_draft
from jobs_core.errors import OptionError
from jobs_core.options import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_core.codecs import Codecs
    from jobs_core.flows.calls import Call
    from jobs_core.options import DefaultJobOptions, MetaValue
    from jobs_core.queue import Queue
    from jobs_core.wire import Draft

MAX_BYTES = 128 * 1024


class Made(NamedTuple):
    """New jobs by queue, and these queues."""

    drafts: dict[str, list[Draft]]
    queues: list[Queue]


def drafts_of(
    calls: Sequence[Call],
    origin: tuple[str, str],
    service: DefaultJobOptions | None,
    metadata: Mapping[str, MetaValue] | None,
    codecs: Codecs | None,
) -> Made:
    """Return the jobs that are to follow the failure of one, which `origin` names by queue and id.

    Raises PayloadError, PayloadTooLarge, CodecError or OptionError.
    """
    drafts: dict[str, list[Draft]] = {}
    queues: dict[str, Queue] = {}
    size = 0
    for number, call in enumerate(calls):
        resolved = resolve(call.job, call.options, service)
        if call.steps or resolved.is_bound:
            raise OptionError(
                f"on_failure[{number}]",
                call.job.name,
                "a job that follows a failure cannot be followed itself; use a workflow",
            )
        own = resolved.job_id or derived_id(*origin, 0, number)
        draft = make_draft(call.job, call.payload, resolved, job_id=own, metadata=metadata, codecs=codecs)
        size += len(draft.body)
        if size > MAX_BYTES:
            reason = f"the jobs that follow a failure may have {MAX_BYTES >> 10} KiB together; give them a reference"
            raise OptionError("on_failure", len(calls), reason)
        drafts.setdefault(call.job.queue.name, []).append(draft)
        queues[call.job.queue.name] = call.job.queue
    return Made(drafts, list(queues.values()))
