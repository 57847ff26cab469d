"""Pack a large file: block by block, so that an attempt goes on where the one before it ended."""

import lzma
from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO, Protocol

from msgspec import Struct

from jobs_core.queues.heavy_processing.queue import COMPRESS_FILE, CompressedFile, CompressFile
from jobs_worker import Fail, JobContext, processor
from jobs_worker.files import FilePathError, FileStore, job_path, store

_READ = 1024 * 1024


class Digest(Protocol):
    """A hash that grows."""

    def update(self, data: bytes, /) -> None:
        """Take more data."""
        ...

    def hexdigest(self) -> str:
        """Return the hash of all that it took."""
        ...


class Packed(Struct, frozen=True):
    """What earlier attempts left: how many blocks are packed, and packed how; `sha256` is that of what they hold."""

    blocks: int
    sha256: str
    block_bytes: int
    level: int


@processor(COMPRESS_FILE, executor="process")
def compress_file(payload: CompressFile, ctx: JobContext) -> CompressedFile:
    """Pack each block into a part of its own, then join them: parts of xz in a row are one xz file."""
    files = store()
    output = payload.output or job_path("compressed", ctx.job_id, ".xz")
    if output == payload.source:
        raise Fail("output is the source itself")
    parts = job_path("compressed/parts", ctx.job_id, "")
    try:
        size = files.size(payload.source)
        # An empty file is one empty block: its output has to be there too.
        total = max(-(-size // payload.block_bytes), 1)
        first, digest = _pack(files, payload, ctx, parts, total)
        written = _join(files, output, [_part(parts, number) for number in range(total)])
    except FileNotFoundError as error:
        raise Fail(f"there is no file {payload.source!r} under FILES_URL") from error
    except FilePathError as error:
        raise Fail(str(error)) from error
    for number in range(total):
        files.delete(_part(parts, number))
    return CompressedFile(
        output=output, source_bytes=size, bytes=written, blocks=total, resumed_at=first, sha256=digest
    )


def _pack(
    files: FileStore, payload: CompressFile, ctx: JobContext, parts: str, total: int
) -> tuple[int, str]:
    """Pack the blocks that are left; return the first of them, and the digest of the whole source."""
    with files.open(payload.source, "rb") as source:
        digest = sha256()
        first = _skip(files, payload, ctx, parts, (source, digest))
        if not first:
            source.seek(0)
            digest = sha256()
        for number in range(first, total):
            packer = lzma.LZMACompressor(preset=payload.level)
            packed = [packer.compress(data) for data in _block(source, payload.block_bytes, digest)]
            files.write_bytes(_part(parts, number), b"".join([*packed, packer.flush()]))
            # Only after the part is there: a checkpoint promises it.
            ctx.checkpoint(Packed(number + 1, digest.hexdigest(), payload.block_bytes, payload.level))
            ctx.progress(current=number + 1, total=total, message="packed")
        return first, digest.hexdigest()


def _skip(
    files: FileStore, payload: CompressFile, ctx: JobContext, parts: str, read: tuple[BinaryIO, Digest]
) -> int:
    """Read over what an earlier attempt packed, and return the block to go on with: 0 where that is of no use."""
    left = ctx.load_checkpoint(Packed)
    if left is None or (left.block_bytes, left.level) != (payload.block_bytes, payload.level):
        return 0
    if not all(files.exists(_part(parts, number)) for number in range(left.blocks)):
        return 0
    source, digest = read
    for _ in range(left.blocks):
        for _ in _block(source, payload.block_bytes, digest):
            pass
    if digest.hexdigest() != left.sha256:
        # The source is another one by now.
        return 0
    ctx.log.info("compression.resumed", block=left.blocks)
    return left.blocks


def _block(source: BinaryIO, size: int, digest: Digest) -> Iterator[bytes]:
    """Read one block piece by piece, so that it need not fit into memory."""
    while size and (data := source.read(min(size, _READ))):
        digest.update(data)
        size -= len(data)
        yield data


def _join(files: FileStore, output: str, parts: list[str]) -> int:
    written = 0
    with files.open(output, "wb") as target:
        for part in parts:
            with files.open(part, "rb") as source:
                while data := source.read(_READ):
                    written += target.write(data)
    return written


def _part(folder: str, number: int) -> str:
    return f"{folder}/{number:06}.xz"
