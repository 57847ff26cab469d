"""What people tell a worker that runs: carried out, and answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from jobs_core import commands
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_worker import logs

if TYPE_CHECKING:
    from jobs_worker.crew import Crew
    from jobs_worker.presence import Presence

_log = logs.get("jobs.worker")


class Orders:
    """The commands for one worker."""

    def __init__(self, crew: Crew, presence: Presence) -> None:
        """Carry them out by these."""
        self._crew = crew
        self._presence = presence
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Hear what people tell this worker, and all of them."""
        prefix = self._presence.settings.prefix
        self._presence.client.subscribe(commands.worker_channel(prefix, self._presence.id), self._heard)
        self._presence.client.subscribe(commands.every_worker(prefix), lambda _: self._presence.news.set())

    def _heard(self, body: bytes) -> None:
        try:
            command = commands.decode_command(body)
        except msgspec.MsgspecError as error:
            _log.warning("command_refused", error=str(error))
            return
        task = asyncio.create_task(self._obey(command), name="command")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, command: commands.WorkerCommand) -> None:
        """Do what somebody told this worker, and answer."""
        _log.info("command", verb=command.verb, queue=command.queue, number=command.number)
        refused, stacks = "", list[commands.ChildStack]()
        match command.verb:
            case "quiet" | "resume":
                self._crew.staffing.quieted = command.verb == "quiet"
                self._crew.arrange()
            case "stop":
                if not self._crew.shutdown.begun:
                    _log.info("stopping", reason="told to", grace=self._presence.settings.shutdown_grace)
                    self._crew.stop()
            case "concurrency":
                refused = self._crew.set_slots(command.queue, command.number)
            case "stacks":
                for child in list(self._crew.children.values()):
                    stacks.append(commands.ChildStack(pid=child.pid, stack=await child.stack()))
            case "scale":
                pass
        self._presence.news.set()
        answer = commands.WorkerAnswer(state=self._crew.state, refused=refused, stacks=tuple(stacks))
        try:
            await commands.answer_worker(self._presence.client, command.reply, answer)
        except (JobsError, OutcomeLost) as error:
            _log.warning("answer_failed", verb=command.verb, error=str(error))

    async def close(self) -> None:
        """Leave what is not done undone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
