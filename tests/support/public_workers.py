"""What a worker does: claims, settles in every way, relays effects, and dies."""

from __future__ import annotations

from collections import Counter

from tests.support.model_jobs import KEPT_MS, Job
from tests.support.public_stage import Stage

from jobs_core.scripts import Claim, Claimed
from jobs_core.wire import BIG, Others
from jobs_worker import Discard, Fail, RateLimited, Snooze
from jobs_worker.delivery import Delivery
from jobs_worker.settlement import Settlement, completed, ended_with, released, unroutable
from jobs_worker.settling import settle
from jobs_worker.starting import header_of, open_delivery


class Workers(Stage):
    """A worker's own code, and the same in the model."""

    def claim(self, *, name: str, want: int) -> None:
        owner = self.owner(name)
        if self.model.keyed:
            self._claim_by_key(name, owner, want)
            return
        expected = self.model.startable(want)
        claimed = self._claim(name, owner, want).jobs
        assert [each.id for each in claimed] == [job.id for job in expected]
        for job, each in zip(expected, claimed, strict=True):
            self._start(job, each, owner)

    def _claim_by_key(self, name: str, owner: str, want: int) -> None:
        """In a queue with keys the order between keys is its own; inside a key, and the limits, are held."""
        while True:
            self.model.look(want)
            claim = self._claim(name, owner, want)
            for each in claim.jobs:
                job = self.model.jobs[each.id]
                assert job in self.model.heads(job.key)
                assert self.model.may_start(job), job
                self.model.take(job)
                self._start(job, each, owner)
                self.model.turns.can(self.model.may_turn())
            want -= len(claim.jobs)
            if want <= 0 or not claim.again:
                break
        waiting = self.model.of("waiting")
        assert want <= 0 or not any(self.model.may_start(job) for job in waiting)
        for gate in {self.model.holds(job.key) for job in waiting} - {""}:
            self.hits[f"key held back by its {gate}"] += 1
        if self.model.limits.fifo and any(job is not self.model.line(job.key)[0] for job in waiting[:1]):
            self.hits["strict order against priority"] += 1

    def _claim(self, name: str, owner: str, want: int) -> Claim:
        session = self.pumps[name].claims
        session.advance()
        return self.run(
            self.scripts.claim(
                "mail",
                session=session.name,
                seq=session.number,
                owner=owner,
                register=True,
                want=want,
                free=want + 1,
            )
        )

    def _start(self, job: Job, claimed: Claimed, owner: str) -> None:
        self.model.start(job, owner, claimed.fence)
        header = header_of(claimed)
        assert not header.flags & BIG
        routes = self.routes["mail"]
        delivery = open_delivery(routes, claimed, header, claimed.record[header.size :], owner, "w")
        assert isinstance(delivery, Delivery)
        assert (delivery.attempt, delivery.entry.crashes) == (job.made + 1, job.crashes)
        self.deliveries[job.id] = delivery

    def settle(self, *, pick: int, outcome: str, delay_ms: int) -> None:
        job = self.model.jobs[self.one_of(sorted(self.deliveries), pick)]
        if outcome == "limit queue" and self.kind == "plain":
            outcome = "limit job"
        if outcome == "stopped":
            outcome = "discard" if job.stopping else "return"
        delivery = self.deliveries.pop(job.id)
        settlement = self._ended(delivery, outcome, delay_ms)
        name = job.owner.partition(".")[0]
        # How its attempts end is decided by what its record says, which a newer payload may have changed.
        settled = self.run(
            settle(self.scripts, "mail", self.pumps[name].settlements, [settlement], self.teller)
        )
        stopping = job.stopping and outcome not in {"return", "discard"}
        assert (settled.lost, bool(settled.stopped)) == ([], stopping)
        self.model.settle(job, outcome, delay_ms)

    def _ended(self, delivery: Delivery, outcome: str, delay_ms: int) -> Settlement:
        error: BaseException
        match outcome:
            case "return":
                return completed(delivery, 7, 5000, "w")
            case "release":
                return released(delivery)
            case "park":
                return unroutable(delivery)
            case "raise":
                error = ValueError("no")
            case "fail":
                error = Fail("no")
            case "discard":
                error = Discard("not needed")
            case "snooze":
                error = Snooze(delay_ms / 1000)
            case _:
                error = RateLimited(delay_ms / 1000, scope=outcome.removeprefix("limit "))  # pyright: ignore[reportArgumentType]
        return ended_with(delivery, error, 5000, "w")

    def relay_all(self) -> None:
        while self.run(self.relay.relay("mail")):
            pass
        before = Counter(job.state for job in self.model.jobs.values() if job.waits is not None)
        sent = sum((batch.sent for batch in self.batches.values()), Counter[str]())
        self.model.deliver()
        for batch in self.kept:
            if batch.state in {"completed", "failed"} and not batch.ended_ms:
                batch.ended_ms = self.model.ms
        after = Counter(job.state for job in self.model.jobs.values() if job.waits is not None)
        for state in after - before:
            self.hits[f"let {state} by an end"] += 1
        for moment in sum((batch.sent for batch in self.batches.values()), Counter[str]()) - sent:
            self.hits[f"batch sends {moment}"] += 1

    def die(self, *, name: str, charged: bool) -> None:
        owner = self.owner(name)
        for job in self.model.of("active"):
            if job.owner == owner:
                self.deliveries.pop(job.id, None)
        expected = self.model.give_back(owner, charged=charged)
        given = self.run(
            self.scripts.release("mail", owner=owner, others=Others.CHARGED if charged else Others.RELEASED)
        )
        assert (set(given.ids), set(given.poisoned), given.left) == (*expected, 0)
        self.generation[name] += 1

    def know_more_names(self) -> None:
        self.model.reroute()
        self.run(self.scripts.reroute("mail", offset=0, names=["*"]))

    def trim(self) -> None:
        self.model.trim()
        self.run(self.scripts.trim("mail"))
        self.kept = [each for each in self.kept if not 0 < each.ended_ms <= self.model.ms - KEPT_MS]
