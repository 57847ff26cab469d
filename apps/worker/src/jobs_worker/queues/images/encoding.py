"""Write a picture in a format."""

from io import BytesIO
from typing import Final

from PIL import Image, features

from jobs_core.queues.images.queue import Format
from jobs_worker import Fail
from jobs_worker.queues.images.decoding import Picture

SUFFIXES: Final[dict[Format, tuple[str, ...]]] = {
    "jpeg": (".jpg", ".jpeg"),
    "png": (".png",),
    "webp": (".webp",),
    "avif": (".avif",),
}

_QUALITY: Final[dict[Format, int]] = {"jpeg": 85, "webp": 80, "avif": 70}
_LONGEST_SIDE: Final[dict[Format, int]] = {"jpeg": 65_500, "webp": 16_383, "avif": 65_536}


def can_write(image_format: Format) -> bool:
    """Tell whether this Pillow was built with the format."""
    # JPEG and PNG are part of every wheel, and of every build that somebody meant to use.
    return image_format in {"jpeg", "png"} or bool(features.check(image_format))


def encode(picture: Picture, image_format: Format) -> bytes:
    """Return the bytes of the file. Raises Fail for a picture that the format cannot hold."""
    longest = _LONGEST_SIDE.get(image_format)
    if longest is not None and max(picture.image.size) > longest:
        raise Fail(
            f"a picture of {picture.image.width} x {picture.image.height} cannot be {image_format}: "
            f"its sides may have {longest} pixels"
        )
    quality = picture.quality or _QUALITY.get(image_format, 0)
    buffer = BytesIO()
    match image_format:
        case "jpeg":
            # Huffman tables and scans made for the picture: smaller, and seen sooner.
            options: dict[str, object] = {"quality": quality, "optimize": True, "progressive": True}
        case "png":
            options = {"optimize": picture.quality is not None}
        case "webp" | "avif":
            options = {"quality": quality}
    if picture.exif:
        options["exif"] = picture.exif
    image = _on_white(picture.image) if image_format == "jpeg" else picture.image
    image.save(buffer, image_format.upper(), **options)
    return buffer.getvalue()


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image without transparency, which JPEG has not."""
    if image.mode != "RGBA":
        return image
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    return flat
