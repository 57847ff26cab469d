"""How a delivery ended, as the server is told of it."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.backoff import Fixed
from jobs_core.policies import QUEUES, Policy, Retention, decode_policy, encode_policy
from jobs_core.records import failure_text
from jobs_core.wire import (
    BIG,
    EFFECTS,
    AttemptInfo,
    Envelope,
    ErrorInfo,
    FinishInfo,
    encode_finish,
    pack_history_entry,
)
from jobs_worker.delivery import Delivery
from jobs_worker.failures import MESSAGE_CAP, describe
from jobs_worker.judging import Judgement, judge
from jobs_worker.outcomes import Discard, RateLimited, Snooze, WaitForChildren
from jobs_worker.values import Written, encode_result

if TYPE_CHECKING:
    from jobs_core.backoff import Curve
    from jobs_core.scripts import Claimed
    from jobs_core.wire import Header
    from jobs_worker.effects import Effect
    from jobs_worker.routes import Route

# The queue's own retention decides, whatever the job says.
LEFT_TO_QUEUE = Retention(count=QUEUES)

# What stands for an envelope that was not, or cannot be, looked into: failed for good and kept.
_BLANK = Envelope(encode_policy(Policy(1, Fixed(0), 0, Retention(), Retention(), 0)), b"null")


class Settlement(msgspec.Struct, eq=False):
    """What the server is told of a delivery; settlements alike in `key` travel as one group.

    `key` is (verb, name@version, retention, result ttl in ms), `arg` flags or a delay in ms. `value` is what the handler
    returned, `result` how it is kept, where it is.
    """

    delivery: Delivery
    key: tuple[str, str, Retention, int]
    arg: int
    info: bytes
    run_us: int
    wait_us: int
    error: ErrorInfo | None = None
    result: bytes | None = None
    value: object = None
    effects: tuple[Effect, ...] = ()

    def __repr__(self) -> str:
        """Tell how which delivery ended."""
        return f"Settlement({self.key[0]!r}, {self.delivery!r})"

    @property
    def verb(self) -> str:
        """complete, fail, cancel, retry, snooze, limit, wait, release or unroutable."""
        return self.key[0]

    @property
    def size(self) -> int:
        """About how many bytes the server handles for it: the record, and of one that fails for good all of it, which it sends on."""
        size = len(self.info)
        if self.effects:
            size += sum(len(effect.content) for effect in self.effects)
        payload = len(self.delivery.envelope.payload)
        # One that lies apart is not read, but freed; that takes a fraction of the time.
        return size + (
            payload // 64 if self.delivery.header.flags & BIG and self.key[0] != "fail" else payload
        )

    @property
    def tells(self) -> bool:
        """Whether there may be more to tell of those with this key than when they ran: a result, or an error."""
        verb, _, keep, ttl = self.key
        return verb in {"fail", "retry", "cancel"} or (verb == "complete" and bool(ttl or keep.count))


def completed(
    delivery: Delivery,
    result: object,
    run_us: int,
    worker: str,
    *,
    stored: Written | None = None,
    follow: tuple[Effect, ...] = (),
) -> Settlement:
    """Settle a delivery whose handler returned; `stored` is the result if it was written before, `follow` what it starts.

    Raises PayloadError or PayloadTooLarge for a result that does not fit its type.
    """
    key = _complete_key(delivery.header.name, delivery.envelope.policy)
    info, told = b"", None
    if key[3] or key[2].count or delivery.header.flags & EFFECTS:
        if isinstance(result, Written):
            written, codec = result.data, result.codec
        elif stored is not None:
            written, codec = stored.data, stored.codec
        else:
            route = cast("Route", delivery.route)
            written, codec = encode_result(route.queue, route.job, result)
        told = written if codec is None else None
        if told == b"null" and not (key[3] or key[2].count) and _declares_none(delivery):
            # Only a flow would keep it, and of a million jobs without a result a million times.
            written = None
        info = _finish_info(delivery, "completed", run_us, worker, written, None, codec)
    header, ctx = delivery.header, delivery.ctx
    collector = None if ctx is None else ctx.collector
    effects = follow if collector is None else collector.effects() + follow
    return Settlement(
        delivery, key, header.flags, info, run_us, delivery.wait_us, None, told, result, effects
    )


def keeps_result(delivery: Delivery) -> bool:
    """Tell whether the result of a delivery will be kept at all, here or by a flow that follows the job."""
    key = _complete_key(delivery.header.name, delivery.envelope.policy)
    return bool(key[3] or key[2].count or delivery.header.flags & EFFECTS)


@lru_cache(maxsize=4096)
def _complete_key(name: str, policy: bytes) -> tuple[str, str, Retention, int]:
    """Return one and the same key for all that completes alike, so that a batch is grouped by identity."""
    decoded = decode_policy(policy)
    return ("complete", name, decoded.keep_completed, decoded.result_ttl_ms)


def _declares_none(delivery: Delivery) -> bool:
    """Tell whether the job of a delivery is one without a result."""
    job = cast("Route", delivery.route).job
    return job is not None and not job.declares_result


def ended_with(delivery: Delivery, error: BaseException, run_us: int, worker: str) -> Settlement:
    """Settle a delivery whose handler raised: as it asked, else retry where the budget allows, else fail for good."""
    if isinstance(error, Discard) or delivery.cancelling:
        told = describe(error) if isinstance(error, Discard) else None
        return cancelled(delivery, run_us, worker, told)
    if isinstance(error, WaitForChildren):
        return waiting(delivery, run_us)
    if isinstance(error, (Snooze, RateLimited)):
        scope = error.scope if isinstance(error, RateLimited) else None
        return set_aside(delivery, error.after_ms, run_us, scope=scope)
    route = cast("Route", delivery.route)
    judged = judge(
        error, delivery.policy, route.rules, delivery.named_backoff, delivery.attempt, delivery.decoded
    )
    return failed_or_retried(delivery, describe(error), run_us, worker, judged)


def set_aside(delivery: Delivery, after_ms: int, run_us: int, *, scope: str | None = None) -> Settlement:
    """Settle a delivery that is no attempt and runs again later; `scope` is that of a limit, None a snooze."""
    verb, info = ("snooze", b"") if scope is None else ("limit", scope.encode())
    key = (verb, delivery.header.name, delivery.policy.keep_failed, 0)
    return Settlement(delivery, key, after_ms, info, run_us, delivery.wait_us)


def waiting(
    delivery: Delivery, run_us: int, *, added: int = 0, owned: bytes = b"", effects: tuple[Effect, ...] = ()
) -> Settlement:
    """Settle a delivery that waits for the children it added: `added`, `owned` and `effects` where it ran in a process, else its context's."""
    collector = None if delivery.ctx is None else delivery.ctx.collector
    if collector is not None:
        added, owned, effects = collector.children, collector.owned(), collector.effects(waits=True)
    waited = delivery.waited_for
    there = 0 if waited is None else waited.total - waited.before
    key = ("wait", delivery.header.name, delivery.policy.keep_failed, 0)
    return Settlement(delivery, key, there + added, owned, run_us, delivery.wait_us, effects=effects)


def cancelled(delivery: Delivery, run_us: int, worker: str, error: ErrorInfo | None = None) -> Settlement:
    """Settle a delivery that somebody asked to stop, or whose handler discarded it (`error` says why)."""
    info = _finish_info(delivery, "cancelled", run_us, worker, None, error)
    key = ("cancel", delivery.header.name, LEFT_TO_QUEUE, delivery.policy.result_ttl_ms)
    return Settlement(delivery, key, delivery.header.flags, info, run_us, delivery.wait_us, error)


def failed_or_retried(
    delivery: Delivery,
    error: ErrorInfo,
    run_us: int,
    worker: str,
    judged: Judgement,
) -> Settlement:
    """Settle a failed attempt as it was judged, and as the time allows that the job has."""
    policy = delivery.policy
    if judged.note:
        error = _noted(error, judged.note)
    elif not judged.final and delivery.attempt < policy.attempts:
        delay = judged.after_ms
        if delay is None:
            # A custom backoff was asked when the error was judged.
            delay = cast("Curve", policy.backoff).delay_ms(delivery.attempt, random.random)
        error, late = _in_time(delivery, error, run_us, delay)
        if late:
            return _failed(delivery, error, run_us, worker)
        entry = AttemptInfo(
            delivery.attempt,
            delivery.fence // 1000,
            run_us,
            worker,
            error,
            delivery.wait_us,
            delivery.first_ms if policy.retry_for_ms else 0,
        )
        return Settlement(
            delivery,
            ("retry", delivery.header.name, policy.keep_failed, 0),
            delay,
            pack_history_entry(entry),
            run_us,
            delivery.wait_us,
            error,
        )
    return _failed(delivery, error, run_us, worker)


def _in_time(delivery: Delivery, error: ErrorInfo, run_us: int, delay_ms: int) -> tuple[ErrorInfo, bool]:
    """Tell whether a retry would come too late, and return the error with what that means."""
    policy = delivery.policy
    next_ms = delivery.fence // 1000 + run_us // 1000 + delay_ms
    if policy.deadline_ms and next_ms >= policy.deadline_ms:
        message = (
            f"the next attempt would start after the deadline; this one ended with {failure_text(error)}"
        )
        return ErrorInfo("deadline", message[:MESSAGE_CAP], error.stack), True
    if policy.retry_for_ms and next_ms > delivery.first_ms + policy.retry_for_ms:
        return _noted(
            error, f"the next attempt would start over {policy.retry_for_ms / 1000:g} s after the first"
        ), True
    return error, False


def _noted(error: ErrorInfo, note: str) -> ErrorInfo:
    return ErrorInfo(error.type, f"{error.message} (no retry: {note})"[:MESSAGE_CAP], error.stack)


def overdue(delivery: Delivery, worker: str) -> Settlement:
    """Fail a job for good whose deadline passed before this attempt began."""
    error = ErrorInfo("deadline", "its deadline passed before it could start")
    return _failed(delivery, error, 0, worker, attempts_made=delivery.entry.attempts)


def _failed(
    delivery: Delivery, error: ErrorInfo, run_us: int, worker: str, *, attempts_made: int | None = None
) -> Settlement:
    policy = delivery.policy
    info = _finish_info(delivery, "failed", run_us, worker, None, error, attempts_made=attempts_made)
    # What failed for good is told for as long as a result would be, also where the job itself is removed.
    ttl = 0 if policy.keep_failed.count else policy.result_ttl_ms
    return Settlement(
        delivery,
        ("fail", delivery.header.name, policy.keep_failed, ttl),
        delivery.header.flags,
        info,
        run_us,
        delivery.wait_us,
        error,
    )


def refused(settlement: Settlement, worker: str) -> Settlement:
    """Fail a job for good whose end the server does not take: that it does take, and it says so."""
    ends = {
        "complete": "it completed",
        "fail": "it failed",
        "cancel": "it was cancelled",
        "retry": "it failed",
    }
    told = ends.get(settlement.verb, f"it was to end with {settlement.verb}")
    why = "" if settlement.error is None else f" with {failure_text(settlement.error)}"
    message = f"{told}{why}, and the server refused to take that: see the worker's log, `settlement_refused`"
    return _failed(
        settlement.delivery, ErrorInfo("refused", message[:MESSAGE_CAP]), settlement.run_us, worker
    )


def unopened(claimed: Claimed, header: Header, owner: str) -> Delivery:
    """Make a delivery of a job that is settled without a look into its envelope."""
    return Delivery.of(claimed, header, _BLANK, None, owner)


def unreadable(delivery: Delivery, error: Exception, worker: str) -> Settlement:
    """Fail a job for good whose envelope is none."""
    message = f"the record of this job cannot be read: {error}"
    return failed_or_retried(delivery, ErrorInfo("payload", message), 0, worker, Judgement(final=True))


def released(delivery: Delivery) -> Settlement:
    """Give a delivery back unstarted; that is free."""
    return Settlement(
        delivery, ("release", delivery.header.name, delivery.policy.keep_failed, 0), 0, b"", 0, 0
    )


def unroutable(delivery: Delivery) -> Settlement:
    """Park a delivery that no handler here can run."""
    return Settlement(
        delivery, ("unroutable", delivery.header.name, delivery.policy.keep_failed, 0), 0, b"", 0, 0
    )


def _finish_info(  # noqa: PLR0917 - one for each job, so by position
    delivery: Delivery,
    state: str,
    run_us: int,
    worker: str,
    result: bytes | None,
    error: ErrorInfo | None,
    codec: str | None = None,
    attempts_made: int | None = None,
) -> bytes:
    header, entry = delivery.header, delivery.entry
    return encode_finish(
        FinishInfo(
            state=state,
            name=header.name,
            priority=header.priority,
            created_ms=header.stamp_us // 1000,
            run_at_ms=entry.ready_ms or header.due_ms,
            started_ms=delivery.fence // 1000,
            wait_us=delivery.wait_us,
            run_us=run_us,
            attempts_made=delivery.attempt if attempts_made is None else attempts_made,
            attempts=delivery.policy.attempts,
            stalled=entry.crashes,
            releases=entry.releases,
            worker=worker,
            result=result,
            error=error,
            metadata=delivery.envelope.metadata,
            tags=delivery.envelope.tags,
            codec=codec,
            flow=delivery.flow_end(),
        )
    )
