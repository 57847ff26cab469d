"""Jobs from a file, one a line: all are checked before the first is sent, and none are held in memory."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from shutil import copyfileobj
from typing import IO, TYPE_CHECKING, Self, TypeAlias, cast

import msgspec

from jobs_cli.failures import WrongLine
from jobs_cli.session import CONNECT_TIMEOUT
from jobs_core.errors import JobsError, UnknownJob
from jobs_core.flows.successors import make_plan
from jobs_core.json_options import FindJob, parse_options
from jobs_core.names import nearest
from jobs_core.options import JobOptions, resolve

if TYPE_CHECKING:
    from types import TracebackType

    from jobs_core.codecs import Codecs
    from jobs_core.queue import JobType, Queue
    from jobs_core.settings import CommonSettings


Progress: TypeAlias = Callable[[int, int | None], None]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: msgspec.Raw
    job: str | None = None
    options: dict[str, object] = {}


class _Entry(msgspec.Struct, frozen=True):
    job: JobType[object, object]
    payload: object
    options: JobOptions


class BulkFile:
    """The lines `{payload, job?, options?}` of a file, or of standard input (`-`), for one queue."""

    def __init__(
        self,
        path: Path,
        queue: Queue,
        job: JobType[object, object] | None,
        options: JobOptions,
        *,
        find_job: FindJob,
        codecs: Codecs,
    ) -> None:
        """Read nothing yet; `job` and `options` hold for the lines that say nothing else, `find_job` finds those that are to follow."""
        self._find_job = find_job
        self._codecs = codecs
        self._path = path
        self._queue = queue
        self._job = job
        self._options = options
        self._file: IO[bytes] | None = None
        self._decode = msgspec.json.Decoder(_Line).decode

    def __enter__(self) -> Self:
        """Open the file. Raises OSError."""
        if str(self._path) == "-":
            # It is read twice, which a pipe cannot be.
            self._file = cast("IO[bytes]", tempfile.TemporaryFile())
            copyfileobj(sys.stdin.buffer, self._file)
        else:
            self._file = self._path.open("rb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()

    def check(self) -> int:
        """Check every line and return how many jobs there are. Raises WrongLine."""
        return sum(1 for _ in self._entries())

    async def send(self, settings: CommonSettings, progress: Progress) -> dict[str, int]:
        """Enqueue all, in order; count those created, those whose id was known, and other outcomes that there were.

        Raises BulkInterrupted.
        """
        from jobs_producer import BulkItem, Producer

        producer = Producer(
            settings.redis_url,
            prefix=settings.prefix,
            default_job_options=settings.default_job_options,
            enqueue_timeout=CONNECT_TIMEOUT,
        )
        counts = {"created": 0, "known": 0}
        async with producer:
            for job, entries in groupby(self._entries(), attrgetter("job")):
                items = (BulkItem(entry.payload, entry.options) for entry in entries)
                tell = partial(_tell, progress, sum(counts.values()))
                summary = await producer.enqueue_many(
                    cast("JobType[object, object]", job), items, progress=tell
                )
                if summary.errors and summary.errors[0].error is not None:
                    # Every line was checked, so the file is another one by now.
                    raise summary.errors[0].error
                for outcome in ("created", "known", "skipped", "replaced", "extended", "kept"):
                    count: int = getattr(summary, outcome)
                    if count or outcome in counts:
                        counts[outcome] = counts.get(outcome, 0) + count
        return counts

    def _entries(self) -> Iterator[_Entry]:
        if self._file is None:
            return
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.strip():
                continue
            try:
                entry = self._entry(line)
            except (msgspec.MsgspecError, JobsError) as error:
                raise WrongLine(str(self._path), number, str(error)) from None
            yield entry

    def _entry(self, line: bytes) -> _Entry:
        parsed = self._decode(line)
        job = self._named(parsed.job)
        options = cast("JobOptions", {**self._options, **parse_options(parsed.options, self._find_job)})
        make_plan(resolve(job, options), codecs=self._codecs)
        payload = job.decode(bytes(parsed.payload))
        job.encode(payload)  # refuses one that is too large
        return _Entry(job, payload, options)

    def _named(self, name: str | None) -> JobType[object, object]:
        if name is None and self._job is not None:
            return self._job
        job = self._queue.versions.get(name or "") or self._queue.jobs.get(name or "")
        if job is None:
            raise UnknownJob(self._queue.name, name or "", nearest(name or "", self._queue.jobs))
        return job


def _tell(progress: Progress, before: int, done: int, _total: int | None) -> None:
    progress(before + done, None)
