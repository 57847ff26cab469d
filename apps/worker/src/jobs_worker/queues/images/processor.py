"""Process one picture: read, edit, write."""

from itertools import chain
from pathlib import PurePosixPath

from jobs_core.queues.images.queue import PROCESS_IMAGE, Convert, Format, ImageResult, ProcessImage
from jobs_worker import Fail, JobContext, processor
from jobs_worker.files import FilePathError, FileStore, job_path, store
from jobs_worker.queues.images.decoding import decode
from jobs_worker.queues.images.editing import edit
from jobs_worker.queues.images.encoding import SUFFIXES, can_write, encode

MAX_SOURCE_BYTES = 200 * 1024 * 1024


@processor(PROCESS_IMAGE, executor="process")
def process_image(payload: ProcessImage, ctx: JobContext) -> ImageResult:
    """Apply the operations and write the picture; fail for good where trying again cannot help."""
    files = store()
    asked = _asked_format(payload)
    data = _read(files, payload)
    picture = decode(data)
    image_format = asked or picture.format or "png"
    output = payload.output or job_path("images", ctx.job_id, SUFFIXES[image_format][0])
    if output == payload.source:
        raise Fail("output is the source itself: a second attempt would edit the picture twice")
    total = len(payload.operations)
    for done, operation in enumerate(payload.operations, 1):
        picture = edit(picture, operation)
        ctx.progress(current=done, total=total, message=str(operation.__struct_config__.tag))
    content = encode(picture, image_format)
    files.write_bytes(output, content)
    return ImageResult(
        processed=True,
        output=output,
        width=picture.image.width,
        height=picture.image.height,
        format=image_format,
        bytes=len(content),
        source_bytes=len(data),
        operations=total,
    )


def _read(files: FileStore, payload: ProcessImage) -> bytes:
    try:
        # Before any work, though it is only written at the end.
        if payload.output is not None:
            files.exists(payload.output)
        size = files.size(payload.source)
        if size > MAX_SOURCE_BYTES:
            raise Fail(f"{payload.source!r} has {size} bytes, more than the {MAX_SOURCE_BYTES} that are read")
        return files.read_bytes(payload.source)
    except FileNotFoundError as error:
        raise Fail(f"there is no file {payload.source!r} under FILES_URL") from error
    except FilePathError as error:
        raise Fail(str(error)) from error


def _asked_format(payload: ProcessImage) -> Format | None:
    """Return the format that the payload asks for, by an operation or by the suffix of the output."""
    converted: list[Format] = [each.format for each in payload.operations if isinstance(each, Convert)]
    asked: Format | None = converted[-1] if converted else None
    suffix = PurePosixPath(payload.output or "").suffix.lower()
    if suffix:
        named = _format_of(suffix)
        if named is None:
            raise Fail(f"no picture is written as {suffix}; use {', '.join(chain(*SUFFIXES.values()))}")
        if asked is not None and asked != named:
            raise Fail(f"output ends in {suffix}, but the operations convert to {asked}")
        asked = named
    if asked is not None and not can_write(asked):
        raise Fail(f"the Pillow of this worker was built without {asked}")
    return asked


def _format_of(suffix: str) -> Format | None:
    for image_format, suffixes in SUFFIXES.items():
        if suffix in suffixes:
            return image_format
    return None
