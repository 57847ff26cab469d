"""Who hears of the ends of jobs, as the documentation describes it: jobs that wait for others, and batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Policy = Literal["fail_parent", "ignore", "continue", "remove"]


@dataclass
class Waits:
    """The jobs that a job waits for, with what becomes of it where one does not complete; None: that one has ended."""

    left: dict[str, Policy | None]


@dataclass
class Batch:
    """A flow that is filled while its jobs run. `ends` is how each of its jobs ended; `sent` are the callbacks that it sent."""

    id: str
    total: int = 0
    closed: bool = False
    ended_ms: int = 0
    ends: dict[str, str] = field(default_factory=dict[str, str])
    sent: Counter[str] = field(default_factory=Counter[str])

    @property
    def state(self) -> str:
        """Where it is."""
        if not self.closed:
            return "open"
        if len(self.ends) < self.total:
            return "running"
        return "completed" if self.all_completed else "failed"

    @property
    def all_completed(self) -> bool:
        """Whether no job of it ended otherwise."""
        return all(end == "completed" for end in self.ends.values())

    def hear(self, job_id: str, end: str) -> None:
        """Hear of the end of a job of it: of one that had ended only that it completed after all."""
        if job_id in self.ends and end != "completed":
            return
        self.ends[job_id] = end
        if end != "completed":
            self._send("failure")
        self.look()

    def look(self) -> None:
        """Send what is to be sent now."""
        if self.state in {"completed", "failed"}:
            self._send("complete")
        if self.state == "completed":
            self._send("success")

    def _send(self, moment: str) -> None:
        self.sent[moment] = 1


@dataclass
class Followers:
    """Who follows each job, and the ends that were not told yet."""

    of: dict[str, list[str | Batch]] = field(default_factory=dict[str, list[str | Batch]])
    ends: list[tuple[str, str, list[str | Batch]]] = field(
        default_factory=list[tuple[str, str, list[str | Batch]]]
    )

    def add(self, job_id: str, who: str | Batch) -> None:
        """Let a job or a batch hear of the end of a job."""
        self.of.setdefault(job_id, []).append(who)

    def tell(self, job_id: str, end: str) -> None:
        """Take note of an end, for those who follow it now. They stay: one that failed may still complete."""
        if job_id in self.of:
            self.ends.append((job_id, end, [*self.of[job_id]]))
