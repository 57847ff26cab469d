"""What all parts of an admin work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

# Structs resolve their annotations where they are defined.
from jobs_admin._audit import Audit
from jobs_admin._calls import Calls
from jobs_admin._directory import Directory
from jobs_admin.redaction import Redaction
from jobs_core.records import JobRecord

if TYPE_CHECKING:
    from jobs_core.scripts import Scripts

J = TypeVar("J", bound=JobRecord)


class Context(msgspec.Struct, frozen=True):
    """The calls to the server, the queues there are, the audit in the name of who acts, and what nobody may see."""

    calls: Calls
    directory: Directory
    audit: Audit
    redaction: Redaction | None = None

    @property
    def scripts(self) -> Scripts:
        """The scripts of the engine, on the connection of the admin."""
        return self.calls.scripts

    @property
    def prefix(self) -> str:
        """What all keys begin with."""
        return self.calls.scripts.prefix

    def shown(self, record: J) -> J:
        """Return a record without what is marked as not to be seen."""
        return record if self.redaction is None else self.redaction.job(record)
