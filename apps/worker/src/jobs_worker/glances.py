"""Looks at many queues, of which some may lie on a node of a cluster that is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.scripts import Glance, Scripts

_PATIENCE = 2.0


async def glances(scripts: Scripts, queues: Sequence[str]) -> dict[str, Glance]:
    """Glance at queues; of a cluster those are left out whose node does not answer within 2 s.

    Raises what `Scripts.glance` raises, where no node answers.
    """
    calls = scripts.client.together([scripts.key(queue) for queue in queues])
    if len(calls) <= 1:
        return await scripts.glance(queues)
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    parts = [scripts.glance([queues[at] for at in call], deadline=deadline) for call in calls]
    found = await asyncio.gather(*parts, return_exceptions=True)
    told = [part for part in found if isinstance(part, dict)]
    if not told and isinstance(found[0], BaseException):
        raise found[0]
    return {queue: glance for part in told for queue, glance in part.items()}
