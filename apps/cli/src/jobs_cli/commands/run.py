"""`jobs worker` and `jobs dashboard`: flags stand over environment variables, and change nothing there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

from jobs_cli.arguments import option
from jobs_cli.failures import lacks
from jobs_core.errors import SettingsError


def worker(
    *,
    type: Annotated[  # noqa: A002 - the flag is --type
        str | None, option("light, medium, heavy, several of them, or all (WORKER_TYPE).")
    ] = None,
    queues: Annotated[str | None, option("Only these queues, separated by commas (WORKER_QUEUES).")] = None,
    concurrency: Annotated[
        str | None, option("Jobs at a time, per child and queue (WORKER_CONCURRENCY).")
    ] = None,
    processes: Annotated[str | None, option("Child processes, or auto (WORKER_PROCESSES).")] = None,
    min_processes: Annotated[str | None, option("Fewest, with auto (WORKER_MIN_PROCESSES).")] = None,
    max_processes: Annotated[str | None, option("Most, with auto (WORKER_MAX_PROCESSES).")] = None,
    shutdown_grace: Annotated[
        str | None, option("How long running jobs may take at the end, such as 30s (WORKER_SHUTDOWN_GRACE).")
    ] = None,
    http_host: Annotated[
        str | None, option("Where /healthz, /readyz and /status listen (WORKER_HTTP_HOST).")
    ] = None,
    http_port: Annotated[str | None, option("On which port (WORKER_HTTP_PORT).")] = None,
) -> int:
    """Run the jobs of queues, until SIGTERM or Ctrl-C. A flag wins over its variable."""
    from jobs_core.settings import WorkerSettings

    flags = {
        "WORKER_TYPE": ("--type", type),
        "WORKER_QUEUES": ("--queues", queues),
        "WORKER_CONCURRENCY": ("--concurrency", concurrency),
        "WORKER_PROCESSES": ("--processes", processes),
        "WORKER_MIN_PROCESSES": ("--min-processes", min_processes),
        "WORKER_MAX_PROCESSES": ("--max-processes", max_processes),
        "WORKER_SHUTDOWN_GRACE": ("--shutdown-grace", shutdown_grace),
        "WORKER_HTTP_HOST": ("--http-host", http_host),
        "WORKER_HTTP_PORT": ("--http-port", http_port),
    }
    try:
        settings = WorkerSettings.from_env(_overlaid(flags))
    except SettingsError as error:
        raise _named(error, flags) from None
    try:
        from jobs_worker.main import run
    except ModuleNotFoundError as error:
        return _missing(error, "jobs_worker", "worker")
    return run(settings)


def dashboard(
    *,
    host: Annotated[str | None, option("Address to listen on (DASHBOARD_HOST).")] = None,
    port: Annotated[str | None, option("Port to listen on (DASHBOARD_PORT).")] = None,
) -> int:
    """Serve the web pages and the REST API, until SIGTERM or Ctrl-C. A flag wins over its variable."""
    from jobs_core.settings import DashboardSettings

    flags = {"DASHBOARD_HOST": ("--host", host), "DASHBOARD_PORT": ("--port", port)}
    try:
        settings = DashboardSettings.from_env(_overlaid(flags))
    except SettingsError as error:
        raise _named(error, flags) from None
    try:
        from jobs_dashboard.main import run
    except ModuleNotFoundError as error:
        return _missing(error, "jobs_dashboard", "dashboard")
    return run(settings)


def _overlaid(flags: Mapping[str, tuple[str, str | None]]) -> dict[str, str]:
    return {**os.environ, **{variable: value for variable, (_, value) in flags.items() if value is not None}}


def _named(error: SettingsError, flags: Mapping[str, tuple[str, str | None]]) -> SettingsError:
    """Return the error with the name that the user wrote: the flag's, where that is what holds the value."""
    flag, value = flags.get(error.variable, ("", None))
    return error if value is None else SettingsError(flag, error.value, error.allowed)


def _missing(error: ModuleNotFoundError, package: str, extra: str) -> int:
    if (error.name or "").partition(".")[0] != package:
        raise error
    return lacks(extra)
