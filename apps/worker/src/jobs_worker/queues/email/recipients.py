"""Who gets a mail whose payload names nobody."""

import os
from collections.abc import Sequence

from jobs_worker import Fail


def recipients(to: Sequence[str], variable: str, what: str) -> Sequence[str]:
    """Return the addresses given, else those of an environment variable. Raises Fail where nobody is to get the mail."""
    found = to or [each.strip() for each in os.environ.get(variable, "").split(",") if each.strip()]
    if not found:
        raise Fail(f"nobody is to get {what}: give `to`, or set {variable}")
    return found
