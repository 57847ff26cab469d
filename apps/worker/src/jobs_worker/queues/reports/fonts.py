"""Fonts for PDF, from packages that ship them: Noto Sans for most scripts, loaded as texts need them."""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, Protocol, Self, cast

from fpdf import FPDF

FAMILY: Final = "noto-sans"
REPLACEMENT: Final = "\ufffd"
# In sizes of the font; the baseline as FPDF.cell() has it for a line of this height.
LINE_HEIGHT: Final = 1.25
_BASELINE: Final = LINE_HEIGHT / 2 + 0.3

_MAIN = "NotoSans[wght].ttf"
# Chinese, Japanese and Korean take 16 MB, so that package is an extra of its own.
_PACKAGES = ("manimgx_fonts", "noto_cjk_sans_jp_regular")
_NOT_NEEDED = re.compile(r"Italic")
# Scripts whose letters change with their neighbours or run from right to left. Shaping is slow.
_SHAPED = re.compile("[\u0590-\u109f\u1780-\u17ff\ufb1d-\ufdff\ufe70-\ufeff]")
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]"
)


class _Font(Protocol):
    """The part of a font of fontTools that is used; the package ships no types."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def getBestCmap(self) -> Mapping[int, str] | None: ...  # noqa: N802 - its name


class _OpenFont(Protocol):
    def __call__(self, path: Path, *, lazy: bool) -> _Font: ...


# It tells of each subset which letters the texts of the report have: noise, and not for a log.
logging.getLogger("fontTools").setLevel(logging.WARNING)
_open_font = cast("_OpenFont", import_module("fontTools.ttLib").TTFont)


class Typesetter:
    """Chooses fonts for the texts of one document, and measures them at the size that is set."""

    def __init__(self, pdf: FPDF) -> None:
        self._pdf = pdf
        self._main = covered(_directories()[0] / _MAIN)
        self._known = set(self._main)
        self._lacking: set[str] = set()
        self._extra: list[str] = []
        self._widths: dict[str, float] = {}
        pdf.add_font(FAMILY, "", _directories()[0] / _MAIN)
        pdf.set_font(FAMILY)

    def set_size(self, points: float) -> None:
        """Set the size of what is written and measured from now on."""
        self._pdf.set_font_size(points)
        self._widths.clear()

    def prepared(self, text: str) -> str:
        """Return the text on one line, with a replacement for what no font has."""
        text = _UNPRINTABLE.sub(_visible, text)
        if text.isascii():
            return text
        for character in set(text):
            if ord(character) not in self._known and character not in self._lacking:
                self._load(character)
        if self._lacking.isdisjoint(text):
            return text
        return "".join(REPLACEMENT if character in self._lacking else character for character in text)

    def width(self, text: str) -> float:
        """Return how wide a prepared text is, in millimetres; for a shaped script about."""
        return sum(map(self._width, text))

    def fitting(self, text: str, width: float) -> int:
        """Return how many characters of the text fit into a width, at least one."""
        left = width
        for number, character in enumerate(text):
            left -= self._width(character)
            if left < 0:
                return max(1, number)
        return len(text)

    def write(self, x: float, y: float, text: str, width: float, align: Literal["L", "R"] = "L") -> None:
        """Write one line of prepared text with its upper left corner at x and y."""
        pdf = self._pdf
        if text.isascii() or self._main.issuperset(map(ord, text)):
            # A table is mostly such cells, and this is ten times as fast as what can do more.
            start = x + width - self.width(text) if align == "R" else x
            pdf.text(start, y + pdf.font_size * _BASELINE, text)
            return
        shaped = _can_shape() and _SHAPED.search(text) is not None
        if shaped:
            pdf.set_text_shaping(use_shaping_engine=True)
        pdf.set_xy(x, y)
        pdf.cell(width, pdf.font_size * LINE_HEIGHT, text, align=align)
        if shaped:
            pdf.set_text_shaping(use_shaping_engine=False)
        # It may have ended with another font than the document's.
        pdf.current_font_is_set_on_page = False

    def _width(self, character: str) -> float:
        width = self._widths.get(character)
        if width is None:
            width = self._widths[character] = self._pdf.get_string_width(character)
        return width

    def _load(self, character: str) -> None:
        """Add the first font that has the character."""
        for path in _fallbacks():
            if ord(character) in covered(path):
                name = f"extra-{len(self._extra)}"
                self._pdf.add_font(name, "", path)
                self._extra.append(name)
                self._pdf.set_fallback_fonts(self._extra, exact_match=False)
                self._known |= covered(path)
                return
        self._lacking.add(character)


@lru_cache(maxsize=64)
def covered(path: Path) -> frozenset[int]:
    """Return the code points that a font has glyphs for."""
    with _open_font(path, lazy=True) as font:
        return frozenset(font.getBestCmap() or ())


@lru_cache(maxsize=1)
def _directories() -> tuple[Path, ...]:
    specs = [find_spec(package) for package in _PACKAGES]
    found = [Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()]
    if not any((place / _MAIN).is_file() for place in found[:1]):
        raise ImportError("PDF needs the fonts of manimgx-fonts: install jobs-worker[reports]")
    return tuple(found)


@lru_cache(maxsize=1)
def _fallbacks() -> tuple[Path, ...]:
    def fonts() -> Iterator[Path]:
        for directory in _directories():
            yield from sorted(path for path in directory.iterdir() if path.suffix in {".ttf", ".otf"})

    return tuple(path for path in fonts() if path.name != _MAIN and not _NOT_NEEDED.search(path.name))


@lru_cache(maxsize=1)
def _can_shape() -> bool:
    return find_spec("uharfbuzz") is not None


def _visible(match: re.Match[str]) -> str:
    """Return a space for what separates words, nothing for what is only meant for programs."""
    return " " if match[0] in "\t\n\r\x0b\x0c\x85\u2028\u2029" else ""
