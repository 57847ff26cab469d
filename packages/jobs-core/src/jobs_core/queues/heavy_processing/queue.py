"""Declare the complete example of a heavy queue: every option that one needs, with a job that takes its time."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from jobs_core.backoff import Fixed
from jobs_core.options import Keep
from jobs_core.queue import HEAVY, Queue

HEAVY_PROCESSING = Queue(
    "heavy-processing",
    profile=HEAVY,
    concurrency=1,
    lock_duration=timedelta(hours=1),
    stalled_interval=timedelta(minutes=5),
    max_stalled=1,
    default_job_options={
        "attempts": 2,
        "backoff": Fixed(60),
        "remove_on_complete": Keep(count=100),
        "remove_on_fail": False,
    },
)

Path = Annotated[str, Meta(min_length=1, max_length=1024)]


class CompressFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Pack a file of any size as xz, block by block.

    Paths lie under `FILES_URL`; without `output` it is `compressed/<job id>.xz`. Each block is packed for itself, and what
    is packed is not packed again by the next attempt; smaller blocks lose less with an attempt, larger ones pack better.
    """

    source: Path
    output: Path | None = None
    level: Annotated[int, Meta(ge=0, le=9)] = 6
    block_bytes: Annotated[int, Meta(ge=65_536, le=1 << 30)] = 16 * 1024 * 1024


class CompressedFile(Struct, frozen=True, kw_only=True):
    """The file that was written. `resumed_at` is the block at which the last attempt went on; 0 where it did it all.

    `sha256` is that of the source, for whoever unpacks it.
    """

    output: str
    source_bytes: int
    bytes: int
    blocks: int
    resumed_at: int
    sha256: str


COMPRESS_FILE = HEAVY_PROCESSING.job("compress-file", payload=CompressFile, result=CompressedFile)
