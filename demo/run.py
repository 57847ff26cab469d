"""Run the demo: `make demo`, `make demo KEEP=1`, `make demo PICTURES=directory`.

Everything real is there: a Valkey server with an append-only file, a light, a medium and a heavy worker, the
dashboard and the example API, each a process of its own, and two receivers for what they send. The work goes
in through the API over HTTP. On the way a worker child is killed with SIGKILL. At the end every output is
opened. Exits with 0 if all of it is there and right, with 1 if not, and says what is missing.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import aiohttp
import msgspec
from rich.console import Console

from demo import api, pictures, workload
from demo.check import Check
from demo.links import check_links
from demo.processes import DemoFailed, Programs
from demo.progress import Display
from demo.stage import ROOT, Stage, set_up
from demo.summary import report, summarise
from demo.watch import STALLED_SECONDS, Tracker, follow, kill_child
from jobs_core.errors import JobsError
from jobs_core.server import EmbeddedServer

MAILS = 2000
WEBHOOKS = 500
_LOGS = ROOT / ".demo" / "logs"
_INTERRUPTED = 130


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; `stop_after` is how many seconds without any movement end the wait."""

    mails: int = MAILS
    webhooks: int = WEBHOOKS
    pictures: Path | None = None
    keep: bool = False
    stop_after: float = STALLED_SECONDS


async def run(choices: Choices, console: Console) -> int:
    """Run the demo and return its exit code."""
    started = time.monotonic()
    sources = pictures.find_photographs(choices.pictures)
    async with Programs() as programs:
        server = EmbeddedServer(data_dir=programs.directory / "server")
        code = 1
        try:
            server.start()
            stage = await set_up(programs, server.url, sources)
            seconds = time.monotonic() - started
            console.print(f"Up after {seconds:.1f} s: Valkey, three workers, dashboard, API, receivers.")
            if left_out := len(sources) - len(stage.photographs):
                console.print(f"{left_out} of {len(sources)} files could not be opened as pictures.")
            tracker = await perform(programs, stage, choices, console)
            counts = await api.dashboard_counts(stage.dashboard, stage.token)
            links = await check_links(stage, tracker)
            async with asyncio.TaskGroup() as group:
                checking = group.create_task(asyncio.to_thread(_check, stage, choices, tracker, counts))
                if not choices.keep:
                    # All outputs are on the disk, so the programs may go meanwhile.
                    group.create_task(programs.stop())
            checks = (*checking.result(), links)
            queues = [summarise(queue, records) for queue, records in tracker.by_queue().items()]
            code = report(console, queues, checks)
            console.print(f"All in all {time.monotonic() - started:.1f} s.")
            if choices.keep:
                await stay_up(programs, stage, console)
        finally:
            if code:
                _save_logs(programs)
            await programs.stop()
            server.stop()
    return code


async def perform(programs: Programs, stage: Stage, choices: Choices, console: Console) -> Tracker:
    """Send all the work and follow it to its end. Raises DemoFailed, in a group."""
    work = workload.everything(
        mails=choices.mails,
        webhooks=choices.webhooks,
        bookings=stage.bookings,
        photographs=stage.photographs,
        source=stage.source,
    )
    async with aiohttp.ClientSession(stage.api) as session, asyncio.TaskGroup() as group:
        with Display(console, workload.count(work)) as display:
            tracker = Tracker(stage, display, workload.count(work))

            async def strike() -> None:
                await tracker.midway.wait()
                await kill_child(stage.workers["light"], display)

            group.create_task(api.send(session, work, tracker.take))
            killing = group.create_task(strike())
            await follow(programs, session, tracker, display, choices.stop_after)
            if tracker.midway.is_set():
                await killing
            else:
                killing.cancel()
    return tracker


async def stay_up(programs: Programs, stage: Stage, console: Console) -> None:
    """Print where everything is and wait for Ctrl-C. Raises DemoFailed when a program ends on its own."""
    console.print(f"Dashboard:            {stage.dashboard}/#token={stage.token}", soft_wrap=True)
    console.print(f"API:                  {stage.api}/", soft_wrap=True)
    console.print(f"Files until the end:  {programs.directory}", soft_wrap=True)
    console.print("Ctrl-C ends it all.")
    try:
        while True:
            programs.check()
            await asyncio.sleep(1)
    except asyncio.CancelledError:
        console.print("Ending.")


async def _run_until_signal(choices: Choices, console: Console) -> int:
    """Run; a signal that asks for the end cancels whatever is under way, so that all is put away."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if task is not None:
            loop.add_signal_handler(number, task.cancel)
    return await run(choices, console)


def _check(stage: Stage, choices: Choices, tracker: Tracker, counts: Mapping[str, int]) -> Sequence[Check]:
    # Imported late: the libraries that read the outputs would hold up the start by a second.
    from demo.verdict import check_all, check_counts  # noqa: PLC0415

    return (*check_all(stage, choices.mails, choices.webhooks, tracker), check_counts(counts, tracker))


def _save_logs(programs: Programs) -> None:
    """Keep the logs of a run that went wrong, since the directory goes away."""
    shutil.rmtree(_LOGS, ignore_errors=True)
    shutil.copytree(programs.logs, _LOGS)


def _choices(arguments: Sequence[str]) -> Choices:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--mails", type=int, default=MAILS, help="how many mails to send (%(default)s)")
    parser.add_argument("--webhooks", type=int, default=WEBHOOKS, help="how many webhooks (%(default)s)")
    parser.add_argument("--pictures", type=Path, help="a directory of your own pictures (or PICTURES=)")
    parser.add_argument("--keep", action="store_true", help="leave all up until Ctrl-C (or KEEP=1)")
    parser.add_argument("--stop-after", type=float, default=STALLED_SECONDS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.mails < 1 or given.webhooks < 1:
        parser.error("send at least one mail and one webhook")
    directory = given.pictures or (Path(os.environ["PICTURES"]) if os.environ.get("PICTURES") else None)
    if directory is not None and not directory.is_dir():
        parser.error(f"PICTURES={directory}: there is no such directory")
    return Choices(
        mails=given.mails,
        webhooks=given.webhooks,
        pictures=directory,
        keep=given.keep or os.environ.get("KEEP", "") not in {"", "0"},
        stop_after=given.stop_after,
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error


def main() -> None:
    """Run the demo and exit with its code."""
    console = Console()
    choices = _choices(sys.argv[1:])
    code = 1
    try:
        code = asyncio.run(_run_until_signal(choices, console))
    except* (DemoFailed, JobsError) as group:
        for error in _leaves(group):
            console.print(f"[bold red]The demo failed.[/bold red] {error}", highlight=False, soft_wrap=True)
    except* (asyncio.CancelledError, KeyboardInterrupt):
        console.print("Interrupted; everything has been ended.")
        code = _INTERRUPTED
    if code == 1:
        console.print(f"The logs of all programs are in {_LOGS}", soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
