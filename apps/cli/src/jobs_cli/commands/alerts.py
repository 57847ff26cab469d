"""`jobs alerts`: what fires, and the thresholds, declared and set live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from jobs_cli.arguments import Actor, Json, Reason, option
from jobs_cli.failures import DONE
from jobs_cli.output import print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, AlertRecord

_VALUE = "a number, a duration for oldest, none for no alert, or declared to take back what was set"


def alerts(
    queue: Annotated[str | None, Parameter(show_default=False, help="Only of this queue.")] = None,
    /,
    *,
    active: Annotated[bool, option("Only those that fire.")] = False,
    set: Annotated[list[str] | None, option(f"NAME=VALUE, {_VALUE}; may be repeated.")] = None,  # noqa: A002 - the flag
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> int:
    """List the alerts of queues with their thresholds and what they were judged by a minute ago; with --set change thresholds."""
    from jobs_core.errors import OptionError

    asked = [_asked(text) for text in set or ()]
    if asked and queue is None:
        raise OptionError("--set", ", ".join(set or ()), "name the queue as well")

    async def work(admin: Admin) -> list[AlertRecord]:
        for name, threshold in asked:
            await admin.set_alert(queue or "", name, threshold)
        return await admin.alerts(queue, active=active)

    found = with_admin(work, actor=actor, reason=reason)
    if json:
        print_json(found)
    elif found:
        print_table(
            ["queue", "alert", "state", "since", "value", "threshold", "declared", "live"],
            [
                [
                    each.queue,
                    each.alert,
                    "fires" if each.active else "ok" if each.threshold is not None else "off",
                    each.since,
                    _shown(each.value),
                    _shown(each.threshold),
                    _shown(each.declared),
                    _shown(each.live),
                ]
                for each in found
            ],
        )
    else:
        print("no alert fires" if active else "no queues")
    return DONE


def _asked(text: str) -> tuple[str, float | Literal["declared"] | None]:
    from jobs_core.alerts import check_alert
    from jobs_core.durations import parse_duration
    from jobs_core.errors import OptionError

    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError("--set", text, f"it must be NAME=VALUE, {_VALUE}")
    if value in {"none", "declared"}:
        return check_alert(name), None if value == "none" else "declared"
    if check_alert(name) == "oldest":
        return name, parse_duration(value, name=f"alerts.{name}")
    try:
        return name, float(value)
    except ValueError:
        raise OptionError("--set", text, f"it must be {_VALUE}") from None


def _shown(value: float | str | None) -> str | None:
    return f"{value:.12g}" if isinstance(value, (int, float)) else value
