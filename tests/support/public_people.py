"""What people do to jobs and to the queue."""

from __future__ import annotations

import pytest
from tests.support.public_moves import LIMITS
from tests.support.public_stage import Stage

from jobs_core.errors import JobNotFound, WrongState

PRIORITIES = ("critical", "high", "normal", "low", "background")


class People(Stage):
    """An admin, and the same in the model."""

    def cancel(self, *, pick: int, other: int) -> None:
        ids = list(dict.fromkeys([self.one_of(self.seen, pick), self.one_of(self.seen, other)]))
        found = self.run(self.admin.cancel("mail", *ids))
        assert [each.outcome for each in found] == self.model.cancel(ids)

    def change(self, *, pick: int, verb: str, priority: int, delay_ms: int) -> None:
        failed = [job.id for job in self.model.of("failed")]
        job_id = self.one_of(failed if verb == "retry" and failed and pick % 3 else self.seen, pick)
        model, admin = self.model, self.admin
        before = model.where(job_id)
        match verb:
            case "priority":
                call, expected = (
                    admin.priority("mail", job_id, to=priority),
                    model.reprioritize(job_id, priority),
                )
            case "reschedule":
                call = admin.reschedule("mail", job_id, delay=delay_ms / 1000)
                expected = model.reschedule(job_id, delay_ms)
            case "promote":
                call, expected = admin.promote("mail", job_id), model.promote(job_id)
            case "remove":
                call, (expected,) = admin.remove("mail", job_id), model.remove([job_id])
            case _:
                call, expected = admin.retry("mail", job_id), model.retry(job_id)
        if expected:
            assert [each.done for each in self.run(call)] == [True]
        else:
            with pytest.raises(JobNotFound if not before else WrongState):
                self.run(call)
        if verb == "retry" and expected:
            # Two lives of one job do not end in the same millisecond.
            self.time_passes(seconds=0.001)

    def replay(self, *, pick: int) -> None:
        own, letter = self.one_of(self.letters(), pick)
        if self.model.replay(letter):
            assert self.run(self.admin.replay(own))[0].done
            self.time_passes(seconds=0.001)
        else:
            with pytest.raises(WrongState):
                self.run(self.admin.replay(own))

    def clean(self, *, state: str, limit: int) -> None:
        assert self.run(self.admin.clean("mail", state, limit=limit)) == self.model.clean(state, limit)

    def drain(self) -> None:
        assert self.run(self.admin.drain("mail")) == self.model.drain()

    def pause(self, *, what: str, for_ms: int, on: bool) -> None:
        kind, _, name = what.partition(":")
        job, key = (name if kind == "job" else None), (name if kind == "key" else None)
        before = self.model.paused(what)
        if on:
            call = self.admin.pause("mail", job=job, key=key, for_=for_ms / 1000 if for_ms else None)
            self.model.pauses[what] = self.model.ms + for_ms if for_ms else 0
            assert self.run(call) == (not before)
        else:
            self.model.pauses.pop(what, None)
            assert self.run(self.admin.resume("mail", job=job, key=key)) == before

    def limit(self, *, name: str, pick: int) -> None:
        if name.startswith("key") and not self.model.keyed:
            name = "max_active"
        value = LIMITS[name][pick % len(LIMITS[name])]
        self.model.limits.set(name, value)
        self.run(self.admin.limit("mail", **{name: value}))  # pyright: ignore[reportArgumentType] - one of the four
        self.hits[f"{name} {'reset' if value == 'declared' else 'lifted' if value is None else 'set'}"] += 1

    def look(self, *, pick: int) -> None:
        job = self.one_of(sorted(self.model.jobs.values(), key=lambda each: each.id), pick)
        found = self.run(self.admin.job("mail", job.id))
        assert (found.state, found.priority) == (job.state, PRIORITIES[job.priority - 1])
        assert isinstance(found.payload, dict)
        assert found.payload["n"] == job.payload
        assert (found.attempts_made + found.stalled + found.releases) >= job.made + job.crashes
