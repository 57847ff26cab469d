"""What an operator sets of a queue while it is used: pauses, limits and the thresholds of alerts, each entered in the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jobs_admin import _alerts, _limits, _pauses
from jobs_core.durations import Duration, to_ms

if TYPE_CHECKING:
    from jobs_admin._context import Context
    from jobs_admin._limits import LiveLimits
    from jobs_admin.records import AlertRecord, LimitRecord, PauseRecord


class Controls:
    """The switches of queues."""

    def __init__(self, context: Context) -> None:
        """Made by the admin."""
        self._calls = context.calls
        self._directory = context.directory
        self._audit = context.audit

    async def pause(
        self,
        queue: str,
        *,
        job: str | None,
        key: str | None,
        reason: str,
        actor: str,
        for_: Duration | None,
    ) -> bool:
        """Stop workers from taking jobs of a queue, a job name or a key."""
        what = _pauses.subject(job, key)
        for_ms = 0 if for_ is None else to_ms(for_, name="for_")
        await self._directory.check(queue)
        who, why = actor or self._audit.actor, reason or self._audit.reason
        changed = await self._calls.change(
            self._calls.scripts.pause(queue, what=what, for_ms=for_ms, actor=who, reason=why)
        )
        detail = f"for {for_ms / 1000:.12g} s" if for_ms else ""
        await self._audit.enter("pause", queue, what, int(changed), detail, actor=who, reason=why)
        return changed

    async def resume(self, queue: str, *, job: str | None, key: str | None) -> bool:
        """Let workers take jobs again."""
        what = _pauses.subject(job, key)
        await self._directory.check(queue)
        changed = await self._calls.change(self._calls.scripts.resume(queue, what=what))
        await self._audit.enter("resume", queue, what, int(changed))
        return changed

    async def pauses(self, queue: str) -> list[PauseRecord]:
        """List the job names and keys that are paused for themselves."""
        await self._directory.check(queue)
        return await _pauses.pauses(self._calls, queue)

    async def limits(self, queue: str) -> list[LimitRecord]:
        """Return every limit of a queue."""
        await self._directory.check(queue)
        return await _limits.read_limits(self._calls, queue)

    async def limit(self, queue: str, limits: LiveLimits) -> bool:
        """Set limits live."""
        await self._directory.check(queue)
        changed = await _limits.set_limits(self._calls, queue, limits)
        detail = ", ".join(f"{name} {value}" for name, value in limits.items())
        await self._audit.enter("limit", queue, "", int(changed), detail)
        return changed

    async def alerts(self, queue: str | None, *, active: bool) -> list[AlertRecord]:
        """Return every alert of a queue, or of all; `active` only what fires."""
        if queue is not None:
            await self._directory.check(queue)
        found = await _alerts.read_alerts(self._calls, self._calls.scripts.prefix, queue)
        return [each for each in found if each.active or not active]

    async def set_alert(
        self, queue: str, alert: str, threshold: Duration | Literal["declared"] | None
    ) -> bool:
        """Set the threshold of an alert live."""
        await self._directory.check(queue)
        changed, text = await _alerts.set_alert(self._calls, queue, alert, threshold)
        await self._audit.enter("alert", queue, alert, int(changed), f"to {text}")
        return changed
