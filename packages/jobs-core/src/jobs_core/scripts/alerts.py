"""The scripts of alerts, which are of no queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobs_core.scripts.caller import SYSTEM, ScriptCaller
from jobs_core.scripts.reading import fields, texts
from jobs_core.scripts.replies import AlertRound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_core.connection.protocol import Encodable, Reply


class AlertScripts(ScriptCaller):
    """A method for each script of alerts."""

    async def alert_claim(self) -> AlertRound:
        """Take the alerts of this minute, if nobody else has."""
        reply = cast("list[Reply]", await self._run("alert_claim", SYSTEM, ()))
        firing, live, seen, untold = (fields(each) for each in reply[1:])
        return AlertRound(cast("int", reply[0]), firing, live, seen, untold)

    async def alert_judge(
        self, *, minute: int, queues: Mapping[str, bytes], alerts: Mapping[str, tuple[bool, bytes]]
    ) -> list[str] | None:
        """Write down what is remembered of queues, and of each "queue/alert" whether it fires, with what is told of it.

        Returns the crossings that are to be told, None where another minute was begun meanwhile.
        """
        args: list[Encodable] = [minute, len(queues), *(part for pair in queues.items() for part in pair)]
        for name, (fires, told) in alerts.items():
            args += (name, int(fires), told)
        reply = await self._run("alert_judge", SYSTEM, args)
        return None if reply is None else texts(reply)

    async def alert_told(self, *, ids: Sequence[str]) -> int:
        """Forget crossings that were told. Returns how many there were."""
        return cast("int", await self._run("alert_told", SYSTEM, tuple(ids)))

    async def alert_set(self, *, alert: str, threshold: str) -> bool:
        """Set the threshold of "queue/alert" live ("off": no alert), or take it back (""). Returns whether anything changed."""
        return await self._run("alert_set", SYSTEM, (alert, threshold)) == 1
