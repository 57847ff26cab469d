"""Who gets a mail whose payload names nobody."""

from collections.abc import Sequence

from jobs_worker import Fail


def recipients(to: Sequence[str], variable: str, what: str) -> Sequence[str]:
    """Return the addresses that there are. Raises Fail where nobody is to get the mail; `variable` would name some."""
    if not to:
        raise Fail(f"nobody is to get {what}: give `to`, or set {variable}")
    return to
