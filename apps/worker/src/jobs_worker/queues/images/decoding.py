"""Make a picture of bytes that nobody has vouched for: upright, in sRGB, eight bits a channel."""

import struct
import warnings
import zlib
from io import BytesIO
from typing import Final, NamedTuple

from PIL import ExifTags, Image, ImageCms, ImageOps

from jobs_core.queues.images.queue import Format
from jobs_worker import Fail

MAX_PIXELS: Final = 100_000_000

# No format that Pillow hands to another program (EPS to Ghostscript), and none that is no picture.
_READ = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "TIFF", "WEBP")
_FORMATS: Final[dict[str, Format]] = {
    "AVIF": "avif",
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
}
# What Pillow's decoders raise for damaged data: the bytes are in memory, so an OSError is no failing disk.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)
# What describes the photograph. Other tags describe the file it was in, or hold a thumbnail of what was cut.
_KEPT_TAGS = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
    }
)
_KEPT_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_STALE_TAGS = frozenset(
    {
        ExifTags.Base.ExifImageWidth,
        ExifTags.Base.ExifImageHeight,
        ExifTags.Base.ExifInteroperabilityOffset,
        ExifTags.Base.ColorSpace,
    }
)
# JPEG keeps it in one segment.
_MAX_EXIF = 65_000


class Picture(NamedTuple):
    """An image in mode L, RGB or RGBA without metadata of its own, its EXIF data, and how to write it.

    `format` is that of the source, None where it is one that is not written; `quality` None is the default.
    """

    image: Image.Image
    format: Format | None
    exif: bytes = b""
    quality: int | None = None


def decode(data: bytes) -> Picture:
    """Return the picture, of an animated one the first frame. Raises Fail if it is none, broken or huge."""
    Image.init()
    with warnings.catch_warnings():
        # Pillow warns below our limit, and of oddities in metadata that are no reason to refuse a picture.
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(data), formats=[each for each in _READ if each in Image.OPEN]) as image:
                check_pixels(*image.size)
                image_format = _FORMATS.get(image.format or "")
                image.load()
                upright = _upright(image)
                return Picture(_plain(upright), image_format, _exif(upright))
        except Image.UnidentifiedImageError as error:
            raise Fail("the source is no picture of a known format") from error
        except Image.DecompressionBombError as error:
            raise Fail(f"the picture has more than {MAX_PIXELS} pixels") from error
        except _DAMAGED as error:
            raise Fail(f"the picture is damaged: {str(error)[:200]}") from error


def check_pixels(width: int, height: int) -> None:
    """Raise Fail for more pixels than a picture may have."""
    if width * height > MAX_PIXELS:
        raise Fail(f"a picture of {width} x {height} has more than {MAX_PIXELS} pixels")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGED:
        # Damaged EXIF data tells no orientation, but harms no pixel.
        return image.copy()


def _exif(image: Image.Image) -> bytes:
    try:
        found = image.getexif()
        kept = Image.Exif()
        for tag in _KEPT_TAGS & found.keys():
            kept[tag] = found[tag]
        for ifd in _KEPT_IFDS:
            tags = {tag: value for tag, value in found.get_ifd(ifd).items() if tag not in _STALE_TAGS}
            if tags:
                kept.get_ifd(ifd).update(tags)
                kept[ifd] = tags
        packed = kept.tobytes() if len(kept) else b""
    except _DAMAGED:
        return b""
    return packed if len(packed) <= _MAX_EXIF else b""


def _plain(image: Image.Image) -> Image.Image:
    """Return the image as L, RGB or RGBA in sRGB, and with nothing that a writer would carry over."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        plain = _eight_bits(image)
    else:
        transparent = image.has_transparency_data
        alpha = image.convert("RGBA").getchannel("A") if transparent else None
        plain = _to_srgb(image, profile) if isinstance(profile, bytes) else None
        if plain is None:
            plain = image.convert("L" if image.mode in {"1", "L"} and alpha is None else "RGB")
        if alpha is not None:
            plain = plain.convert("RGB")
            plain.putalpha(alpha)
    plain.info = {}
    return plain


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Return the opaque colours in sRGB; None where the profile is broken, misplaced, or sRGB itself."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        opaque = image if image.mode in {"L", "CMYK"} else image.convert("RGB")
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - Pillow leaves it untyped
        converted = ImageCms.profileToProfile(opaque, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, *_DAMAGED):
        return None
    return converted.convert("L") if converted is not None and image.mode == "L" else converted


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of more than eight bits: 16 bits by their range, others by what occurs."""
    wide = image if image.mode == "F" else image.convert("I")
    lowest, highest = 0.0, 65535.0
    if not image.mode.startswith("I;16"):
        extrema = wide.getextrema()
        found = [float(each) for each in extrema if not isinstance(each, tuple)]
        # An I image is most often one of 16 bits, and F any range at all.
        if image.mode == "F" or found[0] < 0 or found[1] > highest:
            lowest, highest = found[0], max(found[1], found[0] + 1e-9)
        elif found[1] <= 255:
            highest = 255.0
    scale = 255.0 / (highest - lowest)
    floats = wide.convert("F")
    # Pillow reads the factor and the summand off the function; convert() clips, and cuts off the fraction.
    return floats.point(lambda value: value * scale + (0.5 - lowest * scale)).convert("L")  # pyright: ignore[reportUnknownMemberType] - numpy's types, which are not installed
