"""What people do to jobs, as their documentation describes it."""

from __future__ import annotations

from tests.support.model_jobs import LIVE, Holder, Job, Letter
from tests.support.model_queue import Held


class People(Held):
    """What people call."""

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
