"""Declare the picture queue."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from jobs_core.queue import HEAVY, Queue

IMAGES = Queue("images", profile=HEAVY, concurrency=2)

Format: TypeAlias = Literal["jpeg", "png", "webp", "avif"]
"""What a picture can be written as. `avif` needs a Pillow that was built with it."""

Pixels: TypeAlias = Annotated[int, Meta(ge=1, le=30_000)]
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=30_000)]
Path: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]


class Resize(Struct, frozen=True, kw_only=True, tag_field="type", tag="resize"):
    """Scale to a size in pixels, up or down.

    `fit` keeps the proportions and stays within the box, of which one side may be left open; `fill` keeps
    them and cuts off, evenly on both sides, what does not fit into the box; `exact` distorts.

    Raises ValueError when no side is given, or only one with `fill` or `exact`.
    """

    width: Pixels | None = None
    height: Pixels | None = None
    mode: Literal["fit", "fill", "exact"] = "fit"

    def __post_init__(self) -> None:
        """Refuse a box that is not one."""
        if self.width is None and self.height is None:
            raise ValueError("resize needs `width`, `height` or both")
        if self.mode != "fit" and (self.width is None or self.height is None):
            raise ValueError(f"resize with mode {self.mode!r} needs both `width` and `height`")


class Crop(Struct, frozen=True, kw_only=True, tag_field="type", tag="crop"):
    """Keep a rectangle, in pixels from the upper left corner; it must lie within the picture."""

    left: Offset
    top: Offset
    width: Pixels
    height: Pixels


class Compress(Struct, frozen=True, kw_only=True, tag_field="type", tag="compress"):
    """Set the quality that the picture is written with; PNG loses nothing and is packed harder instead."""

    quality: Annotated[int, Meta(ge=1, le=100)]


class Convert(Struct, frozen=True, kw_only=True, tag_field="type", tag="convert"):
    """Write another format. The last of several counts."""

    format: Format


class Thumbnail(Struct, frozen=True, kw_only=True, tag_field="type", tag="thumbnail"):
    """Scale down until no side is longer than `size` pixels; a smaller picture stays as it is."""

    size: Pixels


class StripMetadata(Struct, frozen=True, kw_only=True, tag_field="type", tag="strip-metadata"):
    """Write no EXIF data: camera, place, time."""


Operation: TypeAlias = Resize | Crop | Compress | Convert | Thumbnail | StripMetadata


class ProcessImage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Read the picture `source`, apply the operations in their order, write it to `output`.

    Paths lie under `FILES_URL`. Without `output` it is `images/<job id>` with the format's suffix. The format
    is that of the last `Convert`, else what the suffix of `output` says, else that of the source.
    """

    source: Path
    operations: Annotated[Sequence[Operation], Meta(min_length=1, max_length=50)]
    output: Path | None = None


class ImageResult(Struct, frozen=True, kw_only=True):
    """The picture that was written: its path under `FILES_URL`, its size in pixels and in bytes.

    `operations` is how many were applied.
    """

    processed: bool
    output: str
    width: int
    height: int
    format: Format
    bytes: int
    source_bytes: int
    operations: int


PROCESS_IMAGE = IMAGES.job("process", payload=ProcessImage, result=ImageResult, attempts=3, timeout=600)
