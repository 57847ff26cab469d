"""Gathers what the walk finds into a report of bounded size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs_admin._check.rules import TEXTS, Wrong
from jobs_admin._check.walk import Tour, check_beside, check_queue, scan
from jobs_admin.records import Breach, CheckReport

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

__all__ = ["check"]

_MAX_NAMED = 20


class _Found:
    """The breaches of one queue, by code."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[Wrong]] = {}
        self._seen: set[tuple[str, str]] = set()

    def add(self, wrong: Wrong) -> None:
        # A walk may come by twice.
        if (wrong.code, wrong.about) in self._seen:
            return
        self._seen.add((wrong.code, wrong.about))
        self.counts[wrong.code] = self.counts.get(wrong.code, 0) + 1
        named = self.first.setdefault(wrong.code, [])
        if len(named) < _MAX_NAMED:
            named.append(wrong)

    def breaches(self, queue: str) -> Iterable[Breach]:
        for code, count in self.counts.items():
            named = self.first[code]
            yield Breach(
                queue, code, TEXTS[code], count, tuple(each.about for each in named), named[0].detail
            )


async def check(calls: Calls, queue: str | None) -> CheckReport:
    """Judge one queue, or all that have a key and the keys beside them."""
    prefix = calls.scripts.prefix
    breaches: list[Breach] = []
    unjudged: list[str] = []
    jobs = 0
    if queue is not None:
        queues = {queue: await scan(calls, calls.scripts.key(queue))}
    else:
        names = await scan(calls, f"{prefix}:")
        beside = _Found()
        for wrong in check_beside(names, prefix):
            beside.add(wrong)
        breaches += beside.breaches("")
        queues: dict[str, list[str]] = {}
        for name in names:
            if name.startswith("{") and "}:" in name and not name.startswith("{~}"):
                its_queue, _, key = name[1:].partition("}:")
                queues.setdefault(its_queue, []).append(key)
    for each, keys in queues.items():
        found, tour = _Found(), Tour(calls, each)
        async for wrong in check_queue(tour, keys):
            found.add(wrong)
        breaches += found.breaches(each)
        unjudged += [f"{each}: {what}" for what in tour.unjudged]
        jobs += tour.jobs
    return CheckReport(queues=tuple(queues), jobs=jobs, breaches=tuple(breaches), unjudged=tuple(unjudged))
