"""Every error that the packages raise.

- JobsError
    - ConfigurationError (a program exits with code 2)
        - SettingsError: an environment variable has a wrong value
        - DeclarationError: a queue, job or processor is declared wrongly
        - ServerRefused: the server is too old, or would evict jobs
        - NotPermitted: the server's ACL does not let this user do what is needed
        - TlsFailed: a certificate is not accepted, by this program or by the server, or cannot be read
    - PayloadError: a payload or result does not fit its declared type
    - PayloadTooLarge: a payload or result is over the size cap
    - CodecError: what is stored of a payload or result cannot be read
        - KeyUnknown: it is encrypted with a key that is not there
        - PayloadTampered: it was changed, or was made for something else
        - PayloadMissing: the file that it was kept in is gone
    - OptionError: an option has a wrong value or an unknown name
        - ChainMismatch: the result of a link is not what the next one takes
    - UnknownQueue: no code declares the queue
    - UnknownJob: no code declares the job
    - ConnectionFailed: the server could not be reached, nothing was applied
    - OutcomeUnknown: the connection broke on the way, the call may have been applied
    - Overloaded: the producer's buffer is full
    - QueueFull: the queue holds as many jobs as its max_depth allows
    - DuplicateJob: a job with the same unique key is there, and on_conflict is error
    - JobNotFound: no job has the id
    - ScheduleNotFound: no schedule has the id
    - WorkerNotFound: no worker of the id listens
    - WorkerSilent: a worker did not answer a command
    - ScheduleEnded: the schedule fires no more
    - WrongState: the job is not in a state that allows the call
    - ResultError: a job has no result to give
        - JobFailed, JobCancelled, JobExpired: it ended in another way
        - ChainFailed: a link of its chain ended in another way
        - ResultExpired, ResultNotKept: it is not kept, or no longer
        - ResultTimeout: it has not ended in the time given (also a TimeoutError)
    - FlowError: a flow cannot be submitted as it is
    - FlowNotFound: no flow has the id
    - FlowClosed: nothing can be added to the flow any more
    - FlowRolledBack: the server lost jobs that were added to the flow
    - FlowNotFailed: only a flow that failed can be retried
    - FlowFailed, FlowCancelled: a flow ended in another way than completed
    - FlowTimeout: a flow has not ended in the time given (also a TimeoutError)
    - DependencyUnknown: a job is to wait for one that nothing is known of
    - LeaseLost: the job was taken from this worker
    - OwnerGone: the server holds this worker child for dead
    - SchemaMismatch: the data was written by another major version
    - ServerError: any other error reply
        - ServerFull: memory, disk or replicas do not allow writes
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "ChainFailed",
    "ChainMismatch",
    "CodecError",
    "ConfigurationError",
    "ConnectionFailed",
    "DeclarationError",
    "DependencyUnknown",
    "DuplicateJob",
    "FlowCancelled",
    "FlowClosed",
    "FlowError",
    "FlowFailed",
    "FlowNotFailed",
    "FlowNotFound",
    "FlowRolledBack",
    "FlowTimeout",
    "JobCancelled",
    "JobExpired",
    "JobFailed",
    "JobNotFound",
    "JobsError",
    "KeyUnknown",
    "LeaseLost",
    "NotPermitted",
    "OptionError",
    "OutcomeUnknown",
    "Overloaded",
    "OwnerGone",
    "PayloadError",
    "PayloadMissing",
    "PayloadTampered",
    "PayloadTooLarge",
    "QueueFull",
    "ResultError",
    "ResultExpired",
    "ResultNotKept",
    "ResultTimeout",
    "ScheduleEnded",
    "ScheduleNotFound",
    "SchemaMismatch",
    "ServerError",
    "ServerFull",
    "ServerRefused",
    "SettingsError",
    "TlsFailed",
    "UnknownJob",
    "UnknownQueue",
    "WorkerNotFound",
    "WorkerSilent",
    "WrongState",
]

_SHOWN = 120


def _shown(value: object) -> str:
    """Render a value for a message, bounded, since it may be a whole payload."""
    text = value.isoformat() if isinstance(value, datetime) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _hint(nearest: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""


class JobsError(Exception):
    """Anything that the packages raise on purpose.

    `code` is stable, for programs. Every error can be pickled, because handlers run in other processes.
    """

    code: ClassVar[str] = "jobs_error"

    @property
    def message(self) -> str:
        """Return what happened and what to do, in words."""
        return str(self)

    def __reduce__(self) -> tuple[Callable[..., JobsError], tuple[object, ...]]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[JobsError], args: tuple[object, ...], fields: dict[str, object]) -> JobsError:
    """Build an error again without calling its constructor, whose arguments are the fields and not `args`."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class ConfigurationError(JobsError):
    """The program cannot run as it is set up. Programs exit with `exit_code`."""

    code = "configuration_error"
    exit_code: ClassVar[int] = 2


class SettingsError(ConfigurationError):
    """An environment variable has a value that is not allowed.

    `value` is what to show: whoever raises the error masks secrets before.
    """

    code = "settings_error"

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        self.variable = variable
        self.value = value
        self.allowed = allowed
        super().__init__(f"{variable}={_shown(value)} is not allowed. Set it to {allowed}, or unset it.")


class DeclarationError(ConfigurationError):
    """A queue, job, processor or feature package is declared wrongly. `file` is `path:line` where known."""

    code = "declaration_error"

    def __init__(self, file: str, reason: str) -> None:
        self.file = file
        self.reason = reason
        super().__init__(f"{file}: {reason}")


class ServerRefused(ConfigurationError):
    """The server is one that jobs must not be trusted to."""

    code = "server_refused"

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"Will not use this server: {reason}. {remedy}")


class NotPermitted(ConfigurationError):
    """The server's ACL does not let this user do what is needed."""

    code = "not_permitted"

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"Not permitted by the server: {reason}. {remedy}")


class TlsFailed(ConfigurationError):
    """No connection by TLS: a certificate is not accepted, by this program or by the server, or cannot be read."""

    code = "tls_failed"

    def __init__(self, address: str, reason: str, remedy: str) -> None:
        self.address = address
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"No connection to {address} by TLS: {reason}. {remedy}")


class PayloadError(JobsError):
    """A payload or a result does not fit its declared type. `path` is a JSON path such as `$.to`."""

    code = "payload_error"

    def __init__(self, queue: str, job: str, path: str, reason: str, *, what: str = "payload") -> None:
        self.queue = queue
        self.job = job
        self.path = path
        self.reason = reason
        self.what = what
        super().__init__(
            f"The {what} of job {job!r} in queue {queue!r} does not fit its type at {path}: {reason}. "
            f"Mend the value, or the declared type."
        )


class PayloadTooLarge(JobsError):
    """A payload or a result is over the size cap. `size` and `limit` are bytes of the encoded form."""

    code = "payload_too_large"

    def __init__(self, queue: str, job: str, size: int, limit: int, *, what: str = "payload") -> None:
        self.queue = queue
        self.job = job
        self.size = size
        self.limit = limit
        self.what = what
        super().__init__(
            f"The {what} of job {job!r} in queue {queue!r} has {size:,} bytes, the limit is {limit:,}. "
            f"Store the data elsewhere and pass a reference to it."
        )


class CodecError(JobsError):
    """A payload or result cannot be stored, or what is stored of it not be read. `what` is payload or result."""

    code = "codec_error"

    def __init__(
        self,
        queue: str,
        job: str,
        reason: str,
        *,
        what: str = "payload",
        remedy: str = "Let it be read by the version that wrote it",
    ) -> None:
        self.queue = queue
        self.job = job
        self.reason = reason
        self.what = what
        self.remedy = remedy
        super().__init__(
            f"The {what} of job {job!r} in queue {queue!r} cannot be stored or read: {reason}. {remedy}."
        )


class KeyUnknown(CodecError):
    """It is encrypted with a key that is not among those of this process."""

    code = "key_unknown"

    def __init__(self, queue: str, job: str, key_id: str, *, what: str = "payload") -> None:
        self.key_id = key_id
        super().__init__(
            queue,
            job,
            f"it is encrypted with key {key_id!r}, which is not among those of JOBS_KEYS",
            what=what,
            remedy="Add the key, at any place but the first, and retry the job",
        )


class PayloadTampered(CodecError):
    """It was changed since it was written, or was written for another queue or job."""

    code = "payload_tampered"

    def __init__(self, queue: str, job: str, reason: str, *, what: str = "payload") -> None:
        super().__init__(
            queue,
            job,
            reason,
            what=what,
            remedy="Enqueue it anew; find out who else writes to the server or the files",
        )


class PayloadMissing(CodecError):
    """The file that it was kept in is gone. `path` lies under FILES_URL."""

    code = "payload_missing"

    def __init__(self, queue: str, job: str, path: str, *, what: str = "payload") -> None:
        self.path = path
        super().__init__(
            queue,
            job,
            f"there is no file {path} under FILES_URL",
            what=what,
            remedy="Let FILES_URL be the same for producers and workers, or put the file back, and retry the job",
        )


class OptionError(JobsError):
    """An option has a value that is not allowed, or a name that does not exist."""

    code = "option_error"

    def __init__(self, option: str, value: object, reason: str) -> None:
        self.option = option
        self.value = value
        self.reason = reason
        super().__init__(f"Option {option}={_shown(value)}: {reason}{'' if reason.endswith('?') else '.'}")


class ChainMismatch(OptionError):
    """The result of a job is not what the next one of the chain takes."""

    code = "chain_mismatch"

    def __init__(self, job: str, result: str, follower: str, payload: str) -> None:
        self.job = job
        self.follower = follower
        self.result = result
        self.payload = payload
        super().__init__(
            "then",
            follower,
            f"{job} returns {result}, and {follower} takes {payload}. Change one of them, or put a job between the two",
        )


class UnknownQueue(JobsError):
    """No code declares the queue. `nearest` are declared names that look alike."""

    code = "unknown_queue"

    def __init__(self, queue: str, nearest: Sequence[str] = ()) -> None:
        self.queue = queue
        self.nearest = list(nearest)
        super().__init__(
            f"No code declares queue {queue!r}. {_hint(self.nearest)}"
            f"Declare it in a feature folder, or name its package in JOBS_FEATURES."
        )


class UnknownJob(JobsError):
    """No code declares the job in this queue. `nearest` are declared names that look alike."""

    code = "unknown_job"

    def __init__(self, queue: str, job: str, nearest: Sequence[str] = ()) -> None:
        self.queue = queue
        self.job = job
        self.nearest = list(nearest)
        super().__init__(
            f"No code declares job {job!r} in queue {queue!r}. {_hint(self.nearest)}"
            f"Declare it with Queue.job() beside the queue."
        )


class ConnectionFailed(JobsError):
    """The server could not be reached; nothing was applied. `address` never holds a password."""

    code = "connection_failed"

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(
            f"Cannot reach the server at {address}: {reason}. Nothing was applied. "
            f"Check that it runs and that REDIS_URL is right, then call again."
        )


class OutcomeUnknown(JobsError):
    """The connection broke after the call was sent, so it may have been applied or not.

    `submission` is what `producer.resubmit(error)` sends again; it applies once however often it arrives.
    """

    code = "outcome_unknown"

    def __init__(self, job_id: str, queue: str = "", reason: str = "", *, submission: object = None) -> None:
        self.job_id = job_id
        self.queue = queue
        self.reason = reason
        self.submission = submission
        where = f" of queue {queue!r}" if queue else ""
        why = f": {reason}" if reason else ""
        super().__init__(
            f"The connection was lost before the answer for job {job_id!r}{where} came{why}. "
            f"It may have been applied. Call producer.resubmit(error) within 1 h: it applies once."
        )


class Overloaded(JobsError):
    """The producer's buffer stayed full for the whole timeout; the job was not enqueued."""

    code = "overloaded"

    def __init__(self, queue: str, waiting: int) -> None:
        self.queue = queue
        self.waiting = waiting
        super().__init__(
            f"The producer holds {waiting:,} unsent jobs, so one for queue {queue!r} was not taken. "
            f"Enqueue fewer at once, use enqueue_many, or raise enqueue_timeout."
        )


class QueueFull(JobsError):
    """The queue holds as many jobs that have not run yet as its `max_depth` allows; the job was not added."""

    code = "queue_full"

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(
            f"Queue {queue!r} is full: as many jobs as its max_depth allows have not run yet. Nothing was "
            f"added; enqueue again later, or wait for room with when_full='wait'."
        )


class DuplicateJob(JobsError):
    """A job with the same unique key is there, and `on_conflict` is `error`; the new one was not added.

    `job_id` is the job that is there.
    """

    code = "duplicate_job"

    def __init__(self, queue: str, job_id: str) -> None:
        self.queue = queue
        self.job_id = job_id
        super().__init__(
            f"Job {job_id!r} of queue {queue!r} has the same unique key. Nothing was added; await that job, or "
            f"enqueue again when it let go of its key."
        )


class JobNotFound(JobsError):
    """No job with this id is kept in the queue."""

    code = "job_not_found"

    def __init__(self, queue: str, job_id: str) -> None:
        self.queue = queue
        self.job_id = job_id
        super().__init__(
            f"Queue {queue!r} has no job {job_id!r}. It never existed or was removed; "
            f"keep finished jobs with remove_on_complete=False or result_ttl."
        )


class WorkerNotFound(JobsError):
    """No worker of this id listens."""

    code = "worker_not_found"

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(
            f"No worker {worker!r} listens: it ended, or has another id; `jobs workers list` shows those that run."
        )


class WorkerSilent(JobsError):
    """A worker heard a command and did not answer in time; it may have done it all the same."""

    code = "worker_silent"

    def __init__(self, worker: str, within: float) -> None:
        self.worker = worker
        self.within = within
        super().__init__(
            f"Worker {worker!r} did not answer within {within:g} s. It may do what it was told all the same; look again."
        )


class ScheduleNotFound(JobsError):
    """No schedule of the queue has this id."""

    code = "schedule_not_found"

    def __init__(self, queue: str, schedule_id: str) -> None:
        self.queue = queue
        self.schedule_id = schedule_id
        super().__init__(
            f"Queue {queue!r} has no schedule {schedule_id!r}. It never existed or was removed; "
            f"look at those that there are with `jobs schedules list`."
        )


class ScheduleEnded(JobsError):
    """The schedule has sent its last job, so there is nothing to pause."""

    code = "schedule_ended"

    def __init__(self, queue: str, schedule_id: str) -> None:
        self.queue = queue
        self.schedule_id = schedule_id
        super().__init__(
            f"Schedule {schedule_id!r} of queue {queue!r} has ended: its limit, its end or its last time is past. "
            f"Give it other times with upsert to begin again, or trigger it by hand."
        )


class FlowError(JobsError):
    """A flow cannot be submitted as it is; nothing was sent."""

    code = "flow_error"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The flow is wrong: {reason}. Nothing was sent.")


class FlowNotFound(JobsError):
    """No flow with this id is kept in the queue, or in any ("")."""

    code = "flow_not_found"

    def __init__(self, queue: str, flow_id: str) -> None:
        self.queue = queue
        self.flow_id = flow_id
        super().__init__(
            f"{f'Queue {queue!r} keeps no' if queue else 'No queue keeps a'} flow {flow_id!r}. It never existed, or ended over a "
            f"week or 10,000 flows ago."
        )


class FlowNotFailed(JobsError):
    """Only a flow that failed can be retried, and this one did not, or was left open and is lost."""

    code = "flow_not_failed"

    def __init__(self, queue: str, flow_id: str, state: str) -> None:
        self.queue = queue
        self.flow_id = flow_id
        self.state = state
        reason = "was left open, so what it lacks is not known" if state == "abandoned" else f"is {state}"
        super().__init__(
            f"Flow {flow_id!r} of queue {queue!r} {reason}: only one that failed can be retried. Look at `jobs flow show {flow_id}`."
        )


class FlowClosed(JobsError):
    """Nothing can be added to a flow any more: it is closed, has ended, or is not known."""

    code = "flow_closed"

    def __init__(self, queue: str, flow_id: str) -> None:
        self.queue = queue
        self.flow_id = flow_id
        super().__init__(
            f"Nothing can be added to flow {flow_id!r} of queue {queue!r}: it is closed, was cancelled, was left open for longer "
            f"than its open_timeout, or is not known. Nothing was added."
        )


class FlowRolledBack(JobsError):
    """A flow that is filled has fewer jobs than were added: the server lost what it had answered."""

    code = "flow_rolled_back"

    def __init__(self, queue: str, flow_id: str) -> None:
        self.queue = queue
        self.flow_id = flow_id
        super().__init__(
            f"Flow {flow_id!r} of queue {queue!r} has fewer jobs than were added to it: the server lost what it had answered, or forgot "
            f"the flow. Fill it again from its first job, by its id: what is there is not added twice. It was not closed."
        )


class DependencyUnknown(JobsError):
    """A job is to wait for one that nothing is known of; it was not added."""

    code = "dependency_unknown"

    def __init__(self, queue: str, job_id: str) -> None:
        self.queue = queue
        self.job_id = job_id
        super().__init__(
            f"Nothing is known of job {job_id!r} of queue {queue!r}, which the new job is to wait for: it never existed, or it ended "
            f"and its result is gone. Nothing was added; give that job a longer result_ttl, or leave it out of after."
        )


class WrongState(JobsError):
    """The job is not in a state that allows the call. `expected` are the states that do."""

    code = "wrong_state"

    def __init__(self, queue: str, job_id: str, state: str, expected: str | Sequence[str]) -> None:
        self.queue = queue
        self.job_id = job_id
        self.state = str(state)
        self.expected = [expected] if isinstance(expected, str) else [str(one) for one in expected]
        super().__init__(
            f"Job {job_id!r} of queue {queue!r} is {self.state}, this needs it to be "
            f"{' or '.join(self.expected)}. Nothing was changed; look at the job again."
        )


class ResultError(JobsError):
    """The job has no result to give."""

    code = "result_error"

    def __init__(self, queue: str, job_id: str, message: str = "has no result. Look at its state") -> None:
        self.queue = queue
        self.job_id = job_id
        super().__init__(f"Job {job_id!r} of queue {queue!r} {message}.")


class JobFailed(ResultError):
    """The job failed for good."""

    code = "job_failed"

    def __init__(self, queue: str, job_id: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            queue,
            job_id,
            f"failed for good: {reason or 'no reason given'}. Mend the cause, then retry the job",
        )


class FlowFailed(JobsError):
    """A flow ended without completing. `label`, `queue` and `job_id` name its first job that did not complete ("": none is known)."""

    code = "flow_failed"

    def __init__(self, flow_id: str, label: str, queue: str, job_id: str, reason: str) -> None:
        self.flow_id = flow_id
        self.label = label
        self.queue = queue
        self.job_id = job_id
        self.reason = reason
        which = f" at {label!r} (job {job_id!r} of queue {queue!r})" if job_id else ""
        super().__init__(f"Flow {flow_id!r} failed{which}: {reason.removesuffix('.')}.")


class FlowCancelled(JobsError):
    """A flow was cancelled before all its jobs had ended."""

    code = "flow_cancelled"

    def __init__(self, queue: str, flow_id: str) -> None:
        self.queue = queue
        self.flow_id = flow_id
        super().__init__(f"Flow {flow_id!r} of queue {queue!r} was cancelled.")


class FlowTimeout(JobsError, TimeoutError):
    """A flow has not ended in the time given; it goes on."""

    code = "flow_timeout"

    def __init__(self, queue: str, flow_id: str, timeout: float) -> None:
        self.queue = queue
        self.flow_id = flow_id
        self.timeout = timeout
        super().__init__(
            f"Flow {flow_id!r} of queue {queue!r} has not ended within {timeout:g} s. It goes on."
        )


class JobCancelled(ResultError):
    """The job was cancelled."""

    code = "job_cancelled"

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(queue, job_id, "was cancelled. Enqueue it again if it is still wanted")


class JobExpired(ResultError):
    """The job was not started before its time ran out."""

    code = "job_expired"

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(
            queue,
            job_id,
            "expired before it could start. Run more workers, or give it more time with expires_in",
        )


class ChainFailed(ResultError):
    """A link of a chain did not complete, so none after it runs: `failure` says how it ended.

    `position` counts from 1, of `length`; `queue`, `name` and `job_id` are those of the link.
    """

    code = "chain_failed"

    def __init__(self, name: str, failure: ResultError, *, position: int, length: int) -> None:
        self.name = name
        self.position = position
        self.length = length
        self.failure = failure
        super().__init__(
            failure.queue,
            failure.job_id,
            f"({name!r}, link {position} of {length} of its chain) gave no result, and none after it runs: {str(failure).removesuffix('.')}",
        )


class ResultExpired(ResultError):
    """The job completed, but its result is no longer kept."""

    code = "result_expired"

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(
            queue, job_id, "completed, but its result is no longer kept. Read it sooner, or raise result_ttl"
        )


class ResultNotKept(ResultError):
    """The job keeps no result, so there is nothing to wait for."""

    code = "result_not_kept"

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(
            queue,
            job_id,
            "keeps no result. Declare a result type or set result_ttl, or wait with done() instead",
        )


class ResultTimeout(ResultError, TimeoutError):
    """The job did not end in the time given; it goes on. `timeout` is in seconds."""

    code = "result_timeout"

    def __init__(self, queue: str, job_id: str, timeout: float) -> None:
        self.timeout = timeout
        super().__init__(
            queue, job_id, f"has not ended within {timeout:g} s. It goes on; wait again, or cancel it"
        )


class LeaseLost(JobsError):
    """The server gave the job to another worker, so what this one did with it is refused."""

    code = "lease_lost"

    def __init__(self, queue: str, job_id: str) -> None:
        self.queue = queue
        self.job_id = job_id
        super().__init__(
            f"This worker no longer holds job {job_id!r} of queue {queue!r}; its outcome was not recorded. "
            f"Another worker runs it; guard your own writes with ctx.fence."
        )


class OwnerGone(JobsError):
    """The server holds this worker child for dead; it must go on under a new owner id."""

    code = "owner_gone"

    def __init__(self, queue: str, owner: str) -> None:
        self.queue = queue
        self.owner = owner
        super().__init__(
            f"Queue {queue!r} holds worker child {owner!r} for dead, and its jobs run elsewhere. "
            f"Cancel its handlers and go on under a new owner id."
        )


class SchemaMismatch(JobsError):
    """The data on the server was written by a major version that this one does not read."""

    code = "schema_mismatch"

    def __init__(self, found: str | int, supported: str | int) -> None:
        self.found = str(found)
        self.supported = str(supported)
        super().__init__(
            f"The server holds data of schema {found}, this version reads {supported}. "
            f"Run matching versions of producer, worker and dashboard, or use another JOBS_PREFIX."
        )


class ServerError(JobsError):
    """The server answered with an error that has no class of its own."""

    code = "server_error"

    def __init__(self, reply: str) -> None:
        self.reply = reply
        super().__init__(f"The server answered: {reply}. Look at its log, and run `jobs doctor`.")


class ServerFull(ServerError):
    """The server takes no writes now (memory, disk or replicas). Nothing was applied; draining goes on."""

    code = "server_full"
