"""Tells the server how deliveries ended, in groups of those that ended alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError, ServerError, ServerFull
from jobs_core.outbox import written
from jobs_core.scripts import Effects, Group
from jobs_worker import logs

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable
    from jobs_core.scripts import Entry, Scripts
    from jobs_worker.delivery import Delivery
    from jobs_worker.sessions import Session
    from jobs_worker.settlement import Settlement
    from jobs_worker.telling import Teller

_ERROR_PAUSE = 1.0
_log = logs.get("jobs.worker")


class Settled(NamedTuple):
    """What became of settlements.

    `lost` are those whose lease was lost, `stopped` those that were to stop and ended as cancelled instead. `entries` were written into the
    outbox of that epoch, and so were those that `posted` names.
    """

    lost: list[Delivery]
    stopped: list[Delivery]
    posted: list[int]
    entries: list[Entry]
    epoch: str

    def without_lost(self) -> Settled:
        """Return the same, nothing having been lost."""
        return self._replace(lost=[])


async def settle(
    scripts: Scripts, queue: str, session: Session, settlements: list[Settlement], teller: Teller
) -> Settled:
    """Settle deliveries of one owner, sent again until there is an answer.

    Raises ServerError where the server cannot carry that out, as it stands: then some of them may be settled.
    """
    alike = _alike(settlements)
    groups = [*_effects(settlements), *map(_group, alike), *teller.groups(alike)]
    session.advance()
    owner = settlements[0].delivery.owner
    while True:
        try:
            settled = await scripts.settle(
                queue, session=session.name, seq=session.number, owner=owner, groups=groups
            )
        except (JobsError, OutcomeLost) as error:
            if isinstance(error, ServerError) and not isinstance(error, ServerFull):
                raise
            _log.warning("settle_failed", queue=queue, error=str(error))
            await asyncio.sleep(_ERROR_PAUSE)
        else:
            break
    refused = b"0" in settled.verdict
    entries, posted = ([], settled.posted) if refused else written(groups, settled.posted)
    if settled.verdict.count(b"1") == len(settlements):
        return Settled([], [], posted, entries, settled.epoch)
    ordered = (each for members in alike for each in members)
    verdicts = [*zip(ordered, settled.verdict, strict=True)]
    lost = [each.delivery for each, verdict in verdicts if verdict == ord("0")]
    stopped = [each.delivery for each, verdict in verdicts if verdict == ord("c")]
    return Settled(lost, stopped, posted, entries, settled.epoch)


def _effects(settlements: list[Settlement]) -> list[Effects]:
    """Return what follows the end of jobs elsewhere, by kind and queue."""
    groups: dict[tuple[str, str], list[Encodable]] = {}
    for settlement in settlements:
        for effect in settlement.effects:
            items = groups.setdefault((effect.kind, effect.target), [])
            items += (settlement.delivery.id, settlement.delivery.fence, effect.jobs, effect.content)
    return [Effects(kind, target, items) for (kind, target), items in groups.items()]


def _alike(settlements: list[Settlement]) -> list[list[Settlement]]:
    """Return settlements in the order in which they are sent: those with one key together."""
    first = settlements[0].key
    if all(each.key is first for each in settlements):
        return [settlements]
    groups: dict[object, list[Settlement]] = {}
    for each in settlements:
        groups.setdefault(each.key, []).append(each)
    return [*groups.values()]


def _group(members: list[Settlement]) -> Group:
    verb, name, keep, ttl = members[0].key
    items: list[Encodable] = []
    run_us = wait_us = 0
    for each in members:
        delivery = each.delivery
        items += (delivery.id, delivery.fence, each.arg, each.info)
        run_us += each.run_us
        wait_us += each.wait_us
    return Group(verb, name, items, keep.count, keep.age_ms, keep.bytes, ttl, run_us, wait_us)
