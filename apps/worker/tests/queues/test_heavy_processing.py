"""The example of a heavy queue: files packed block by block, resumed, unpacked again."""

import lzma
import os
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.waiting import WITHIN

from jobs_core import Fixed, Keep
from jobs_core.queues.heavy_processing import COMPRESS_FILE, HEAVY_PROCESSING, CompressedFile, CompressFile
from jobs_worker import Fail, JobContext
from jobs_worker.processors import marks_of
from jobs_worker.queues.heavy_processing.processor import Packed, compress_file
from jobs_worker.testing import Kit

BLOCK = 65_536
CONTENT = os.urandom(BLOCK) + b"words and words " * 8192 + b"an end"
BLOCKS = 4


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    (tmp_path / "in.bin").write_bytes(CONTENT)
    return tmp_path


def run(checkpoint: object = None, **changes: int | str) -> tuple[CompressedFile, JobContext]:
    ctx = JobContext.for_test("heavy-processing", "compress-file", job_id="job-1", checkpoint=checkpoint)
    payload = {"source": "in.bin", "block_bytes": BLOCK, "level": 0} | changes
    return compress_file(COMPRESS_FILE.decode(_json(payload)), ctx), ctx


def _json(payload: dict[str, int | str]) -> bytes:
    return COMPRESS_FILE.encode(CompressFile(**payload))  # pyright: ignore[reportArgumentType]


def half(folder: Path) -> Packed:
    """Leave what an attempt leaves that ended after two blocks."""
    parts = folder / "compressed/parts/job-1"
    parts.mkdir(parents=True)
    for number in range(2):
        block = CONTENT[number * BLOCK : (number + 1) * BLOCK]
        (parts / f"{number:06}.xz").write_bytes(lzma.compress(block, preset=0))
    return Packed(2, sha256(CONTENT[: 2 * BLOCK]).hexdigest(), BLOCK, 0)


def test_what_is_packed_unpacks_to_the_same(folder: Path) -> None:
    result, ctx = run()
    packed = (folder / "compressed/job-1.xz").read_bytes()
    assert lzma.decompress(packed) == CONTENT
    assert result == CompressedFile(
        output="compressed/job-1.xz",
        source_bytes=len(CONTENT),
        bytes=len(packed),
        blocks=BLOCKS,
        resumed_at=0,
        sha256=sha256(CONTENT).hexdigest(),
    )
    assert [each.percent for each in ctx.progress_log] == [25.0, 50.0, 75.0, 100.0]
    assert ctx.load_checkpoint(Packed) == Packed(BLOCKS, sha256(CONTENT).hexdigest(), BLOCK, 0)
    assert [path.name for path in folder.rglob("*.xz")] == ["job-1.xz"]


def test_the_next_attempt_goes_on_where_the_last_one_ended(folder: Path) -> None:
    result, ctx = run(half(folder), output="out.xz")
    assert (result.resumed_at, result.output) == (2, "out.xz")
    assert result.sha256 == sha256(CONTENT).hexdigest()
    assert [each.current for each in ctx.progress_log] == [3, 4]
    assert lzma.decompress((folder / "out.xz").read_bytes()) == CONTENT


def test_it_begins_anew_where_what_was_left_is_of_no_use(folder: Path) -> None:
    left = half(folder)
    (folder / "in.bin").write_bytes(b"y" * len(CONTENT))
    assert run(left)[0].resumed_at == 0
    assert lzma.decompress((folder / "compressed/job-1.xz").read_bytes()) == b"y" * len(CONTENT)
    # Other blocks, and parts that are gone.
    assert run(left, block_bytes=2 * BLOCK)[0].resumed_at == 0
    assert run(left)[0].resumed_at == 0


def test_an_empty_file_is_a_file(folder: Path) -> None:
    (folder / "in.bin").write_bytes(b"")
    assert run()[0].blocks == 1
    assert lzma.decompress((folder / "compressed/job-1.xz").read_bytes()) == b""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "gone.bin"}, "no file 'gone.bin'"),
        ({"source": "../in.bin"}, "leaves the folder"),
        ({"output": "in.bin"}, "source itself"),
        ({"output": "/etc/passwd"}, "is absolute"),
    ],
    ids=repr,
)
def test_paths_that_will_not_do_fail_for_good(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(Fail, match=reason):
        run(**changes)


def test_the_queue_has_all_that_a_heavy_one_needs() -> None:
    queue = HEAVY_PROCESSING
    assert (queue.weight, queue.concurrency, queue.max_stalled) == ("heavy", 1, 1)
    assert (queue.lock_duration_ms, queue.stalled_interval_ms) == (3_600_000, 300_000)
    assert queue.default_job_options == {
        "attempts": 2,
        "backoff": Fixed(60),
        "remove_on_complete": Keep(count=100),
        "remove_on_fail": False,
    }
    (spec,) = marks_of(compress_file)
    assert spec.executor == "process"


async def test_it_runs_in_a_process_of_its_own_and_again_after_a_minute(redis_url: str, folder: Path) -> None:
    async with Kit(compress_file, url=redis_url, patience=WITHIN) as kit:
        # Where the folder for what is packed has to be.
        (folder / "compressed").write_text("in the way")
        payload = CompressFile(source="in.bin", block_bytes=BLOCK, level=0)
        job = await kit.producer.enqueue(COMPRESS_FILE, payload)
        await kit.advance(59)
        record = await job.status()
        assert (record.state, record.attempts_made, record.attempts) == ("delayed", 1, 2)
        (folder / "compressed").unlink()
        await kit.advance(1)
        assert (await job.result(40)).blocks == BLOCKS
        assert (await job.status()).attempts_made == 2
        assert lzma.decompress((folder / f"compressed/{job.id}.xz").read_bytes()) == CONTENT
