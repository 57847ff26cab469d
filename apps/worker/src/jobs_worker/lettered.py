"""Which jobs that are gone can still come back: those of which a dead letter is there, or on its way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from jobs_core.dead_letters import DEAD_LETTER_QUEUE, unpack_parts
from jobs_core.records import read_records
from jobs_core.scripts import TRIM_LIMIT

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobs_core.scripts import Scripts

_PAGES = 64
# The id of a letter whose queue, job and time are together too long for one (`letter_id`); older ones have the digest alone.
_DIGEST = re.compile(r"(?:[^:]+:)?[0-9a-f]{63,64}")


async def lettered(scripts: Scripts, queue: str, ids: Collection[str]) -> set[str]:
    """Return those of `ids` that a dead letter names; all of them where there is too much to look through."""
    # First what is on its way, then what has arrived: so nothing is missed that arrives in between.
    on_its_way = await _on_its_way(scripts, queue)
    if on_its_way is None:
        return set(ids)
    found = on_its_way & set(ids)
    cursor = ""
    while cursor != "0":
        cursor, letters = await scripts.walk(
            DEAD_LETTER_QUEUE, key="rec", cursor=cursor or "0", count=TRIM_LIMIT
        )
        for letter in letters:
            source, _, rest = letter.partition(":")
            if source == queue:
                found.add(rest.rpartition(":")[0])
        found |= await _behind_digests(scripts, queue, [each for each in letters if _DIGEST.fullmatch(each)])
    return found & set(ids)


async def _on_its_way(scripts: Scripts, queue: str) -> set[str] | None:
    found = set[str]()
    after = 0
    for _ in range(_PAGES):
        page = await scripts.outbox(queue, after=after)
        if not page.entries:
            return found
        for entry in page.entries:
            found.update(unpack_parts(packed)[0].decode() for kind, packed in entry.effects if kind == "dead")
        after = page.entries[-1].id
    return None


async def _behind_digests(scripts: Scripts, queue: str, letters: list[str]) -> set[str]:
    found = set[str]()
    for record in await read_records(scripts, DEAD_LETTER_QUEUE, letters):
        if record is not None and isinstance(record.payload, dict) and record.payload.get("queue") == queue:
            found.add(cast("str", record.payload.get("id", "")))
    return found
