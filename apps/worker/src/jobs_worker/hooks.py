"""Functions of the user's that hear what a worker does, of one processor or of the whole worker."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, get_args

import msgspec

from jobs_core.errors import OptionError
from jobs_core.records import job_name
from jobs_worker import logs

if TYPE_CHECKING:
    from jobs_worker.delivery import Delivery
    from jobs_worker.routes import Route

HookName: TypeAlias = Literal[
    "active",
    "progress",
    "completed",
    "failed",
    "retrying",
    "stalled",
    "cancelled",
    "lease_lost",
    "error",
    "paused",
    "resumed",
    "ready",
    "closing",
    "closed",
]
HOOKS: tuple[str, ...] = get_args(HookName)
_MOST = 1000
_PATIENCE = 5.0
_log = logs.get("jobs.worker")


class HookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook is told. Fields of the job are empty where it is the worker that does something.

    `data` is the progress (`Progress`), the result as the handler returned it, or the text of the error.
    """

    hook: str
    queue: str = ""
    job_id: str = ""
    name: str = ""
    attempt: int = 0
    data: object = None


Hook: TypeAlias = Callable[[HookEvent], Awaitable[None] | None]
H = TypeVar("H", bound=Hook)


class Hooks:
    """A set of hooks, for `@processor(JOB, hooks=…)` or `Worker(hooks=…)`.

        hooks = Hooks()

        @hooks.on("failed")
        async def tell(event: HookEvent) -> None: ...

    One made with `worker=True` in a module of processors is of every worker that imports the module.
    A `def` runs on the worker's loop, so it must not block; an `async def` runs beside the jobs. One that raises is logged, and
    changes nothing.
    """

    def __init__(self, *, worker: bool = False) -> None:
        """Begin with none."""
        self.worker = worker
        self._hooks: dict[str, list[Hook]] = {}

    def on(self, *names: HookName) -> Callable[[H], H]:
        """Make the decorated function a hook of these names; of all without any. Raises OptionError for an unknown name."""
        for name in names:
            if name not in HOOKS:
                raise OptionError("hook", name, f"it must be one of {', '.join(HOOKS)}")

        def note(hook: H) -> H:
            for name in names or HOOKS:
                self._hooks.setdefault(name, []).append(hook)
            return hook

        return note

    def of(self, name: str) -> list[Hook]:
        """Return the hooks of a name."""
        return self._hooks.get(name, [])


def hooks_of(modules: Iterable[str]) -> list[Hooks]:
    """Return the hooks that modules have for the worker as a whole."""
    found: dict[int, Hooks] = {}
    for name in modules:
        for value in vars(sys.modules.get(name, SimpleNamespace())).values():
            if isinstance(value, Hooks) and value.worker:
                found[id(value)] = value
    return list(found.values())


class HookCalls:
    """Calls the hooks of one worker and of its processors."""

    def __init__(self, hooks: Iterable[Hooks] = ()) -> None:
        """Call the worker's own `hooks` for everything that it does."""
        self._own = tuple(hooks)
        self._running: set[asyncio.Future[None]] = set()
        self._dropped = 0

    def any_for(self, routes: Iterable[Route]) -> bool:
        """Tell whether anybody hears of jobs that are run by these routes."""
        return bool(self._own) or any(route.hooks is not None for route in routes)

    def job(self, name: HookName, queue: str, delivery: Delivery, data: object = None) -> None:
        """Tell of a job: its processor's hooks first, then the worker's."""
        route = delivery.route
        if not self._own and (route is None or route.hooks is None):
            return
        hooks = [hook for each in self._own for hook in each.of(name)] if self._own else []
        if route is not None and route.hooks is not None:
            hooks = [*route.hooks.of(name), *hooks]
        if hooks:
            self._call(
                hooks,
                HookEvent(
                    hook=name,
                    queue=queue,
                    job_id=delivery.id,
                    name=job_name(delivery.header.name),
                    attempt=delivery.attempt,
                    data=data,
                ),
            )

    def worker(self, name: HookName, queue: str = "", data: object = None, *, job_id: str = "") -> None:
        """Tell of the worker, of one of its queues, or of a job that it does not run."""
        hooks = [hook for each in self._own for hook in each.of(name)]
        if hooks:
            self._call(hooks, HookEvent(hook=name, queue=queue, job_id=job_id, data=data))

    async def finish(self) -> None:
        """Wait a while for hooks that still run."""
        if self._running:
            await asyncio.wait(self._running, timeout=_PATIENCE)
        for each in self._running:
            each.cancel()

    def _call(self, hooks: list[Hook], event: HookEvent) -> None:
        for hook in hooks:
            try:
                answer = hook(event)
                if inspect.isawaitable(answer):
                    self._beside(answer, event)
            except Exception:  # noqa: BLE001 - logged with its traceback
                self._failed(event)

    def _beside(self, work: Awaitable[None], event: HookEvent) -> None:
        if len(self._running) >= _MOST:
            # Hooks that are slower than the jobs must not fill the memory.
            if inspect.iscoroutine(work):
                work.close()
            self._dropped += 1
            if self._dropped % _MOST == 1:
                _log.warning("hooks_dropped", hook=event.hook, queue=event.queue, dropped=self._dropped)
            return
        task = asyncio.ensure_future(self._quietly(work, event))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _quietly(self, work: Awaitable[None], event: HookEvent) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._failed(event)

    def _failed(self, event: HookEvent) -> None:
        _log.exception("hook_failed", hook=event.hook, queue=event.queue, job_id=event.job_id)
