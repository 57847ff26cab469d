"""A flow as a picture of characters: what runs first stands above what follows it, a parent above its children."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from jobs_cli.output import cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.flows.records import FlowJobRecord

__all__ = ["Line", "picture"]

# These go without saying.
_PLAIN = frozenset({"fail_parent", "on_success", "counted", ""})
_DEEPEST = 12


class Line(NamedTuple):
    """One line: what stands before the job, the job, its state, and where it is; an error has a line of its own."""

    lead: str
    label: str
    state: str = ""
    where: str = ""

    def text(self, width: int | None) -> str:
        """Return it as text, of at most so many columns."""
        parts = [self.label, self.state, self.where]
        whole = self.lead + "  ".join(part for part in parts if part)
        return whole if width is None or len(whole) <= width else whole[: width - 1] + "…"


def picture(jobs: Sequence[FlowJobRecord], *, flow: str, parents_first: bool) -> list[Line]:
    """Return the lines for jobs: each is told of once, and named again wherever else it belongs.

    `parents_first` says that whatever a job waits for is a child of it.
    """
    by_number = {job.number: job for job in jobs}
    below: dict[int, list[tuple[int, str]]] = defaultdict(list)
    has_above: set[int] = set()
    for job in jobs:
        for each in job.after:
            if each.number not in by_number:
                continue
            downwards = parents_first or each.child
            upper, lower = (job.number, each.number) if downwards else (each.number, job.number)
            below[upper].append((lower, each.mode))
            has_above.add(lower)
    lines: list[Line] = []
    told: set[int] = set()
    # Of each what stands before it, and before what is below it; the last one is next.
    stack = [(job.number, "", "", "") for job in reversed(jobs) if job.number not in has_above]
    while stack:
        number, mode, lead, inner = stack.pop()
        job = by_number[number]
        label = cell(job.label) if mode in _PLAIN else f"{mode}: {cell(job.label)}"
        if number in told:
            lines.append(Line(lead, label, "(above)"))
            continue
        told.add(number)
        # Most ids follow from the flow's, and are as long as that.
        own = f".{number}" if job.id == f"{flow}.{number}" else "" if job.id == job.label else f" {job.id}"
        lines.append(Line(lead, label, job.state, cell(f"{job.queue}/{job.name or '?'}{own}")))
        followers = below[number]
        if job.error and job.state != "completed":
            lines.append(Line(inner + ("│    " if followers else "     "), cell(job.error)))
        deep = len(inner) >= 3 * _DEEPEST
        for place, (follower, how) in reversed(list(enumerate(followers))):
            last = place == len(followers) - 1
            if deep:
                stack.append((follower, how, inner + "· ", inner))
            else:
                corner, line = ("└─ ", "   ") if last else ("├─ ", "│  ")
                stack.append((follower, how, inner + corner, inner + line))
    return lines
