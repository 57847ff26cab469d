"""How the deliveries of a lane ended: counted, and told in the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from jobs_core.records import failure_text
from jobs_worker import logs
from jobs_worker.masking import shown_error
from jobs_worker.values import Written

if TYPE_CHECKING:
    from jobs_worker.delivery import Delivery
    from jobs_worker.hooks import HookCalls, HookName
    from jobs_worker.settlement import Settlement

_HOOKS: dict[str, HookName] = {
    "complete": "completed",
    "fail": "failed",
    "retry": "retrying",
    "cancel": "cancelled",
}
_SET_ASIDE = {"snooze": "snoozed", "limit": "limited", "wait": "blocked"}
_log = logs.get("jobs.worker")


class LaneStats(msgspec.Struct):
    """What a lane did since it began; `run_us` is summed over all attempts that ended."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    set_aside: int = 0
    lost: int = 0
    run_us: int = 0


class Ends:
    """Takes note of how deliveries of one queue end."""

    def __init__(self, queue: str, hooks: HookCalls) -> None:
        """Begin with nothing."""
        self._hooks = hooks
        self.stats = LaneStats()
        self.debug = logs.enabled(logging.DEBUG)
        self._queue = queue

    def count(self, settlement: Settlement) -> None:
        """Take note of a delivery that this worker settles."""
        self.stats.run_us += settlement.run_us
        verb = settlement.verb
        if verb == "complete":
            self.stats.completed += 1
            if self.debug:
                self._tell(settlement, "completed", logging.DEBUG)
        elif verb == "retry":
            self.stats.retried += 1
            self._tell(settlement, "retry", logging.INFO)
        elif verb == "cancel":
            self.stats.cancelled += 1
            self._tell(settlement, "cancelled", logging.INFO)
        elif verb in _SET_ASIDE:
            self.stats.set_aside += 1
            if self.debug:
                self._tell(settlement, _SET_ASIDE[verb], logging.DEBUG)
        elif verb == "fail":
            self.stats.failed += 1
            self._tell(settlement, "failed", logging.INFO)

    def settled(self, settlement: Settlement) -> None:
        """Let hooks hear of an end that the server took."""
        name = _HOOKS.get(settlement.verb)
        if name is not None:
            value = settlement.value
            if isinstance(value, Written):
                value = msgspec.json.decode(value.data) if value.codec is None else value.data
            data = value if name == "completed" else failure_text(settlement.error)
            self._hooks.job(name, self._queue, settlement.delivery, data)

    def stopped(self, settlement: Settlement) -> None:
        """Take note of a delivery that the server ended as cancelled, whatever this worker said: somebody had asked for that."""
        self._uncount(settlement)
        self.stats.cancelled += 1
        self._tell(settlement, "cancelled", logging.INFO)
        self._hooks.job("cancelled", self._queue, settlement.delivery, failure_text(settlement.error))

    def replaced(self, settlement: Settlement, instead: Settlement) -> None:
        """Take note of a delivery that was settled otherwise, for the server did not take what was said of it first."""
        self._uncount(settlement)
        self.stats.run_us -= settlement.run_us
        self.count(instead)

    def _uncount(self, settlement: Settlement) -> None:
        verb = settlement.verb
        if verb == "complete":
            self.stats.completed -= 1
        elif verb == "fail":
            self.stats.failed -= 1
        elif verb == "retry":
            self.stats.retried -= 1
        elif verb == "cancel":
            self.stats.cancelled -= 1
        elif verb in _SET_ASIDE:
            self.stats.set_aside -= 1

    def lost(self, delivery: Delivery) -> None:
        """Take note of a delivery whose job is somebody else's by now."""
        self._hooks.job("lease_lost", self._queue, delivery)
        self.stats.lost += 1
        _log.info(
            "lease_lost",
            queue=self._queue,
            job_id=delivery.id,
            job=delivery.header.name,
            attempt=delivery.attempt,
            fence=delivery.fence,
        )

    def _tell(self, settlement: Settlement, event: str, level: int) -> None:
        delivery = settlement.delivery
        facts: dict[str, object] = {
            "queue": self._queue,
            "job_id": delivery.id,
            "job": delivery.header.name,
            "attempt": delivery.attempt,
            "attempts": delivery.policy.attempts,
            "run_ms": settlement.run_us / 1000,
        }
        if event in {"retry", "snoozed", "limited"}:
            facts["delay_ms"] = settlement.arg
        if settlement.error is not None:
            shown = shown_error(delivery, settlement.error)
            facts["error_type"], facts["error"] = shown.type, shown.message
        _log.log(level, event, **facts)
