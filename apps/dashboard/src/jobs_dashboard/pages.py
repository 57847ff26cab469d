"""The pages as they were built: one document for every address, and files whose names change with what is in them."""

from __future__ import annotations

import gzip
import mimetypes
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = ["PLAIN", "POLICY", "Pages"]

# Nothing from elsewhere, nothing inline, and text is never read as markup.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PLAIN: Final = "/plain"
"""Where the page without script is."""

_BUILT = Path(__file__).with_name("web")
_ADDRESSES = (
    *("/", "/queues", "/jobs", "/flows", "/schedules", "/workers"),
    *("/dead-letters", "/bulk", "/alerts", "/audit"),
)
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class _File(msgspec.Struct, frozen=True):
    plain: bytes
    packed: bytes
    media: str
    tag: str


class Pages:
    """Serves what the build left, or where it left nothing the page without script."""

    def __init__(self, directory: Path = _BUILT) -> None:
        """Read the files, some 100 KiB."""
        index = directory / "index.html"
        self._document = index.read_text("utf-8") if index.is_file() else None
        self._files: Mapping[str, _File] = {
            each.name: _file(
                each.read_bytes(), mimetypes.guess_type(each.name)[0] or "application/octet-stream"
            )
            for each in sorted(directory.glob("assets/*"))
        }
        self._documents: dict[str, _File] = {}

    @property
    def routes(self) -> list[Route]:
        """Where the pages and their files are."""
        below = [f"{each}/{{rest:path}}" for each in _ADDRESSES if each != "/"]
        shown = [Route(each, self.show, methods=["GET"]) for each in (*_ADDRESSES, *below)]
        return [*shown, Route("/assets/{name}", self.asset, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """Answer with the document: which page it becomes is found out in the browser."""
        root: str = request.scope.get("root_path", "").rstrip("/")
        if self._document is None:
            return RedirectResponse(f"{root}{PLAIN}", 307, headers={"Cache-Control": "no-store"})
        known = self._documents.get(root)
        if known is None:
            text = self._document.replace('"./assets/', f'"{root}/assets/').replace(
                '"plain"', f'"{root}{PLAIN}"'
            )
            known = _file(text.encode(), "text/html; charset=utf-8")
            # One application has one path; more are somebody's play with addresses.
            self._documents = {root: known}
        return _answer(request, known, _ASK_AGAIN)

    async def asset(self, request: Request) -> Response:
        """Answer with a file of the build."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            return Response("There is no such file: load the page anew.", 404, media_type="text/plain")
        return _answer(request, found, _FOR_EVER)


def _file(data: bytes, media: str) -> _File:
    return _File(
        data, gzip.compress(data, 9, mtime=0), media, f'"{blake2b(data, digest_size=12).hexdigest()}"'
    )


def _answer(request: Request, file: _File, cache: str) -> Response:
    headers = {"Cache-Control": cache, "ETag": file.tag, "Vary": "Accept-Encoding"}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media)
    return Response(file.plain, headers=headers, media_type=file.media)
