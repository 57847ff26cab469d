"""A queue as its documentation describes it, in plain Python: what the public API is held against. It knows nothing of keys or scripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from tests.support.model_flows import Batch, Followers, Waits
from tests.support.model_limits import Limits, Turns

DAY_MS = 86_400_000
OFFSETS_MS = {1: DAY_MS, 2: 1_800_000, 3: 0, 4: -600_000, 5: -7_200_000}
MAX_STALLED = 3
LIVE = ("waiting", "delayed", "unroutable", "blocked")
ENDED = ("completed", "failed", "cancelled", "expired")
# How long what was cancelled or expired is kept, unless the queue says otherwise.
KEPT_MS = 7 * DAY_MS

Conflict = Literal["skip", "replace", "keep_last", "extend", "error", "debounce"]


@dataclass
class Asked:
    """What a caller wants of one job: how it counts as unique, in ms."""

    key: str
    mode: Literal["s", "d", "t"] = "d"
    conflict: Conflict = "skip"
    ttl: int = 0
    max_wait: int = 0


@dataclass
class Job:
    """One job. `ready_us` is where its place among the waiting comes from, `again_ms` when it was ready last after its first delivery."""

    id: str
    payload: int
    state: str
    stamp_us: int
    priority: int = 3
    key: str = ""
    own: bool = False
    due_ms: int = 0
    wakes_ms: int = 0
    ready_us: int = 0
    again_ms: int = 0
    lasts_ms: int = 0
    expires_ms: int = 0
    asked: Asked | None = None
    waits: Waits | None = None
    attempts: int = 3
    backoff_ms: int = 0
    keep_done: int = 0
    keep_failed: int = -1
    result_ttl: int = 0
    made: int = 0
    crashes: int = 0
    releases: int = 0
    owner: str = ""
    fence: int = 0
    stopping: bool = False
    finished_ms: int = 0
    error: str = ""

    @property
    def place(self) -> tuple[int, str]:
        """Where it waits: as if it had come by its head start earlier."""
        return self.ready_us - OFFSETS_MS[self.priority] * 1000, self.id

    def ready_at(self) -> int:
        """When it was ready last."""
        if self.again_ms:
            return self.again_ms * 1000
        return self.due_ms * 1000 if self.due_ms else self.stamp_us


@dataclass
class Holder:
    """Who has a unique key, until when at the latest (0: no time), and who waits behind it."""

    id: str
    due_ms: int = 0
    behind: str = ""


@dataclass
class Letter:
    """A failure for good that may be replayed."""

    job: Job
    failed_ms: int
    followers: list[str | Batch]


@dataclass
class Model:
    """A queue. Every method is one call of the API, and returns what that has to answer."""

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

    # Enqueue.

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

    def _place(self, job: Job) -> None:
        if job.state == "waiting":
            job.ready_us = job.ready_at()
        elif job.state == "delayed":
            job.wakes_ms = job.due_ms

    # What ends jobs.

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

    def _unhold(self, job: Job) -> None:
        """Let a strict key go on that waits for the retry of a job which leaves, or comes at another time."""
        if (
            self.limits.fifo
            and job.state == "waiting"
            and self.keys_held.get(job.key, 0) == job.again_ms > self.ms
        ):
            del self.keys_held[job.key]

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

    # A worker.

    def line(self, key: str) -> list[Job]:
        """List the jobs of a key that wait, in their order: of strict keys that in which they came, or were due."""
        waiting = [job for job in self.of("waiting") if job.key == key]
        if self.limits.fifo:
            waiting.sort(key=lambda job: (self._stand(job), job.id))
        return waiting

    def _stand(self, job: Job) -> int:
        if self.limits.fifo:
            return job.due_ms * 1000 if job.due_ms else job.stamp_us
        return job.place[0]

    def heads(self, key: str) -> list[Job]:
        """List who may be the first in the line of a key: of those that came and were due at one instant any."""
        line = self.line(key)
        return [job for job in line if self._stand(job) == self._stand(line[0])]

    def holds(self, key: str) -> str:
        """Say what holds back the jobs of a key: the first of its gates that is shut, or nothing."""
        if not key:
            return ""
        if self.paused(f"key:{key}"):
            return "pause"
        if sum(each.key == key for each in self.of("active")) >= self.limits.most("key_concurrency"):
            return "concurrency"
        if self.keys_held.get(key, 0) > self.ms:
            return "handler"
        return "" if self.limits.has_token("key_rate", key, self.us) else "rate"

    def may_turn(self) -> list[str]:
        """List the keys that could have their turn."""
        return [key for key in sorted({job.key for job in self.of("waiting")}) if not self.holds(key)]

    def shut(self) -> bool:
        """Tell whether the whole queue is held back: paused, or by a handler."""
        return self.paused("") or self.paused("job:send") or self.held_until_ms > self.ms

    def may_start(self, job: Job) -> bool:
        """Tell whether a job of a queue with keys may start now."""
        running = len(self.of("active"))
        gates = self.shut() or running >= self.limits.most("max_active") or self.holds(job.key)
        return not gates and self.limits.has_token("rate_limit", "", self.us)

    def startable(self, want: int) -> list[Job]:
        """Return what a claim of a queue without keys has to take, in order; tokens are taken."""
        self.sweep()
        self.promote_due()
        self.limits.look("rate_limit", "", self.us)
        if self.shut():
            return []
        room = self.limits.most("max_active") - len(self.of("active"))
        taken: list[Job] = []
        for job in self.of("waiting"):
            if len(taken) >= min(want, room) or not self.limits.has_token("rate_limit", "", self.us):
                break
            self.limits.take("rate_limit", "", self.us)
            taken.append(job)
        return taken

    def look(self, want: int) -> None:
        """Look for what may start of a queue with keys: that is when their buckets are looked at."""
        self.sweep()
        self.promote_due()
        self.limits.look("rate_limit", "", self.us)
        room = self.limits.most("max_active") - len(self.of("active"))
        if min(want, room) > 0 and not self.paused("") and self.held_until_ms <= self.ms:
            for key in {job.key for job in self.of("waiting")} - {""}:
                if self.holds(key) in {"", "rate"}:
                    self.limits.look("key_rate", key, self.us)

    def take(self, job: Job) -> None:
        """Let the first job of a key have the turn of its key; tokens are taken."""
        self.turns.take(job.key, self.may_turn())
        self.limits.take("rate_limit", "", self.us)
        if job.key:
            self.limits.take("key_rate", job.key, self.us)

    def start(self, job: Job, owner: str, fence: int) -> None:
        """Take note of a job that was claimed."""
        job.state, job.owner, job.fence, job.expires_ms = "active", owner, fence, 0
        self.stamp = max(self.stamp, fence)
        if job.asked is not None and job.asked.mode == "s":
            holder = self.unique.get(job.asked.key)
            if holder is not None and holder.id == job.id:
                del self.unique[job.asked.key]

    def settle(self, job: Job, outcome: str, delay_ms: int = 0) -> None:
        """End a delivery: return, raise, fail, discard, snooze, limit (of a job, its key or the queue), release, park."""
        job.owner = ""
        if outcome == "return":
            self._finish([job], "completed", keep=job.keep_done, ttl=job.result_ttl)
            return
        if outcome == "discard":
            self._finish([job], "cancelled", keep=1000)
            return
        final = outcome == "fail" or (outcome == "raise" and job.made + 1 >= job.attempts)
        if outcome == "park":
            if job.stopping:
                self.call_off([job])
            else:
                job.state = "unroutable"
            return
        if outcome in {"raise", "fail"}:
            job.made += 1
        else:
            job.releases += 1
        if job.stopping:
            # It is over; what its handler said of its key or its queue holds all the same.
            if outcome in {"limit key", "limit queue"}:
                self._again(job, outcome, delay_ms)
            self.call_off([job])
        elif final:
            # What is told of it is told for as long as a result would be.
            self._finish([job], "failed", keep=job.keep_failed, ttl=job.result_ttl)
        else:
            self._again(job, outcome, delay_ms)

    def _again(self, job: Job, outcome: str, delay_ms: int) -> None:
        waits = False
        if outcome == "raise":
            delay_ms = job.backoff_ms
            job.again_ms, waits = self.ms + delay_ms, delay_ms > 0
        elif outcome in {"snooze", "limit job"} or (outcome == "limit key" and not (self.keyed and job.key)):
            job.again_ms, waits = self.ms + delay_ms, delay_ms > 0
        elif outcome == "limit key":
            self.keys_held[job.key] = max(self.keys_held.get(job.key, 0), self.ms + delay_ms)
        elif outcome == "limit queue":
            self.held_until_ms = max(self.held_until_ms, self.ms + delay_ms)
        if waits and self.limits.fifo and job.key:
            self.keys_held[job.key] = max(self.keys_held.get(job.key, 0), job.again_ms)
            waits = False
        job.state = "delayed" if waits else "waiting"
        job.wakes_ms = job.again_ms if waits else job.wakes_ms
        if not waits:
            job.ready_us = job.ready_at()

    def give_back(self, owner: str, *, charged: bool) -> tuple[set[str], set[str]]:
        """End an owner. Returns who waits again, and who is poison."""
        back, poisoned, stopped = set[str](), set[str](), list[Job]()
        for job in [each for each in self.of("active") if each.owner == owner]:
            job.owner = ""
            job.crashes, job.releases = job.crashes + charged, job.releases + (not charged)
            if job.stopping:
                stopped.append(job)
            elif charged and job.crashes > MAX_STALLED:
                poisoned.add(job.id)
                self._finish([job], "failed", keep=-1)
            else:
                back.add(job.id)
                job.state, job.ready_us = "waiting", job.ready_at()
        self.call_off(stopped)
        return back, poisoned

    def reroute(self) -> None:
        """Let parked jobs wait again, for somebody knows them now."""
        for job in self.of("unroutable"):
            job.state, job.ready_us = "waiting", job.ready_at()

    # People.

    def cancel(self, ids: list[str]) -> list[str]:
        """Cancel jobs wherever they are."""
        answers: list[str] = []
        ended: list[Job] = []
        for job_id in ids:
            job = self.jobs.get(job_id)
            if job is not None and job.state == "active":
                job.stopping = True
                answers.append("requested")
            elif job is not None and job.state in LIVE:
                ended.append(job)
                answers.append("cancelled")
            else:
                known = job is not None or job_id in self.told or job_id in self.tombs
                answers.append("already_finished" if known else "not_found")
        self.call_off(ended)
        return answers

    def where(self, job_id: str) -> str:
        """Name the state of a job as people are told it ("removed": only its result is there, "": nothing)."""
        job = self.jobs.get(job_id)
        return job.state if job is not None else "removed" if job_id in self.told else ""

    def reprioritize(self, job_id: str, priority: int) -> bool:
        """Give a job that has not started another priority."""
        job = self.jobs.get(job_id)
        if job is None or job.state not in {"waiting", "delayed"}:
            return False
        job.priority = priority
        if job.state == "waiting":
            job.ready_us = job.ready_at()
        return True

    def reschedule(self, job_id: str, delay_ms: int) -> bool:
        """Let a job that has not started come at another time."""
        job = self.jobs.get(job_id)
        if job is None or job.state not in {"waiting", "delayed"}:
            return False
        due = self.ms + delay_ms
        self._unhold(job)
        if job.expires_ms:
            job.expires_ms += due - (job.due_ms or job.stamp_us // 1000)
        if job.expires_ms or self.limits.fifo:
            job.due_ms = due
        job.again_ms = due
        job.state = "delayed" if delay_ms else "waiting"
        job.wakes_ms, job.ready_us = due, due * 1000
        return True

    def promote(self, job_id: str) -> bool:
        """Let a delayed job run now."""
        job = self.jobs.get(job_id)
        if job is None or job.state != "delayed":
            return False
        job.state, job.again_ms, job.ready_us = "waiting", self.ms, self.us // 1000 * 1000
        if self.limits.fifo:
            job.due_ms = self.ms
        return True

    def remove(self, ids: list[str]) -> list[bool]:
        """Remove jobs that do not run."""
        answers: list[bool] = []
        live: list[Job] = []
        gone: list[Job] = []
        for job_id in ids:
            job = self.jobs.get(job_id)
            answers.append(
                self.told.pop(job_id, None) is not None or (job is not None and job.state != "active")
            )
            if job is not None and job.state != "active":
                live += [job] * (job.state in LIVE)
                gone.append(job)
        self._leave(live, gone)
        return answers

    def _leave(self, live: list[Job], gone: list[Job]) -> None:
        self._let_go(live, ran=False)
        for job in live:
            self._unhold(job)
            self.followers.tell(job.id, "removed")
        for job in gone:
            self._forget(job)

    def retry(self, job_id: str) -> bool:
        """Put a failed job back with fresh budgets; its dead letter goes."""
        job = self.jobs.get(job_id)
        if job is None or job.state != "failed":
            return False
        self.letters.pop((job.id, job.finished_ms), None)
        self._revive(job, self.ms)
        return True

    def _revive(self, job: Job, again_ms: int) -> None:
        job.state, job.made, job.crashes, job.releases, job.again_ms = "waiting", 0, 0, 0, again_ms
        job.ready_us, job.finished_ms = job.ready_at(), 0
        if job.asked is not None and job.asked.mode != "t" and job.asked.key not in self.unique:
            self.unique[job.asked.key] = Holder(job.id)

    def replay(self, letter: Letter) -> bool:
        """Run again what failed for good, also where it was not kept. Refused where another job has its id by now."""
        job, there = letter.job, self.jobs.get(letter.job.id)
        if there is not None:
            if there is not job or job.state != "failed" or job.finished_ms != letter.failed_ms:
                return False
            del self.letters[job.id, letter.failed_ms]
            self._revive(job, self.ms)
            return True
        del self.letters[job.id, letter.failed_ms]
        self.stamp = max(self.stamp + 1, self.us)
        job.stamp_us, job.due_ms, job.lasts_ms = self.stamp, 0, 0
        self.jobs[job.id] = job
        job.waits = None
        self.followers.of[job.id] = letter.followers
        self.told.pop(job.id, None)
        if job.own:
            self.tombs[job.id] = 2**62
        self._revive(job, 0)
        return True

    def clean(self, state: str, limit: int) -> int:
        """Remove ended jobs, the oldest first."""
        gone = self.of(state)[:limit]
        for job in gone:
            self._forget(job)
        return len(gone)

    def drain(self) -> int:
        """Remove all that waits."""
        gone = self.of("waiting")
        self._leave(gone, gone)
        return len(gone)

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
