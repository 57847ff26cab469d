"""`jobs limit`: the limits of a queue, declared and set live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from jobs_cli.arguments import Actor, Json, Queue, Reason, option
from jobs_cli.failures import DONE
from jobs_cli.output import print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, LimitRecord, LiveLimits, RateRecord
    from jobs_core.flow import RateLimit

_NUMBER = "a number, none for no limit, or declared to take back what was set"
_RATE = "such as 10/s or 100/1m, with a burst 10/s/20; or none, or declared"
_UNITS = {"s": "1s", "min": "1m", "m": "1m", "h": "1h", "d": "1d"}


def limit(
    queue: Queue,
    /,
    *,
    max_active: Annotated[str | None, option(f"Jobs at once over all workers: {_NUMBER}.")] = None,
    rate: Annotated[str | None, option(f"Starts over all workers: {_RATE}.")] = None,
    key_concurrency: Annotated[str | None, option("Jobs of one key at once; likewise.")] = None,
    key_rate: Annotated[str | None, option("Starts of one key; as --rate.")] = None,
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> int:
    """Set limits of a queue live, over what code declares; without any, list them."""
    asked: LiveLimits = {}
    if max_active is not None:
        asked["max_active"] = _number("--max-active", max_active)
    if rate is not None:
        asked["rate_limit"] = _rate("--rate", rate)
    if key_concurrency is not None:
        asked["key_concurrency"] = _number("--key-concurrency", key_concurrency)
    if key_rate is not None:
        asked["key_rate"] = _rate("--key-rate", key_rate)

    async def work(admin: Admin) -> tuple[bool, list[LimitRecord]]:
        changed = await admin.limit(queue, **asked) if asked else False
        return changed, await admin.limits(queue)

    changed, limits = with_admin(work, actor=actor, reason=reason)
    if json:
        print_json({"queue": queue, "changed": changed, "limits": limits})
        return DONE
    print_table(
        ["limit", "declared", "live", "in force"],
        [
            [
                each.limit,
                _shown(each.declared),
                "none" if each.lifted else _shown(each.live),
                "none" if each.lifted else _shown(each.declared if each.live is None else each.live),
            ]
            for each in limits
        ],
    )
    return DONE


def _number(flag: str, text: str) -> int | Literal["declared"] | None:
    from jobs_core.errors import OptionError

    if text in {"none", "declared"}:
        return None if text == "none" else "declared"
    if not (text.isascii() and text.isdigit()):
        raise OptionError(flag, text, f"it must be {_NUMBER}")
    return int(text)


def _rate(flag: str, text: str) -> RateLimit | Literal["declared"] | None:
    from jobs_core.durations import parse_duration
    from jobs_core.errors import OptionError
    from jobs_core.flow import RateLimit

    if text in {"none", "declared"}:
        return None if text == "none" else "declared"
    most, *rest = text.split("/")
    if not (most.isascii() and most.isdigit() and 1 <= len(rest) <= 2 and all(rest)):
        raise OptionError(flag, text, f"it must be {_RATE}")
    if len(rest) == 2 and not (rest[1].isascii() and rest[1].isdigit()):
        raise OptionError(flag, text, f"it must be {_RATE}")
    per = parse_duration(_UNITS.get(rest[0], rest[0]), name=flag)
    return RateLimit(int(most), per=per, burst=int(rest[1]) if len(rest) == 2 else None)


def _shown(value: int | RateRecord | None) -> str | int | None:
    if value is None or isinstance(value, int):
        return value
    burst = "" if value.burst == value.max else f", burst {value.burst}"
    return f"{value.max} in {value.per_ms / 1000:g} s{burst}"
