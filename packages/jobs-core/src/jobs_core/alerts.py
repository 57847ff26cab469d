"""What may be alerted of a queue, and from where on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from jobs_core.durations import to_ms
from jobs_core.errors import OptionError

if TYPE_CHECKING:
    from jobs_core.durations import Duration

__all__ = ["ALERTS", "DEFAULTS", "AlertName", "check_alert", "check_alerts", "check_threshold"]

AlertName: TypeAlias = Literal[
    "waiting", "failed", "growing", "oldest", "failure_rate", "no_workers", "unroutable"
]
"""`waiting`: more jobs than this wait. `failed`: more failed jobs are kept. `growing`: the backlog grew for so many minutes
running. `oldest`: a job has waited for longer, in seconds. `failure_rate`: a larger share (0 to 1) of the jobs that ended in the
last 10 minutes failed, if at least 20 did. `no_workers`: jobs wait and no worker has served the queue for so many minutes.
`unroutable`: more jobs are parked because no worker knows them."""

ALERTS: Final[tuple[AlertName, ...]] = get_args(AlertName)
DEFAULTS: Final[Mapping[AlertName, float]] = MappingProxyType(
    {
        "waiting": 1000,
        "failed": 100,
        "growing": 10,
        "oldest": 3600,
        "failure_rate": 0.5,
        "no_workers": 2,
        "unroutable": 0,
    }
)
_WHOLE = frozenset({"waiting", "failed", "growing", "no_workers", "unroutable"})
_MINUTES = frozenset({"growing", "no_workers"})


def check_alert(name: str) -> AlertName:
    """Return the name of an alert. Raises OptionError for any other."""
    for known in ALERTS:
        if name == known:
            return known
    raise OptionError("alert", name, f"there is no such alert; there are {', '.join(ALERTS)}")


def check_threshold(name: AlertName, value: Duration) -> float:
    """Return a threshold as a number. Raises OptionError for one that the alert cannot have."""
    option = f"alerts.{name}"
    if name == "oldest":
        return to_ms(value, name=option) / 1000
    if isinstance(value, timedelta):
        raise OptionError(option, value, "it is no duration")
    if name == "failure_rate":
        if not 0 <= value < 1:
            raise OptionError(option, value, "it must be a share from 0 to below 1")
    elif value != int(value) or value < (1 if name in _MINUTES else 0):
        raise OptionError(option, value, f"it must be a whole number, {1 if name in _MINUTES else 0} or more")
    return int(value) if name in _WHOLE else float(value)


def check_alerts(given: Mapping[AlertName, Duration | None]) -> Mapping[AlertName, float | None]:
    """Return thresholds as numbers, None for alerts that are off. Raises OptionError."""
    checked: dict[AlertName, float | None] = {}
    for name, value in given.items():
        known = check_alert(name)
        checked[known] = None if value is None else check_threshold(known, value)
    return MappingProxyType(checked)
