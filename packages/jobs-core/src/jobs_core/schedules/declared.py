"""A schedule as code declares it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from jobs_core.schedules.fires import make_definition
from jobs_core.schedules.options import Timing

if TYPE_CHECKING:
    from jobs_core.codecs import Codecs
    from jobs_core.job_type import JobType
    from jobs_core.options import DefaultJobOptions
    from jobs_core.schedules.definition import ScheduleDefinition


class DeclaredSchedule(msgspec.Struct, frozen=True):
    """A schedule as code declares it: workers of its queue write it when they start.

    `definition` is what it comes to for the service level of a worker. `source` is where it was declared, as `path:line`;
    `requires` names environment variables without which it is not written.
    """

    id: str
    job: JobType[object, object]
    payload: object
    timing: Timing
    source: str
    requires: tuple[str, ...] = ()

    def unset(self, env: Mapping[str, str]) -> list[str]:
        """Return the variables that it needs and that are unset or empty; with one of these no worker writes it."""
        return [name for name in self.requires if not env.get(name, "").strip()]

    def definition(
        self, service: DefaultJobOptions | None = None, codecs: Codecs | None = None
    ) -> ScheduleDefinition:
        """Return what is kept of it. Raises CodecError or ConfigurationError where keys are missing."""
        return make_definition(
            self.id,
            self.job,
            self.payload,
            self.timing,
            service=service,
            codecs=codecs,
            from_code=True,
        )
