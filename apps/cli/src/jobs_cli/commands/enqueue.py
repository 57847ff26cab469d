"""`jobs enqueue`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Json, Queue, flag, option
from jobs_cli.at_fault import read_payload
from jobs_cli.failures import DONE, FAILED, USAGE
from jobs_cli.output import print_json
from jobs_cli.progress import progress_bar
from jobs_cli.session import CONNECT_TIMEOUT
from jobs_core.errors import JobCancelled, JobExpired, JobFailed, JobsError, ResultError, ResultNotKept

if TYPE_CHECKING:
    from jobs_core.discovery import Catalog
    from jobs_core.options import JobOptions
    from jobs_core.queue import JobType
    from jobs_core.settings import CommonSettings

_STATES: dict[type[ResultError], str] = {
    JobFailed: "failed",
    JobCancelled: "cancelled",
    JobExpired: "expired",
}


_COUNTED = {"known": "known already"}
_TOLD = {
    "known": ", known already: nothing was added",
    "skipped": ", a job with its unique key is there already: nothing was added",
    "replaced": ", a job with its unique key was there: it has this payload now",
    "extended": ", a job with its unique key was there: it is put off",
    "kept": ", runs after the job that has its unique key",
}


def enqueue(
    queue: Queue,
    job: Annotated[
        str | None, Parameter(show_default=False, help="Name of the job, or name@version.")
    ] = None,
    payload: Annotated[
        str | None,
        Parameter(
            show_default=False,
            allow_leading_hyphen=True,
            help="JSON, {} without it; - reads it from standard input.",
        ),
    ] = None,
    /,
    *,
    priority: Annotated[str | None, option("critical, high, normal, low, background, or 1 to 5.")] = None,
    delay: Annotated[str | None, option("Not before so long, such as 30s or 2h.")] = None,
    at: Annotated[str | None, option("Not before an instant, such as 2027-01-31T09:00:00+01:00.")] = None,
    attempts: Annotated[int | None, option("Runs in all.")] = None,
    id: Annotated[str | None, option("Id of your own; a second job with it is not added.")] = None,  # noqa: A002 - the flag is --id
    unique: Annotated[str | None, option("Not while another job of the name with this key is there.")] = None,
    key: Annotated[str | None, option("Whose job it is, in a queue that has keys.")] = None,
    wait: Annotated[bool, flag("Wait until the job ended, and print its result.")] = False,
    timeout: Annotated[str | None, option("With --wait: for so long at most.")] = None,
    bulk: Annotated[
        Path | None,
        option(
            "Add a job for each line {payload, job?, options?} of a file (- for standard input).",
            takes_hyphen=True,
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Add a job that code declares. Its payload is checked before anything is sent."""
    from jobs_core.json_options import parse_options
    from jobs_core.settings import CommonSettings

    given = {
        "priority": _priority(priority),
        "delay": delay,
        "run_at": at,
        "attempts": attempts,
        "job_id": id,
        "unique": unique,
        "key": key,
    }
    options = parse_options({name: value for name, value in given.items() if value is not None})
    settings = CommonSettings.from_env()
    if bulk is not None:
        if payload is not None or wait:
            return _usage("--bulk takes payloads from its file, and does not wait.")
        return _enqueue_bulk(settings, queue, job, bulk, options, json=json)
    if job is None:
        return _usage("give the name of a job.")
    return _enqueue_one(settings, queue, job, payload, options, wait=wait, timeout=timeout, json=json)


def _enqueue_one(
    settings: CommonSettings,
    queue: str,
    job: str,
    payload: str | None,
    options: JobOptions,
    *,
    wait: bool,
    timeout: str | None,
    json: bool,
) -> int:
    from jobs_core.discovery import load_features
    from jobs_core.durations import parse_duration

    job_type = find_job(load_features(settings.features), queue, job)
    value = read_payload("PAYLOAD", payload, job_type)
    seconds = None if timeout is None else parse_duration(timeout, name="--timeout")
    told, error = asyncio.run(_send(settings, job_type, value, options, wait=wait, timeout=seconds))
    if json:
        print_json(told)
    elif not wait:
        print(f"{queue}/{job_type.name} {told['id']}{_TOLD.get(str(told['outcome']), '')}")
    elif error is None:
        print_json(told["result"])
    if error is None:
        return DONE
    print(f"jobs: {error.message}", file=sys.stderr)
    return FAILED


async def _send(
    settings: CommonSettings,
    job_type: JobType[object, object],
    payload: object,
    options: JobOptions,
    *,
    wait: bool,
    timeout: float | None,
) -> tuple[dict[str, object], JobsError | None]:
    """Enqueue, and wait if asked to. Returns what to tell, and how the job ended if not well."""
    from jobs_producer import Producer

    producer = Producer(
        settings.redis_url,
        prefix=settings.prefix,
        default_job_options=settings.default_job_options,
        enqueue_timeout=CONNECT_TIMEOUT,
    )
    async with producer:
        handle = await producer.enqueue(job_type, payload, **options)
        told: dict[str, object] = {
            "id": handle.id,
            "queue": handle.queue,
            "name": handle.name,
            "created": handle.created,
            "outcome": handle.outcome,
        }
        if not wait:
            return told, None
        try:
            try:
                result = await handle.result(timeout)
                state = "completed"
            except ResultNotKept:
                result, state = None, await handle.done(timeout)
        except ResultError as error:
            ended = {"state": _STATES.get(type(error)), "result": None}
            return {**told, **ended, "error": error.code, "message": error.message}, error
        return {**told, "state": state, "result": result}, None


def _enqueue_bulk(
    settings: CommonSettings, queue: str, job: str | None, path: Path, options: JobOptions, *, json: bool
) -> int:
    from jobs_cli.bulk import BulkFile
    from jobs_core.codecs import Codecs
    from jobs_core.discovery import load_features

    catalog = load_features(settings.features)
    default = None if job is None else find_job(catalog, queue, job)
    try:
        find, codecs = partial(find_job, catalog), Codecs.from_env(settings.prefix)
        with BulkFile(path, catalog.queue(queue), default, options, find_job=find, codecs=codecs) as lines:
            total = lines.check()
            with progress_bar("enqueued", total) as progress:
                counts = asyncio.run(lines.send(settings, progress))
    except OSError as error:
        return _usage(f"cannot read {path}: {error.strerror or error}.")
    if json:
        print_json({"queue": queue, **counts})
    else:
        others = "".join(
            f", {count} {_COUNTED.get(kind, kind)}"
            for kind, count in counts.items()
            if count and kind != "created"
        )
        print(f"{counts['created']} enqueued{others}")
    return DONE


def find_job(catalog: Catalog, queue: str, name: str) -> JobType[object, object]:
    """Return a declared job, by name or name@version. Raises UnknownQueue or UnknownJob."""
    bare, _, version = name.rpartition("@")
    if bare and version.isdecimal():
        return catalog.job(queue, bare, int(version))
    return catalog.job(queue, name)


def _priority(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isdecimal() else text


def _usage(text: str) -> int:
    print(f"jobs enqueue: {text} See `jobs enqueue --help`.", file=sys.stderr)
    return USAGE
