"""One delivery of one job, from the claim to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.backoff import Custom
from jobs_core.codecs import Place
from jobs_core.flows.successors import end_of
from jobs_core.options import Policy, decode_policy
from jobs_core.records import job_name
from jobs_core.wire import Envelope, parse_state
from jobs_worker.facts import JobFacts
from jobs_worker.following import Payload, previous_of
from jobs_worker.time_limits import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_core.codecs import Codecs
    from jobs_core.scripts import Claimed
    from jobs_core.wire import FlowEnd, Header, JobStateEntry
    from jobs_worker.backoffs import NamedBackoff
    from jobs_worker.children import Pages, Waited
    from jobs_worker.context import JobContext
    from jobs_worker.following import Previous
    from jobs_worker.reports import Report
    from jobs_worker.routes import Route

_NO_ENTRY = parse_state(None)


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
