"""Gathers what the walk finds into a report of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jobs_admin._check.flows import check_stuck
from jobs_admin._check.rules import TEXTS, Wrong
from jobs_admin._check.told import mend_audit
from jobs_admin._check.walk import Tour, can_read, check_beside, check_jobs, check_sums, scan
from jobs_admin.records import Breach, CheckReport
from jobs_core.scripts import MAX_ITEMS

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

__all__ = ["check"]

_MAX_NAMED = 20
_MENDED_AT = 1000


class _Found:
    """The breaches of one queue, by code, and what is still to be mended."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[Wrong]] = {}
        self.repaired: dict[str, int] = {}
        self._seen: set[tuple[str, str]] = set()

    def add(self, wrong: Wrong) -> bool:
        """Count a breach. Returns False for one that is known: a walk may come by twice."""
        if (wrong.code, wrong.about) in self._seen:
            return False
        self._seen.add((wrong.code, wrong.about))
        self.counts[wrong.code] = self.counts.get(wrong.code, 0) + 1
        named = self.first.setdefault(wrong.code, [])
        if len(named) < _MAX_NAMED:
            named.append(wrong)
        return True

    async def mend(self, calls: Calls, queue: str, wrong: Sequence[Wrong]) -> None:
        """Mend what was found, as far as a script can; what holds by now is left alone."""
        targets: dict[str, Counter[str]] = {}
        for each in wrong:
            # Of jobs that run for an unknown owner, it is the owner who has to be entered.
            target = each.detail if each.code == "owner" else each.about
            targets.setdefault(each.code, Counter())[target] += 1
        for code, counts in targets.items():
            about = list(counts)
            for at in range(0, len(about), MAX_ITEMS):
                some = about[at : at + MAX_ITEMS]
                verdicts = await calls.change(calls.scripts.mend(queue, code=code, about=some))
                for target, verdict in zip(some, verdicts.decode(), strict=True):
                    if verdict != "-":
                        self.repaired[code] = self.repaired.get(code, 0) + counts[target]

    def breaches(self, queue: str) -> Iterable[Breach]:
        for code, count in self.counts.items():
            named = self.first[code]
            about = tuple(each.about for each in named)
            repaired = self.repaired.get(code, 0)
            yield Breach(queue, code, TEXTS[code], count, about, named[0].detail, repaired)


async def check(calls: Calls, queue: str | None, *, repair: bool = False) -> CheckReport:
    """Judge one queue, or all that have a key and the keys beside them; with `repair` mend what can be."""
    prefix = calls.scripts.prefix
    breaches: list[Breach] = []
    if queue is not None:
        queues = {queue: await scan(calls, calls.scripts.key(queue))}
    else:
        names = await scan(calls, f"{prefix}:")
        breaches += (await _beside(calls, names, repair=repair)).breaches("")
        queues = _by_queue(names)
    found = {each: _Found() for each in queues}
    tours = {each: Tour(calls, each) for each in queues}
    for each, keys in queues.items():
        await _judge(calls, tours[each], keys, found[each], repair=repair)
    await _judge_stuck(calls, tours, found, repair=repair, alone=queue is not None)
    for each in queues:
        breaches += found[each].breaches(each)
    unjudged = tuple(f"{each}: {what}" for each, tour in tours.items() for what in tour.unjudged)
    jobs = sum(tour.jobs for tour in tours.values())
    return CheckReport(queues=tuple(queues), jobs=jobs, breaches=tuple(breaches), unjudged=unjudged)


async def _judge(calls: Calls, tour: Tour, keys: Sequence[str], found: _Found, *, repair: bool) -> None:
    """Judge one queue by itself."""
    # Sums are judged when the jobs that they count are in order again.
    for walk in (check_jobs(tour, keys), check_sums(tour)):
        broken: list[Wrong] = []
        async for wrong in walk:
            if found.add(wrong) and repair:
                broken.append(wrong)
            if len(broken) >= _MENDED_AT:
                await found.mend(calls, tour.queue, broken)
                broken = []
        await found.mend(calls, tour.queue, broken)


def _by_queue(names: Sequence[str]) -> dict[str, list[str]]:
    """Sort keys by their queue."""
    queues: dict[str, list[str]] = {}
    for name in names:
        if name.startswith("{") and "}:" in name and not name.startswith("{~}"):
            its_queue, _, key = name[1:].partition("}:")
            queues.setdefault(its_queue, []).append(key)
    return queues


async def _judge_stuck(
    calls: Calls, tours: dict[str, Tour], found: dict[str, _Found], *, repair: bool, alone: bool
) -> None:
    """Judge what somebody in one queue waits for in others; `alone` says that these were not judged, and are only looked at."""
    own = {each: tour for each, tour in tours.items() if tour.readable}

    async def everywhere() -> dict[str, Tour]:
        others: dict[str, Tour] = {}
        if alone:
            for name, keys in _by_queue(await scan(calls, f"{calls.scripts.prefix}:")).items():
                tour = Tour(calls, name)
                if name not in own and await can_read(tour, keys):
                    others[name] = tour
        return others | own

    stuck: dict[str, list[Wrong]] = {}
    async for queue, wrong in check_stuck(own, everywhere):
        if found[queue].add(wrong):
            stuck.setdefault(queue, []).append(wrong)
    for queue, some in stuck.items() if repair else ():
        await found[queue].mend(calls, queue, some)
        await calls.relay(queue)


async def _beside(calls: Calls, names: Sequence[str], *, repair: bool) -> _Found:
    """Judge what lies beside the queues."""
    prefix, beside = calls.scripts.prefix, _Found()
    async for wrong in check_beside(calls, names, prefix):
        beside.add(wrong)
    if repair and beside.counts.get("audit"):
        beside.repaired["audit"] = min(await mend_audit(calls, f"{prefix}:{{~}}:audit"), 1)
    return beside
