"""What producers do: enqueue jobs of every sort, and batches that are filled while they run."""

from __future__ import annotations

from copy import copy
from typing import Unpack

import pytest
from tests.support.model_flows import Batch, Policy, Waits
from tests.support.model_jobs import LIVE, Asked, Job
from tests.support.public_moves import KEPT
from tests.support.public_stage import Note, Stage

from jobs_core import (
    Debounce,
    DuplicateJob,
    Fixed,
    JobOptions,
    Throttle,
    Unique,
)
from jobs_core.errors import DependencyUnknown
from jobs_producer import on


class Callers(Stage):
    """Producers, and the same in the model."""

    def enqueue(
        self,
        *,
        asked: Asked | None,
        delay_ms: int,
        key: str,
        own: str,
        after: tuple[Policy, ...],
        pick: int,
        **given: int,
    ) -> None:
        self.made += 1
        options: JobOptions = {
            "priority": given["priority"],
            "attempts": given["attempts"],
            "backoff": Fixed(given["backoff_ms"] / 1000),
            "remove_on_complete": KEPT.get(given["keep_done"], given["keep_done"]),
            "remove_on_fail": KEPT.get(given["keep_failed"], given["keep_failed"]),
            "result_ttl": given["result_ttl"] / 1000,
        }
        if delay_ms:
            options["delay"] = delay_ms / 1000
        if given["lasts_ms"]:
            options["expires_in"] = given["lasts_ms"] / 1000
        if own:
            options["job_id"] = own
        if asked is not None:
            asked = copy(asked)
            delay_ms = self._ask(asked, options, delay_ms)
        key = key if self.model.keyed else ""
        name = own or f"?{self.made}"
        new = Job(name, self.made, "", 0, key=key, own=bool(own), asked=asked)
        for option, value in given.items():
            setattr(new, option, value)
        waits = self._after(after, pick) if asked is None and not own else {}
        if waits:
            options["after"] = [on(each, policy=policy) for each, policy in waits.items()]
        if not all(self.model.where(each) for each in waits):
            with pytest.raises(DependencyUnknown):
                self.run(self.producer.enqueue(self.job, Note(self.made, key), **options))
            self.hits["waits for one that is not known"] += 1
            return
        if waits:
            # Who waits for others is known by its id before it is there, so that is remembered as one that the caller gave.
            new.waits, new.own, new.id = Waits(dict(waits)), True, ""
        self._send(new, delay_ms, Note(self.made, key), options)

    def flood(self, *, keys: str) -> None:
        """Many jobs of some keys at once, so that these take turns."""
        for key in keys.replace("-", " "):
            self.made += 1
            new = Job(f"?{self.made}", self.made, "", 0, key=key.strip())
            self._send(
                new, 0, Note(self.made, new.key), {"backoff": Fixed(0), "attempts": 3, "result_ttl": 0}
            )

    def _after(self, after: tuple[Policy, ...], pick: int) -> dict[str, Policy]:
        """Choose whom a new job waits for: mostly some that have not ended."""
        live = [each for each in self.seen if self.model.where(each) in {*LIVE, "active"}]
        some = live if live and pick % 4 else self.seen
        return {self.one_of(some, pick + i): policy for i, policy in enumerate(after)} if some else {}

    def _ask(self, asked: Asked, options: JobOptions, delay_ms: int) -> int:
        """Turn what is asked into options; a debounce has a delay of its own."""
        if asked.ttl == -1:
            # What has another delay than its own is no debounce.
            options.pop("delay", None)
            options["debounce"] = Debounce(0.5, max_wait=asked.max_wait / 1000 or None, key=asked.key)
            asked.mode, asked.conflict, asked.ttl = "s", "debounce", 0
            return 500
        if asked.mode == "t" and asked.conflict == "skip":
            options["throttle"] = Throttle(asked.ttl / 1000, key=asked.key)
            return delay_ms
        until = {"s": "start", "d": "done", "t": "ttl"}[asked.mode]
        if asked.mode != "t" and asked.ttl == 1000:
            asked.ttl = 0
        options["unique"] = Unique(
            key=asked.key,
            until=until,  # pyright: ignore[reportArgumentType] - one of the three
            ttl=asked.ttl / 1000 or None,
            on_conflict=asked.conflict,  # pyright: ignore[reportArgumentType] - debounce was before
        )
        return delay_ms

    def _send(self, new: Job, delay_ms: int, note: Note, options: JobOptions) -> None:
        async def send(**given: Unpack[JobOptions]) -> tuple[str, str]:
            try:
                handle = await self.producer.enqueue(self.job, note, **given)
            except DuplicateJob as error:
                return "error", error.job_id
            return handle.outcome, handle.id

        outcome, survivor = self.run(send(**options))
        if (not new.own or not new.id) and survivor not in self.seen:
            new.id = survivor
        if new.waits is not None:
            self.hits[f"waits by {'+'.join(sorted({each or '' for each in new.waits.left.values()}))}"] += 1
        expected = self.model.enqueue(new, delay_ms)
        assert (outcome, survivor) == (("known" if expected[0] == "duplicate" else expected[0]), expected[1])
        if survivor not in self.seen:
            self.seen.append(survivor)

    def batch(self, *, count: int, attempts: int, keep_failed: int, close: bool) -> None:
        if len(self.batches) == 3:
            return
        batch = Batch(f"b{len(self.batches)}")
        self.batches[batch.id] = batch
        self.kept.append(batch)

        async def begin() -> None:
            success, failure, complete = (
                [self.callbacks.call(f"{batch.id} {each}")] for each in ("success", "failure", "complete")
            )
            await self.producer.flows.batch(
                "some",
                self.queue,
                id=batch.id,
                on_success=success,
                on_failure=failure,
                on_complete=complete,
                open_timeout=300 * 86_400,
            )

        self.run(begin())
        self._fill(batch, count, attempts=attempts, keep_failed=keep_failed)
        if close:
            self._close(batch)

    def fill(self, *, pick: int, close: bool) -> None:
        batch = self.one_of(self.kept, pick)
        if not batch.closed:
            self._fill(batch, 1, attempts=1, keep_failed=-1)
            if close:
                self._close(batch)

    def _fill(self, batch: Batch, count: int, *, attempts: int, keep_failed: int) -> None:
        jobs: list[Job] = []
        for i in range(count):
            self.made += 1
            name = f"{batch.id}.{batch.total + i}"
            key = ("a", "b", "")[i] if self.model.keyed else ""
            jobs.append(
                Job(name, self.made, "", 0, own=True, key=key, attempts=attempts, keep_failed=keep_failed)
            )

        async def add() -> None:
            joined = self.producer.flows.join(self.queue, batch.id)
            for job in jobs:
                keep = KEPT.get(keep_failed, keep_failed)
                note = Note(job.payload, job.key)
                await joined.add(
                    self.job, note, attempts=attempts, backoff=Fixed(0), remove_on_fail=keep, result_ttl=0
                )
            await joined.flush()

        self.run(add())
        self.model.fill(batch, jobs)
        self.seen += [job.id for job in jobs]

    def _close(self, batch: Batch) -> None:
        self.run(self.producer.flows.join(self.queue, batch.id).close())
        batch.closed = True
        batch.look()
