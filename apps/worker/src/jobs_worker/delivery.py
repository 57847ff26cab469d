"""One delivery of one job, and how its end is told to the server."""

from __future__ import annotations

import random
import traceback
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.backoff import Custom, Fixed
from jobs_core.codecs import Place
from jobs_core.errors import CodecError, ConfigurationError, PayloadError, PayloadTooLarge
from jobs_core.flows.successors import end_of
from jobs_core.options import QUEUES, Policy, Retention, decode_policy, encode_policy
from jobs_core.payloads import decode_any
from jobs_core.records import failure_text, job_name
from jobs_core.upcasts import upcasted
from jobs_core.wire import (
    BIG,
    EFFECTS,
    AttemptInfo,
    Envelope,
    ErrorInfo,
    FinishInfo,
    encode_finish,
    pack_history_entry,
    parse_state,
)
from jobs_worker.facts import JobFacts
from jobs_worker.following import Payload, previous_of
from jobs_worker.judging import BadPayload, Judgement, judge
from jobs_worker.outcomes import Discard, Outcome, RateLimited, Retry, Snooze, WaitForChildren
from jobs_worker.process_pool import ProcessDied
from jobs_worker.time_limits import JobTimeout, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs_core.backoff import Curve
    from jobs_core.codecs import Codecs
    from jobs_core.queue import JobType, Queue, Upcast
    from jobs_core.scripts import Claimed
    from jobs_core.wire import FlowEnd, Header, JobStateEntry
    from jobs_worker.backoffs import NamedBackoff
    from jobs_worker.children import Pages, Waited
    from jobs_worker.context import JobContext
    from jobs_worker.effects import Effect
    from jobs_worker.following import Previous
    from jobs_worker.reports import Report
    from jobs_worker.routes import Route

MESSAGE_CAP = 2000
STACK_CAP = 8000
# The queue's own retention decides, whatever the job says.
LEFT_TO_QUEUE = Retention(count=QUEUES)

_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode
_NO_ENTRY = parse_state(None)
# What stands for an envelope that was not, or cannot be, looked into: failed for good and kept.
_BLANK = Envelope(encode_policy(Policy(1, Fixed(0), 0, Retention(), Retention(), 0)), b"null")


class Delivery(msgspec.Struct, eq=False):
    """A claimed job until it is settled. `owner` is the lane's incarnation that claimed it.

    `first_ms` is when the first attempt began, for jobs whose retries have a time budget; `decoded` the payload as its handler
    takes it, where that was decoded here. `report` takes what its handler tells, `carrier` is the context of
    its span. `key` is known of jobs that are gathered by key.
    """

    id: str
    fence: int
    header: Header
    entry: JobStateEntry
    envelope: Envelope
    policy: Policy
    route: Route | None
    owner: str
    first_ms: int
    begun: bool = False
    abandoned: bool = False
    cancelling: bool = False
    checkpoint: bytes | None = None
    ctx: JobContext | None = None
    decoded: object = None
    report: Callable[[Delivery, Report], None] | None = None
    carrier: dict[str, str] | None = None
    waited_for: Waited | None = None
    pages: Pages | None = None
    key: str = ""

    @classmethod
    def of(
        cls, claimed: Claimed, header: Header, envelope: Envelope, route: Route | None, owner: str
    ) -> Delivery:
        """Make one of what a claim gave."""
        fence, state = claimed.fence, claimed.state
        return cls(
            claimed.id,
            fence,
            header,
            parse_state(state) if state else _NO_ENTRY,
            envelope,
            decode_policy(envelope.policy),
            route,
            owner,
            fence // 1000,
        )

    def __repr__(self) -> str:
        """Tell which job it is, and nothing of what it carries."""
        return f"Delivery({self.id!r}, fence={self.fence})"

    def facts(self) -> JobFacts:
        """Return what a handler may know of it."""
        header, envelope = self.header, self.envelope
        return JobFacts(
            self.id,
            cast("Route", self.route).queue.name,
            job_name(header.name),
            self.attempt,
            self.policy.attempts,
            self.fence,
            envelope.metadata or {},
            envelope.tags or (),
            header.stamp_us / 1000,
            header.due_ms,
            self.policy.deadline_ms,
            envelope.schedule[0] if envelope.schedule else "",
        )

    def previous(self, codecs: Codecs | None) -> Previous | None:
        """Return the job that it follows, None where there is none."""
        envelope = self.envelope
        if envelope.flow is None:
            return None
        place = Place(cast("Route", self.route).queue.name, self.header.name, self.id)
        return previous_of(envelope.flow, Payload(place, envelope.payload, envelope.codec), codecs)

    def waited(self) -> tuple[Waited | None, Pages | None]:
        """Return what is known of the jobs that it waited for, and what reads on."""
        return self.waited_for, self.pages

    def flow_end(self) -> FlowEnd | None:
        """Return what is told of its flow when it ended."""
        flow, route = self.envelope.flow, self.route
        return None if flow is None or route is None else end_of(flow, route.queue.name, self.id)

    def tell(self, told: Report) -> None:
        """Hand on what the handler reports."""
        if self.report is not None:
            self.report(self, told)

    def let_go(self) -> None:
        """Forget the handler's context, unless it has enqueued jobs: the two hold each other, and would wait for the collector."""
        if self.ctx is not None and self.ctx.collector is None:
            self.ctx = None

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.entry.attempts + 1

    @property
    def named_backoff(self) -> NamedBackoff | None:
        """The function of its custom backoff; None where it has another, or the worker none of that name."""
        backoff, route = self.policy.backoff, self.route
        return route.backoffs.get(backoff.name) if route is not None and isinstance(backoff, Custom) else None

    def time_limit(self) -> TimeLimit | None:
        """Begin to measure the time that this attempt has; None: it has all the time."""
        timeout_ms, deadline_ms = self.policy.timeout_ms, self.policy.deadline_ms
        if not timeout_ms and not deadline_ms:
            return None
        return TimeLimit(timeout_ms / 1000, self.deadline_in_s)

    @property
    def deadline_in_s(self) -> float | None:
        """Seconds from the claim to the job's deadline, by the server's clock; None where it has none."""
        deadline_ms = self.policy.deadline_ms
        return deadline_ms / 1000 - self.fence / 1e6 if deadline_ms else None

    @property
    def again(self) -> bool:
        """Whether the job was delivered before."""
        return self.entry is not _NO_ENTRY

    @property
    def wait_us(self) -> int:
        """How long the job was ready before it was claimed."""
        waited = self.fence - ((self.entry.ready_ms or self.header.due_ms) * 1000 or self.header.stamp_us)
        return max(0, waited)


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
        info = _finish_info(delivery, "completed", run_us, worker, written, None, codec)
        told = written if codec is None else None
    header, ctx = delivery.header, delivery.ctx
    collector = None if ctx is None else ctx.collector
    effects = follow if collector is None else collector.effects() + follow
    return Settlement(
        delivery, key, header.flags, info, run_us, delivery.wait_us, None, told, result, effects
    )


class Written(msgspec.Struct, frozen=True):
    """A result that an executor process wrote, checked against its type; `codec` as in FinishInfo."""

    data: bytes
    codec: str | None


def keeps_result(delivery: Delivery) -> bool:
    """Tell whether the result of a delivery will be kept at all, here or by a flow that follows the job."""
    key = _complete_key(delivery.header.name, delivery.envelope.policy)
    return bool(key[3] or key[2].count or delivery.header.flags & EFFECTS)


def seal_result(
    codecs: Codecs, route: tuple[Queue, JobType[object, object] | None], place: Place, result: object
) -> Written:
    """Write a result and take it through the codec of its job, or of its queue. Raises as `encode_result`, and CodecError."""
    queue, job = route
    data, text = encode_result(queue, job, result)
    codec = queue.codec if job is None else job.codec
    stored, text = codecs.seal(place, data, text or "json", codec)
    if job is not None:
        job.check_size(len(stored), "result")
    return Written(stored, text)


def open_payload(codecs: Codecs, place: Place, data: bytes, text: str) -> tuple[bytes, str]:
    """Undo what was done to a payload. Raises BadPayload where that will never be possible, else what the files raise."""
    try:
        return codecs.open(place, data, text)
    except (CodecError, ConfigurationError) as error:
        raise BadPayload(str(error)) from error


def encode_result(
    queue: Queue, job: JobType[object, object] | None, result: object
) -> tuple[bytes, str | None]:
    """Return a result as it is kept, and its codec. Raises PayloadError or PayloadTooLarge."""
    form = queue.format if job is None else job.format
    if job is not None:
        data = job.encode_result(result)
    elif form == "json":
        data = _encode_json(result)
    else:
        data = _encode_msgpack(result)
    return data, None if form == "json" else form


@lru_cache(maxsize=4096)
def _complete_key(name: str, policy: bytes) -> tuple[str, str, Retention, int]:
    """Return one and the same key for all that completes alike, so that a batch is grouped by identity."""
    decoded = decode_policy(policy)
    return ("complete", name, decoded.keep_completed, decoded.result_ttl_ms)


def decode_payload(
    job: JobType[object, object] | None, data: bytes, form: str, upcasts: Sequence[Upcast] = ()
) -> object:
    """Return the payload as its handler takes it; without a job type whatever it holds.

    `upcasts` lead from the version of the job to that of the handler. Raises BadPayload.
    """
    try:
        if upcasts:
            return upcasted(upcasts, upcasts[0].before.decode(data, form))
        return decode_any(data, form) if job is None else job.decode(data, form)
    except (PayloadError, PayloadTooLarge, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadPayload(str(error)) from error


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
    delivery: Delivery, run_us: int, *, added: int = 0, effects: tuple[Effect, ...] = ()
) -> Settlement:
    """Settle a delivery that waits for the children it added: `added` and `effects` where it ran in a process, else its context's."""
    collector = None if delivery.ctx is None else delivery.ctx.collector
    if collector is not None:
        added, effects = collector.children, collector.effects(waits=True)
    there = 0 if delivery.waited_for is None else delivery.waited_for.total
    key = ("wait", delivery.header.name, delivery.policy.keep_failed, 0)
    return Settlement(delivery, key, there + added, b"", run_us, delivery.wait_us, effects=effects)


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


def describe(error: BaseException) -> ErrorInfo:
    """Return type, message and stack of an error, each capped."""
    stack = (
        ""
        if isinstance(error, Outcome) and not isinstance(error, Retry)
        else _clean("".join(traceback.format_exception(error)))
    )
    return ErrorInfo(type=_kind(error), message=_told(error)[:MESSAGE_CAP], stack=stack[-STACK_CAP:])


def _kind(error: BaseException) -> str:
    match error:
        case Outcome():
            return ""
        case BadPayload():
            return "payload"
        case JobTimeout():
            return "timeout"
        case ProcessDied():
            return "crash"
        case _:
            return type(error).__name__


def _told(error: BaseException) -> str:
    try:
        return _clean(str(error) or repr(error))
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"(its text cannot be shown: {type(broken).__name__})"


def _clean(text: str) -> str:
    """Make text storable: names of files may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


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
