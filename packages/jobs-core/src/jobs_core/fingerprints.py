"""What errors have in common: type and place, so that a thousand failures show as the few causes they have."""

from __future__ import annotations

import re
import sysconfig
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs_core.wire import ErrorInfo

__all__ = ["fingerprint"]

_FRAME = re.compile(r'^  File "([^"\n]+)", line \d+, in (\S+)', re.MULTILINE)
_LIBRARIES = (
    "site-packages/",
    "dist-packages/",
    "/jobs_worker/runner.py",
    "/jobs_worker/process_main.py",
    "<",
)
_STANDARD = sysconfig.get_path("stdlib")
_CAP = 120


def fingerprint(error: ErrorInfo) -> str:
    """Return the group of an error: its type and the innermost function of the application that it came from.

    Line numbers and messages are left out: they differ from release to release and from job to job. An error
    that has no type (`Fail`) is grouped by the start of its reason, without digits.
    """
    kind = error.type or re.sub(r"\d+", "#", error.message)[:60]
    # The innermost cause is what a traceback ends with.
    for path, function in reversed(_FRAME.findall(error.stack)):
        if not path.startswith(_STANDARD) and not any(part in path for part in _LIBRARIES):
            place = PurePath(path)
            return f"{kind} in {place.parent.name}/{place.name}:{function}"[:_CAP]
    return kind[:_CAP]
