"""The worker program: `jobs worker` and `python -m jobs_worker`."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from jobs_core.errors import ConfigurationError
from jobs_core.settings import FeatureSettings, WorkerSettings
from jobs_worker import logs
from jobs_worker.control import EXIT_CONFIGURATION
from jobs_worker.supervisor import Supervisor


def run(settings: WorkerSettings) -> int:
    """Run a worker until it is stopped. Returns the exit code: 0 drained, 2 wrong configuration, 143 jobs outlived the grace."""
    logs.configure(settings.log_level, settings.log_format)

    async def supervise() -> int:
        return await Supervisor(settings).run()

    try:
        # Read where they are needed, by each child; what is wrong with one is told now.
        FeatureSettings.from_env()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(supervise())
    except ConfigurationError as error:
        logs.get("jobs.worker").error("configuration", error=str(error), code=error.code)
        return EXIT_CONFIGURATION


def main() -> None:
    """Run a worker as the environment says."""
    try:
        settings = WorkerSettings.from_env()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_CONFIGURATION)
    sys.exit(run(settings))
