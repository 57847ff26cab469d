"""Producers, as their documentation describes them."""

from __future__ import annotations

from tests.support.model_flows import Batch, Waits
from tests.support.model_jobs import ENDED, LIVE, Asked, Holder, Job
from tests.support.model_queue import Held


class Callers(Held):
    """What producers call."""

    def enqueue(self, job: Job, delay_ms: int) -> tuple[str, str]:
        """Add a job, whose id is known already. Returns the outcome, and who stands for it."""
        if job.own and self.tombs.get(job.id, 0) > self.ms:
            return "duplicate", job.id
        stamp = max(self.stamp + 1, self.us)
        job.stamp_us, job.due_ms = stamp, self.ms + delay_ms if delay_ms else 0
        job.expires_ms = max(self.ms, job.due_ms) + job.lasts_ms if job.lasts_ms else 0
        job.state = "delayed" if delay_ms else "waiting"
        outcome, survivor = "created", job.id
        if job.asked is not None:
            outcome, survivor = self._dispute(job, job.asked)
        if survivor != job.id:
            return outcome, survivor
        self.stamp = stamp
        if job.own:
            self.tombs[job.id] = 2**62
            self.told.pop(job.id, None)
        self.jobs[job.id] = job
        if job.waits is not None:
            self._wait_for(job, job.waits)
        self._place(job)
        return outcome, survivor

    def _wait_for(self, job: Job, waits: Waits) -> None:
        """Let a new job hear of the ends of others, and of those that have ended at once."""
        job.state = "blocked"
        for each in waits.left:
            state = self.where(each)
            if state in {*LIVE, "active", "failed"}:
                self.followers.add(each, job.id)
            if state == "removed":
                state = self.told[each][0]
            if state in ENDED:
                self.followers.ends.append((each, state, [job.id]))

    def fill(self, batch: Batch, jobs: list[Job]) -> None:
        """Add jobs to a batch, which hears of their ends."""
        for job in jobs:
            batch.total += 1
            self.enqueue(job, 0)
            self.followers.add(job.id, batch)

    def deliver(self) -> None:
        """Tell of ends, and of those that follow from these."""
        while self.followers.ends:
            job_id, end, who = self.followers.ends.pop(0)
            for each in who:
                if isinstance(each, Batch):
                    each.hear(job_id, end)
                else:
                    self._resolve(each, job_id, end)

    def _resolve(self, waiter: str, job_id: str, end: str) -> None:
        job = self.jobs.get(waiter)
        policy = job.waits.left.get(job_id) if job is not None and job.waits is not None else None
        if job is None or job.waits is None or policy is None:
            return
        job.waits.left[job_id] = None
        if job.state != "blocked":
            return
        if end != "completed" and policy == "fail_parent":
            self._finish([job], "failed", keep=-1, letter=False)
        elif (end != "completed" and policy == "continue") or not any(job.waits.left.values()):
            job.again_ms = max(self.ms, job.due_ms)
            job.state = "delayed" if job.due_ms > self.ms else "waiting"
            job.wakes_ms, job.ready_us = job.due_ms, job.again_ms * 1000

    def _dispute(self, job: Job, asked: Asked) -> tuple[str, str]:  # noqa: PLR0911 - as many as there are answers
        holder, there = self._holder(asked.key)
        if holder is None or (there is None and asked.conflict in {"replace", "keep_last", "debounce"}):
            behind = holder.behind if holder is not None else ""
            self.unique[asked.key] = Holder(job.id, self.ms + asked.ttl if asked.ttl else 0, behind)
            return "created", job.id
        if asked.conflict == "skip":
            return "skipped", holder.id
        if asked.conflict == "error":
            return "error", holder.id
        if asked.conflict == "extend":
            self._extend(holder, there, job, asked)
            return "extended", holder.id
        assert there is not None
        everything = asked.conflict != "keep_last"
        if holder.behind:
            self._take_over(self.jobs[holder.behind], job, everything=everything)
            return "kept", holder.behind
        if there.state == "active":
            job.state, holder.behind = "blocked", job.id
            return "kept", job.id
        if asked.ttl and not holder.due_ms:
            holder.due_ms = self.ms + asked.ttl
        if asked.max_wait:
            job.due_ms = min(job.due_ms, there.stamp_us // 1000 + asked.max_wait)
        everything = asked.conflict == "replace" or (
            asked.conflict == "debounce" and there.state == "delayed"
        )
        self._take_over(there, job, everything=everything)
        return "replaced", there.id

    def _holder(self, key: str) -> tuple[Holder | None, Job | None]:
        """Return who holds a key now, and its job; None for the job where it is over and the key held for a time."""
        holder = self.unique.get(key)
        if holder is None:
            return None, None
        job = self.jobs.get(holder.id)
        live = job is not None and job.state in {*LIVE, "active"} and job.asked is not None
        if (
            live
            and job is not None
            and job.asked is not None
            and job.asked.key == key
            and not (job.asked.mode == "s" and job.state == "active")
        ):
            over = 0 < holder.due_ms <= self.ms and not holder.behind
            return (None, None) if over else (holder, job)
        return (holder, None) if holder.due_ms > self.ms else (None, None)

    def _extend(self, holder: Holder, there: Job | None, job: Job, asked: Asked) -> None:
        if asked.ttl:
            holder.due_ms = max(holder.due_ms, self.ms + asked.ttl)
        later = there is not None and there.state == "delayed" and there.due_ms > self.ms
        if later and there is not None and job.due_ms > there.due_ms:
            if there.expires_ms:
                there.expires_ms += job.due_ms - there.due_ms
            there.due_ms = there.wakes_ms = job.due_ms

    def _take_over(self, there: Job, job: Job, *, everything: bool) -> None:
        """Give a job that is there the payload of a newer one, or with `everything` also its priority, time and expiry."""
        was = there.state
        if everything:
            self._unhold(there)
        if was in {"waiting", "unroutable"}:
            there.due_ms = min(there.due_ms, self.ms)
        there.payload, there.attempts, there.backoff_ms = job.payload, job.attempts, job.backoff_ms
        there.keep_done, there.keep_failed, there.result_ttl = job.keep_done, job.keep_failed, job.result_ttl
        there.asked, there.key = job.asked, job.key
        there.made = there.crashes = there.releases = 0
        if everything:
            there.priority, there.lasts_ms, there.expires_ms = job.priority, job.lasts_ms, job.expires_ms
            there.again_ms = 0
            if job.due_ms or was == "delayed":
                there.due_ms = job.due_ms or self.ms
        if was == "unroutable" or (everything and was in {"waiting", "delayed"}):
            keeps = there.again_ms
            there.again_ms, there.state = 0, "delayed" if there.due_ms > self.ms else "waiting"
            self._place(there)
            there.again_ms = keeps
