"""Tells the server how deliveries ended, in groups of those that ended alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError, ServerError, ServerFull
from jobs_core.scripts import Effects, Group
from jobs_worker import logs

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable
    from jobs_core.scripts import Scripts
    from jobs_worker.delivery import Delivery, Settlement
    from jobs_worker.sessions import Session
    from jobs_worker.telling import Teller

_ERROR_PAUSE = 1.0
_log = logs.get("jobs.worker")


class Settled(NamedTuple):
    """What became of settlements.

    `lost` are those whose lease was lost, `stopped` those that were to stop and ended as cancelled instead, `posted` the entries that
    were written into the outbox.
    """

    lost: list[Delivery]
    stopped: list[Delivery]
    posted: list[int]

    def without_lost(self) -> Settled:
        """Return the same, nothing having been lost."""
        return self._replace(lost=[])


async def settle(
    scripts: Scripts, queue: str, session: Session, settlements: list[Settlement], teller: Teller
) -> Settled:
    """Settle deliveries of one owner, sent again until there is an answer.

    Raises ServerError where the server cannot carry that out, as it stands: then some of them may be settled.
    """
    made, ordered = _grouped(settlements)
    groups = [*_effects(settlements), *made, *teller.groups(ordered)]
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
    if settled.verdict.count(b"1") == len(ordered):
        return Settled([], [], settled.posted)
    verdicts = [*zip(ordered, settled.verdict, strict=True)]
    lost = [each.delivery for each, verdict in verdicts if verdict == ord("0")]
    stopped = [each.delivery for each, verdict in verdicts if verdict == ord("c")]
    return Settled(lost, stopped, settled.posted)


def _effects(settlements: list[Settlement]) -> list[Effects]:
    """Return what follows the end of jobs elsewhere, by kind and queue."""
    groups: dict[tuple[str, str], list[Encodable]] = {}
    for settlement in settlements:
        for effect in settlement.effects:
            items = groups.setdefault((effect.kind, effect.target), [])
            items += (settlement.delivery.id, settlement.delivery.fence, effect.jobs, effect.content)
    return [Effects(kind, target, items) for (kind, target), items in groups.items()]


def _grouped(settlements: list[Settlement]) -> tuple[list[Group], list[Settlement]]:
    """Return the groups, and the settlements in the order of them."""
    groups: dict[object, tuple[Settlement, list[Encodable], list[int]]] = {}
    ordered: list[Settlement] = []
    last: object = None
    found: tuple[Settlement, list[Encodable], list[int]] = (settlements[0], [], [0, 0])
    for settlement in settlements:
        key = settlement.key
        if key is not last:
            last = key
            found = groups.setdefault(key, (settlement, [], [0, 0]))
        found[1].extend(settlement.items())
        found[2][0] += settlement.run_us
        found[2][1] += settlement.wait_us
    made: list[Group] = []
    for first, items, (run_us, wait_us) in groups.values():
        verb, name, keep, ttl = first.key
        made.append(Group(verb, name, items, keep.count, keep.age_ms, keep.bytes, ttl, run_us, wait_us))
        ordered += [each for each in settlements if each.key == first.key] if len(groups) > 1 else settlements
    return made, ordered
