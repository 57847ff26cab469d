"""Whether a queue is well, by thresholds on what waits, what failed and how old the oldest is."""

from __future__ import annotations

from jobs_admin.records import HealthRecord, QueueRecord
from jobs_core.errors import OptionError


def check_thresholds(max_waiting: int | None, max_failed: int | None) -> None:
    """Refuse thresholds that are none. Raises OptionError."""
    for name, value in (("max_waiting", max_waiting), ("max_failed", max_failed)):
        if value is not None and value < 0:
            raise OptionError(name, value, "it must be at least 0, or None for no threshold")


def judge(
    record: QueueRecord,
    oldest_waiting_ms: int | None,
    *,
    max_waiting: int | None,
    max_failed: int | None,
    max_age_ms: int | None,
) -> HealthRecord:
    """Say whether the figures are within the thresholds; the message holds them all."""
    age = 0 if oldest_waiting_ms is None else oldest_waiting_ms
    figures = (
        ("waiting", record.waiting, max_waiting, str),
        ("failed", record.retained_failed, max_failed, str),
        ("oldest", age, max_age_ms, _seconds),
    )
    over = [name for name, value, most, _ in figures if most is not None and value > most]
    told = ", ".join(
        f"{name} {shown(value)}" + (f" (at most {shown(most)})" if most is not None else "")
        for name, value, most, shown in figures
    )
    verdict = f"too much: {', '.join(over)}" if over else "healthy"
    paused = ", paused" if record.paused else ""
    return HealthRecord(
        queue=record.queue,
        healthy=not over,
        message=f"queue {record.queue}: {verdict}; {told}{paused}",
        waiting=record.waiting,
        failed=record.retained_failed,
        oldest_waiting_ms=oldest_waiting_ms,
        paused=record.paused,
    )


def unanswered(queue: str, reason: str) -> HealthRecord:
    """Say that nothing is known of a queue, because the server does not answer."""
    return HealthRecord(queue=queue, healthy=False, message=f"queue {queue}: {reason}")


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.1f} s"
