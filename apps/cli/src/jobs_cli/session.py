"""One connection for one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from jobs_core.errors import UnknownQueue
from jobs_core.settings import CommonSettings

if TYPE_CHECKING:
    from jobs_admin import Admin

T = TypeVar("T")

CONNECT_TIMEOUT = 3.0
_CALL_TIMEOUT = 15.0


def with_admin(work: Callable[[Admin], Awaitable[T]], *, actor: str | None = None, reason: str = "") -> T:
    """Connect as the environment says, do the work, and close. Raises SettingsError, ConnectionFailed.

    `actor` and `reason` are what the audit tells of changes; the actor is user@host unless given.
    """

    async def acting(admin: Admin) -> T:
        return await work(admin.acting(actor=actor, reason=reason))

    settings = CommonSettings.from_env()
    try:
        return asyncio.run(_work(settings, acting, ()))
    except UnknownQueue as error:
        # Code may declare what nobody has used yet; its modules are imported only to find that out.
        from jobs_core.discovery import load_features
        from jobs_core.names import nearest

        declared = tuple(load_features(settings.features).queues)
        if error.queue not in declared:
            raise UnknownQueue(error.queue, nearest(error.queue, {*declared, *error.nearest})) from None
    return asyncio.run(_work(settings, acting, declared))


async def _work(
    settings: CommonSettings, work: Callable[[Admin], Awaitable[T]], declared: tuple[str, ...]
) -> T:
    from jobs_admin import Admin

    admin = Admin(settings.redis_url, prefix=settings.prefix, timeout=_CALL_TIMEOUT, declared=declared)
    try:
        await admin.connect(CONNECT_TIMEOUT)
        return await work(admin)
    finally:
        await admin.close()
