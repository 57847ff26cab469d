"""Runs scripts of the engine on one client; all that is named elsewhere in this package does so by this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConnectionFailed
from jobs_core.keys import queue_prefix
from jobs_core.loader import load
from jobs_core.scripts.reading import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.codecs import Codecs
    from jobs_core.connection.client import Client
    from jobs_core.connection.protocol import Encodable, Reply

# What lies beside the queues lies under the tag of a queue that nobody can make.
SYSTEM = "~"
MAX_ITEMS = 128
MAX_BYTES = 512 * 1024
TRIM_LIMIT = 500


class ScriptCaller:
    """What runs a script by its name, for one client and one key prefix."""

    def __init__(
        self, client: Client, prefix: str, *, clock: str | None = None, codecs: Codecs | None = None
    ) -> None:
        """Bind the scripts to a client; by `clock`, the text of a Lua fragment, tests move the time.

        `codecs` are for whoever reads payloads and results of what the scripts return.
        """
        self.codecs = codecs
        self.client = client
        self.prefix = prefix
        self._clock = clock
        self._keys: dict[str, str] = {}

    def key(self, queue: str) -> str:
        """Return the key prefix of a queue."""
        key = self._keys.get(queue)
        if key is None:
            key = self._keys[queue] = queue_prefix(self.prefix, queue)
        return key

    async def _run(
        self, name: str, queue: str, args: Sequence[Encodable], deadline: float | None = None
    ) -> Reply:
        return await self._call(name, (self.key(queue),), args, deadline=deadline, queue=queue)

    async def _call(
        self,
        name: str,
        keys: Sequence[str],
        args: Sequence[Encodable],
        *,
        deadline: float | None = None,
        queue: str = "",
    ) -> Reply:
        script = load(name, self._clock)
        try:
            return await self.client.run(script, keys, args, deadline=deadline, queue=queue)
        except OutcomeLost as error:
            if script.flags != "no-writes":
                raise
            # A read whose reply did not come has changed nothing.
            raise ConnectionFailed(self.client.address.display, str(error)) from None

    async def _each(
        self,
        name: str,
        queue: str,
        args: Sequence[Encodable],
        ids: Sequence[str],
    ) -> list[str]:
        verdicts: list[str] = []
        while len(verdicts) < len(ids):
            rest = ids[len(verdicts) : len(verdicts) + MAX_ITEMS]
            verdicts += texts(await self._run(name, queue, (*args, *rest)))
        return verdicts
