"""The `jobs` command: finds the subcommand, imports its module alone, and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

# Group, then command: the function that runs it, and its summary. Nothing is imported to show them.
_GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "dev": ("dev:dev", "Run server, worker and dashboard in one terminal, with reload."),
        "worker": ("run:worker", "Run the jobs of queues, until it is told to stop."),
        "dashboard": ("run:dashboard", "Serve the web pages and the REST API."),
    },
    "Begin": {
        "new-queue": ("new:new_queue", "Write a feature folder that works: declaration, handler and test."),
        "new-project": ("new:new_project", "Write a project of your own with one queue."),
        "plan": ("queues:plan", "Say what the code of here would change on the server."),
        "bench": ("bench:bench", "Measure what this server and this machine do."),
    },
    "Enqueue": {
        "enqueue": ("enqueue:enqueue", "Add a job, or many from a file."),
    },
    "Look": {
        "queues": ("queues:queues", "List the queues with their counts."),
        "stats": ("queues:stats", "Count one queue, or all."),
        "metrics": ("queues:metrics", "Measure throughput, failures and waits of one queue, or all."),
        "health": ("queues:health", "Say whether queues are well, by thresholds."),
        "list": ("jobs:list_jobs", "List jobs of a queue."),
        "history": ("jobs:history", "List the last jobs of a queue that ended, kept or not."),
        "show": ("jobs:show", "Show a job with its attempts."),
        "dead-letters": ("queues:dead_letters", "Count what failed for good, by kind of error."),
        "schedules list": ("schedules:list_schedules", "List schedules, the next to fire first."),
        "schedules show": ("schedules:show", "Show a schedule and its next times."),
        "schedules next": ("schedules:upcoming", "Tell the next times of a schedule."),
        "flow list": ("flows:list_flows", "List flows, those that go on first."),
        "flow show": ("flows:show", "Show a flow as a picture; `jobs flow ID` is short for it."),
        "workers list": ("workers:list_workers", "List the workers and what they serve."),
        "workers running": ("workers:running", "List the jobs that a worker runs."),
        "scaler": ("workers:scaler", "Say how many workers of a weight class there should be."),
        "events": ("events:events", "Follow what happens, as it happens."),
        "top": ("top:top", "Show the queues as they are now, over and over."),
        "alerts": ("alerts:alerts", "List the alerts of queues, or set their thresholds."),
        "audit": ("audit:audit", "List who changed what."),
        "doctor": ("doctor:doctor", "Say why jobs do not run, and how to mend it."),
        "check": ("check:check", "Look whether every invariant of the queues holds."),
    },
    "Change": {
        "retry": ("changes:retry", "Put failed jobs back."),
        "retry-failed": ("changes:retry_failed", "Put all failed jobs of a queue back."),
        "replay": ("replay:replay", "Run again what failed for good, from its dead letters."),
        "cancel": ("changes:cancel", "Cancel jobs, also those that run."),
        "promote": ("changes:promote", "Let delayed jobs run now."),
        "reschedule": ("changes:reschedule", "Give jobs another due time."),
        "priority": ("changes:priority", "Give jobs another priority."),
        "remove": ("changes:remove", "Remove jobs that do not run."),
        "pause": ("changes:pause", "Stop workers from taking jobs of a queue, a job name or a key."),
        "resume": ("changes:resume", "Let workers take them again."),
        "limit": ("limits:limit", "Set limits of a queue live, or list them."),
        "drain": ("changes:drain", "Remove all waiting jobs of a queue."),
        "clean": ("changes:clean", "Remove ended jobs of a queue."),
        "obliterate": ("changes:obliterate", "Remove everything of a queue."),
        "schedules add": ("schedule_add:add", "Write a schedule."),
        "schedules remove": ("schedules:remove", "Remove a schedule."),
        "schedules pause": ("schedules:pause", "Pause a schedule."),
        "schedules resume": ("schedules:resume", "Let a schedule go on."),
        "schedules trigger": ("schedules:trigger", "Enqueue the job of a schedule now."),
        "schedules backfill": ("schedules:backfill", "Enqueue the jobs of a range of the past."),
        "flow cancel": ("flows:cancel", "Cancel a flow and all its jobs."),
        "flow retry": ("flows:retry", "Let a flow that failed go on from there."),
        "workers quiet": ("workers:quiet", "Let a worker claim no more."),
        "workers resume": ("workers:resume", "Let it claim again."),
        "workers stop": ("workers:stop", "End a worker once it has finished what runs."),
        "workers scale": ("workers:scale", "Say how many children of each worker serve a queue."),
        "workers concurrency": ("workers:concurrency", "Say how many jobs of a queue a worker runs at once."),
        "workers stacks": ("workers:stacks", "Show what the threads of a worker are doing."),
    },
}
COMMANDS = {name: target for group in _GROUPS.values() for name, (target, _) in group.items()}
_HELP = ("--help", "-h")
# What is meant by the name of a group with an id behind it.
SHORT = {"flow": "flow show"}


def main() -> int:
    """Run the command line of this process and return its exit code."""
    # As `python -m` does, so that JOBS_FEATURES may name packages of the folder one stands in.
    if not sys.flags.safe_path and (here := os.getcwd()) not in sys.path:  # noqa: PTH109 - pathlib costs time
        sys.path.insert(0, here)
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough (`jobs list … | head`). What is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    return code


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; only bugs raise."""
    if not arguments or arguments[0] in _HELP:
        print(_overview())
        return 0
    if arguments[0] in {"--version", "-V"}:
        from importlib.metadata import version

        print(f"jobs {version('jobs-cli')}")
        return 0
    name, rest = _split(arguments)
    if name in SHORT and rest and rest[0] not in _HELP:
        name = SHORT[name]
    if name in COMMANDS:
        return _command(name, rest)
    below = {each for each in COMMANDS if each.startswith(f"{name} ")}
    if below and (not rest or rest[0] in _HELP):
        print(_overview(below))
        return 0
    from difflib import get_close_matches

    wrong = f"{name} {rest[0]}" if below else name
    near = get_close_matches(wrong, COMMANDS)
    hint = f" Did you mean {' or '.join(f'`jobs {each}`' for each in near)}?" if near else ""
    print(f"jobs: there is no command `{wrong}`.{hint} See `jobs --help`.", file=sys.stderr)
    return 2


def _split(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    pair = " ".join(arguments[:2])
    return (pair, arguments[2:]) if pair in COMMANDS else (arguments[0], arguments[1:])


def _command(name: str, arguments: Sequence[str]) -> int:
    from cyclopts import App, CycloptsError

    from jobs_cli.failures import report
    from jobs_core.errors import JobsError

    module, _, function = COMMANDS[name].partition(":")
    app = App(
        name=f"jobs {name}",
        version_flags=(),
        # Markdown would cost a quarter of a second to import.
        help_format="plaintext",
        help_formatter="plain",
        result_action="return_value",
    )
    app["--help"].show = False
    app.default(
        cast("Callable[..., object]", getattr(import_module(f"jobs_cli.commands.{module}"), function))
    )
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"jobs {name}: {error} See `jobs {name} --help`.", file=sys.stderr)
        return 2
    except JobsError as error:
        return report(error, arguments)
    return code if isinstance(code, int) else 0


def _overview(only: set[str] | None = None) -> str:
    lines = ["Usage: jobs COMMAND [ARGS]", "", "Background jobs on Redis or Valkey.", ""]
    for group, commands in _GROUPS.items():
        shown = [
            f"  {name:20}{summary}" for name, (_, summary) in commands.items() if only is None or name in only
        ]
        if shown:
            lines += [f"{group}:", *shown, ""]
    lines += [
        "The server is REDIS_URL (redis://localhost:6379/0), the key prefix JOBS_PREFIX (jobs).",
        "Shells have a builtin called jobs: type `env jobs …`, `.venv/bin/jobs …` or `jobsctl …`.",
        "`jobs COMMAND --help` tells the options of a command; --version the version.",
    ]
    return "\n".join(lines)
