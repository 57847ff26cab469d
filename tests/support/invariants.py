"""What must hold of a queue between any two calls: the rules of `jobs check` judge every test."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobs_admin._calls import Calls
from jobs_admin._check import KEYS, check

if TYPE_CHECKING:
    from tests.support.engine import Engine

    from jobs_core.scripts import Scripts

TYPES = {
    kind: {key.name for key in KEYS.values() if key.kind == kind and not key.name.endswith(":")}
    for kind in ("hash", "zset", "string", "stream")
}


async def broken(engine: Engine) -> list[str]:
    """Name every invariant that does not hold of the queue of a test, and every key that nobody owns."""
    keys = [key.decode() for key in cast("list[bytes]", await engine.client.call("KEYS", "*"))]
    ours = f"{engine.scripts.prefix}:"
    aside = [f"unknown_key {key}" for key in keys if not key.startswith(ours) and key != "test-clock"]
    return [*await broken_queues(engine.scripts), *aside]


async def broken_queues(scripts: Scripts, queue: str | None = None) -> list[str]:
    """Judge a queue, or all of them and the other keys under the prefix."""
    report = await check(Calls(scripts, 30), queue)
    return [
        f"{each.code} of {', '.join(each.about)}: {each.text} ({each.detail})" for each in report.breaches
    ]
