"""Apply one operation to a picture."""

from PIL import Image, ImageOps

from jobs_core.queues.images.queue import (
    Compress,
    Convert,
    Crop,
    Operation,
    Resize,
    StripMetadata,
    Thumbnail,
)
from jobs_worker import Fail
from jobs_worker.queues.images.decoding import Picture, check_pixels

_LANCZOS = Image.Resampling.LANCZOS


def edit(picture: Picture, operation: Operation) -> Picture:
    """Return the picture with the operation applied. Raises Fail for one that the picture does not allow."""
    match operation:
        case Resize():
            return picture._replace(image=_resized(picture.image, operation))
        case Crop():
            return picture._replace(image=_cropped(picture.image, operation))
        case Thumbnail(size=size):
            scale = min(1.0, size / max(picture.image.size))
            return picture._replace(image=_scaled(picture.image, scale))
        case Compress(quality=quality):
            return picture._replace(quality=quality)
        case StripMetadata():
            return picture._replace(exif=b"")
        case Convert():
            # Of several formats one is written: the processor has chosen it.
            return picture


def _resized(image: Image.Image, operation: Resize) -> Image.Image:
    width, height = operation.width, operation.height
    if width is None or height is None or operation.mode == "fit":
        scales = [
            side / whole for side, whole in ((width, image.width), (height, image.height)) if side is not None
        ]
        return _scaled(image, min(scales))
    check_pixels(width, height)
    if operation.mode == "fill":
        return ImageOps.fit(image, (width, height), _LANCZOS)
    return _of_size(image, (width, height))


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    check_pixels(*size)
    return _of_size(image, size)


def _of_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if size == image.size:
        return image
    # The gap makes great reductions fast, at no loss that can be seen.
    return image.resize(size, _LANCZOS, reducing_gap=3.0)  # pyright: ignore[reportUnknownMemberType] - numpy's types, which are not installed


def _cropped(image: Image.Image, operation: Crop) -> Image.Image:
    right, bottom = operation.left + operation.width, operation.top + operation.height
    if right > image.width or bottom > image.height:
        raise Fail(
            f"a crop of {operation.width} x {operation.height} at {operation.left}, {operation.top} "
            f"leaves the picture, which has {image.width} x {image.height} pixels there"
        )
    return image.crop((operation.left, operation.top, right, bottom))
