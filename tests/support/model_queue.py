"""What a queue of the model holds, and how jobs leave it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.support.model_flows import Followers
from tests.support.model_jobs import DAY_MS, KEPT_MS, Holder, Job, Letter
from tests.support.model_limits import Limits, Turns


@dataclass
class Held:
    """What a queue holds: jobs, what is told of those that went, unique keys, dead letters, pauses, limits."""

    us: int
    letters_kept: bool = True
    keyed: bool = False
    limits: Limits = field(default_factory=Limits)
    turns: Turns = field(default_factory=Turns)
    followers: Followers = field(default_factory=Followers)
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    told: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    tombs: dict[str, int] = field(default_factory=dict[str, int])
    unique: dict[str, Holder] = field(default_factory=dict[str, Holder])
    letters: dict[tuple[str, int], Letter] = field(default_factory=dict[tuple[str, int], Letter])
    pauses: dict[str, int] = field(default_factory=dict[str, int])
    held_until_ms: int = 0
    keys_held: dict[str, int] = field(default_factory=dict[str, int])
    stamp: int = 0

    @property
    def ms(self) -> int:
        """What the time is."""
        return self.us // 1000

    def of(self, *states: str) -> list[Job]:
        """List jobs by state, in the order in which they wait or ended."""
        jobs = [job for job in self.jobs.values() if job.state in states]
        if "waiting" in states:
            return sorted(jobs, key=lambda job: job.place)
        return sorted(jobs, key=lambda job: (job.finished_ms, job.id))

    def paused(self, what: str) -> bool:
        """Tell whether the queue (""), a key or a name is paused now."""
        till = self.pauses.get(what, -1)
        return till == 0 or till > self.ms

    def where(self, job_id: str) -> str:
        """Name the state of a job as people are told it ("removed": only its result is there, "": nothing)."""
        job = self.jobs.get(job_id)
        return job.state if job is not None else "removed" if job_id in self.told else ""

    def _place(self, job: Job) -> None:
        if job.state == "waiting":
            job.ready_us = job.ready_at()
        elif job.state == "delayed":
            job.wakes_ms = job.due_ms

    def _unhold(self, job: Job) -> None:
        """Let a strict key go on that waits for the retry of a job which leaves, or comes at another time."""
        if (
            self.limits.fifo
            and job.state == "waiting"
            and self.keys_held.get(job.key, 0) == job.again_ms > self.ms
        ):
            del self.keys_held[job.key]

    def _let_go(self, jobs: Iterable[Job], *, ran: bool) -> None:
        """Let go of the unique keys of jobs that end, all at once: who waits behind one of them is let in."""
        ids = {job.id for job in jobs}
        keyed = [job for job in jobs if job.asked is not None]
        for job in jobs:
            job.expires_ms = 0
        for job in keyed:
            assert job.asked is not None
            holder = self.unique.get(job.asked.key)
            if holder is not None and holder.behind in ids:
                holder.behind = ""
        for job in keyed:
            assert job.asked is not None
            holder = self.unique.get(job.asked.key)
            if holder is None or holder.id != job.id:
                continue
            heir = self.jobs.get(holder.behind)
            if heir is not None:
                holder.id, holder.behind = heir.id, ""
                heir.state = "delayed" if heir.due_ms > self.ms else "waiting"
                keeps, heir.again_ms = heir.again_ms, 0
                self._place(heir)
                heir.again_ms = keeps
            elif not (ran and job.asked.mode == "t" and holder.due_ms > self.ms):
                del self.unique[job.asked.key]

    def _finish(self, jobs: list[Job], state: str, *, keep: int, ttl: int = 0, letter: bool = True) -> None:
        self._let_go(jobs, ran=state in {"completed", "failed"})
        for job in jobs:
            self._unhold(job)
            job.state, job.finished_ms, job.owner, job.stopping = state, self.ms, "", False
            self.followers.tell(job.id, state)
            if state == "failed" and self.letters_kept and letter:
                self.letters[job.id, self.ms] = Letter(job, self.ms, [*self.followers.of.get(job.id, [])])
            if keep == 0:
                self._forget(job)
                if ttl:
                    self.told[job.id] = (state, self.ms + ttl)
        if keep > 0:
            kept = self.of(state)
            for job in kept[: max(min(len(kept) - keep, 2 * len(jobs)), 0)]:
                self._forget(job)

    def _forget(self, job: Job) -> None:
        del self.jobs[job.id]
        self.followers.of.pop(job.id, None)
        if job.own:
            self.tombs[job.id] = self.ms + DAY_MS

    def call_off(self, jobs: list[Job]) -> None:
        """End jobs as cancelled."""
        if jobs:
            self._finish(jobs, "cancelled", keep=1000)

    def sweep(self) -> None:
        """End what did not start in time."""
        late = [job for job in self.jobs.values() if 0 < job.expires_ms <= self.ms]
        if late:
            self._finish(late, "expired", keep=1000)

    def promote_due(self) -> None:
        """Let delayed jobs wait that are due."""
        for job in self.of("delayed"):
            if job.wakes_ms <= self.ms:
                job.state, job.ready_us = "waiting", job.wakes_ms * 1000

    def _leave(self, live: list[Job], gone: list[Job]) -> None:
        self._let_go(live, ran=False)
        for job in live:
            self._unhold(job)
            self.followers.tell(job.id, "removed")
        for job in gone:
            self._forget(job)

    def trim(self) -> None:
        """Forget what has outlived its time."""
        self.sweep()
        self.told = {each: end for each, end in self.told.items() if end[1] > self.ms}
        for job in self.of("expired", "cancelled"):
            if job.finished_ms + KEPT_MS <= self.ms:
                self._forget(job)
        self.tombs = {each: till for each, till in self.tombs.items() if till > self.ms}
        for key, holder in list(self.unique.items()):
            if 0 < holder.due_ms <= self.ms:
                if holder.behind:
                    holder.due_ms = 0
                else:
                    del self.unique[key]
