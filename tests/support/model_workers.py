"""Workers, as their documentation describes them."""

from __future__ import annotations

from tests.support.model_jobs import MAX_STALLED, Job
from tests.support.model_queue import Held


class Workers(Held):
    """What workers call."""

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
