"""Links to files under FILES_URL, for whoever holds one, until it expires.

    link = make_link("reports/sales.csv")           # where the file is written
    download = open_download(path, request.query)   # where it is served

A link is the address of a file below DOWNLOAD_URL with `expires` (Unix seconds) and `signature`, the HMAC-SHA256 of both
under DOWNLOAD_SECRET. Nothing is kept of it anywhere: what is signed is what may be read, and nothing else.
"""

from __future__ import annotations

import hmac
import mimetypes
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from jobs_core.errors import JobsError
from jobs_core.files import store
from jobs_core.settings import FeatureSettings

__all__ = [
    "Download",
    "DownloadExpired",
    "DownloadNotFound",
    "DownloadRefused",
    "Link",
    "make_link",
    "open_download",
    "sign",
]

_CHUNK = 256 * 1024
_EXPIRES = re.compile(r"[0-9]{1,11}", re.ASCII).fullmatch
_UNNAMED = re.compile(r'[^ -~]|["\\%]')
# Python's table knows it only where the system's does.
_TYPES = {".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".csv": "text/csv"}


class DownloadRefused(JobsError):
    """A link that was not signed here, or not for this file."""

    code = "download_refused"

    def __init__(self) -> None:
        super().__init__("this link is not valid: its signature does not fit; ask for a new one")


class DownloadExpired(JobsError):
    """A link whose time is over; `expired_at` says since when."""

    code = "download_expired"

    def __init__(self, expired_at: datetime) -> None:
        self.expired_at = expired_at
        super().__init__(f"this link expired at {expired_at:%Y-%m-%d %H:%M:%S}Z; ask for a new one")


class DownloadNotFound(JobsError):
    """A link that is valid, to a file that is there no more; or no links are served here."""

    code = "download_not_found"


class Link(msgspec.Struct, frozen=True):
    """The address of a file, and until when it can be got there (UTC)."""

    url: str
    expires_at: datetime


class Download(msgspec.Struct, frozen=True):
    """A file that a link names: its path under FILES_URL and its size in bytes."""

    path: str
    size: int

    @property
    def media_type(self) -> str:
        """What kind of file it is, by its name."""
        name = self.path.rpartition("/")[2].lower()
        suffix = name[name.rfind(".") :] if "." in name else ""
        return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer that saves it as a file, and lets no browser show it as a page of the server."""
        name = self.path.rpartition("/")[2]
        plain = _UNNAMED.sub("_", name)
        return {
            "Content-Length": str(self.size),
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, no-store",
        }

    def chunks(self) -> Iterator[bytes]:
        """Yield the content; it blocks."""
        with store().open(self.path, "rb") as file:
            while data := file.read(_CHUNK):
                yield data


def make_link(path: str) -> Link | None:
    """Return a link to a file that lasts for DOWNLOAD_TTL; None where DOWNLOAD_SECRET is not set. Raises SettingsError."""
    settings = FeatureSettings.from_env()
    if not settings.download_secret:
        return None
    expires = int(time.time() + settings.download_ttl)
    signature = sign(path, expires, settings.download_secret[0])
    url = f"{settings.download_url.rstrip('/')}/{quote(path)}?expires={expires}&signature={signature}"
    return Link(url, datetime.fromtimestamp(expires, UTC))


def sign(path: str, expires: int, secret: str) -> str:
    """Return the signature of a path until a time (Unix seconds), in hexadecimal."""
    # A path holds no line break, so that no other pair reads the same.
    return hmac.digest(secret.encode(), f"download\n{expires}\n{path}".encode(), "sha256").hex()


def open_download(path: str, query: Mapping[str, str]) -> Download:
    """Return the file that a link names, by its path and its parameters; it blocks.

    Raises DownloadRefused for a link that was not signed with one of the secrets, DownloadExpired, and DownloadNotFound
    for a file that is gone, or where DOWNLOAD_SECRET is not set.
    """
    secrets = FeatureSettings.from_env().download_secret
    if not secrets:
        raise DownloadNotFound("no files are served here: DOWNLOAD_SECRET is not set")
    expires, signature = query.get("expires", ""), query.get("signature", "")
    # Before anything is looked at that the link says, it is looked at who says it.
    try:
        given = bytes.fromhex(signature)
        wanted = [bytes.fromhex(sign(path, int(expires), each)) for each in secrets if _EXPIRES(expires)]
    except ValueError:
        raise DownloadRefused from None
    # Every pair is compared, so that the time taken does not tell which one fits.
    if not sum(hmac.compare_digest(given, each) for each in wanted):
        raise DownloadRefused
    if time.time() >= int(expires):
        raise DownloadExpired(datetime.fromtimestamp(int(expires), UTC))
    try:
        return Download(path, store().size(path))
    except FileNotFoundError:
        raise DownloadNotFound("the file of this link is there no more") from None
