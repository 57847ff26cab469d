"""`jobs schedules add`: a recurring job, written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from jobs_cli.arguments import Actor, Json, Queue, Reason, flag, option, read_instant
from jobs_cli.at_fault import at_fault, read_payload
from jobs_cli.commands.enqueue import find_job
from jobs_cli.output import cell, print_json
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.json_options import FindJob
    from jobs_core.options import JobOptions
    from jobs_core.schedules.options import MisfirePolicy, ScheduleOptions


def add(
    queue: Queue,
    job: Annotated[str, Parameter(help="Name of the job, or name@version.")],
    /,
    *,
    cron: Annotated[str | None, option("When it fires, such as '30 9 * * MON-FRI' or @daily.")] = None,
    every: Annotated[str | None, option("Or how often, such as 5m.")] = None,
    at: Annotated[
        list[str] | None,
        option("Or at an instant, such as 2027-01-31T09:00:00+01:00; may be given again."),
    ] = None,
    after_completion: Annotated[str | None, option("Or so long after each run has ended.")] = None,
    timezone: Annotated[str | None, option("On whose wall clock cron goes (UTC).")] = None,
    payload: Annotated[
        str | None, option("JSON, {} without it; - reads it from standard input.", takes_hyphen=True)
    ] = None,
    id: Annotated[str | None, option("Id; queue:job:spec without it.")] = None,  # noqa: A002 - the flag is --id
    limit: Annotated[int | None, option("Fires in all.")] = None,
    start: Annotated[str | None, option("Not before an instant, such as 2027-01-31T09:00:00+01:00.")] = None,
    end: Annotated[str | None, option("Not after an instant.")] = None,
    jitter: Annotated[str | None, option("Spread each fire over so long.")] = None,
    overlap: Annotated[
        str | None,
        option("What a fire does while the run before goes on: allow, skip, buffer_one, cancel_previous."),
    ] = None,
    misfire: Annotated[
        str | None, option("What is done for missed fires: run_once, skip, or how many are made up for.")
    ] = None,
    catch_up_window: Annotated[str | None, option("How long ago a missed fire may lie (24h).")] = None,
    pause_on_failure: Annotated[bool, flag("Pause it when a run fails for good.")] = False,
    priority: Annotated[
        str | None, option("Of its jobs: critical, high, normal, low, background, 1 to 5.")
    ] = None,
    attempts: Annotated[int | None, option("Runs of each of its jobs in all.")] = None,
    options: Annotated[str | None, option("Other options of its jobs, as JSON.")] = None,
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> None:
    """Write a schedule; one that is there and says the same stays as it is."""
    from jobs_core.discovery import load_features
    from jobs_core.settings import CommonSettings

    settings = CommonSettings.from_env()
    find = partial(find_job, load_features(settings.features))
    given: dict[str, object] = {
        "cron": cron,
        "every": _seconds("--every", every),
        "at": [read_instant("--at", each) for each in at] if at else None,
        "after_completion": _seconds("--after-completion", after_completion),
        "timezone": timezone,
        "limit": limit,
        "start": None if start is None else read_instant("--start", start),
        "end": None if end is None else read_instant("--end", end),
        "jitter": _seconds("--jitter", jitter),
        "overlap": overlap,
        "misfire": None if misfire is None else _misfire(misfire),
        "catch_up_window": _seconds("--catch-up-window", catch_up_window),
        "pause_on_failure": pause_on_failure or None,
        "options": _job_options(options, {"priority": priority, "attempts": attempts}, find),
    }
    chosen: ScheduleOptions = {name: value for name, value in given.items() if value is not None}  # pyright: ignore[reportAssignmentType] - checked where they are read
    job_type = find(queue, job)
    value = read_payload("--payload", payload, job_type)

    service = settings.default_job_options
    outcome, record = with_admin(
        lambda admin: admin.schedules.upsert(id, job_type, value, default_job_options=service, **chosen),
        actor=actor,
        reason=reason,
    )
    if json:
        print_json({"outcome": outcome, "schedule": record})
    else:
        print(f"{record.queue}/{record.id} {outcome}, next {cell(record.next_at)}")


def _seconds(name: str, text: str | None) -> float | None:
    from jobs_core.durations import parse_duration

    return None if text is None else parse_duration(text, name=name)


def _job_options(text: str | None, named: Mapping[str, object], find: FindJob) -> JobOptions | None:
    """Return the options of the jobs: those of the JSON, and over them those that have a flag of their own."""
    from jobs_core.errors import OptionError
    from jobs_core.json_options import parse_options

    try:
        given = {} if text is None else msgspec.json.decode(text, type=dict[str, object])
    except msgspec.MsgspecError:
        raise OptionError("--options", text, 'it must be a JSON object, such as {"timeout": "30s"}') from None
    with at_fault("--options"):
        options = parse_options(given, find)
    options |= parse_options({name: value for name, value in named.items() if value is not None})
    return options or None


def _misfire(text: str) -> MisfirePolicy:
    from jobs_core.schedules.options import RunAll

    if text.isascii() and text.isdigit():
        return RunAll(int(text))
    return text  # pyright: ignore[reportReturnType] - checked where it is read
