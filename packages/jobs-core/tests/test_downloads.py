"""Signed links to files: what is got by one, and what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from jobs_core.downloads import (
    Download,
    DownloadExpired,
    DownloadNotFound,
    DownloadRefused,
    make_link,
    open_download,
    sign,
)
from jobs_core.files import store

SECRET, NEWER = "s3cret-of-the-shop-1", "s3cret-of-the-shop-2"
PATH = "reports/Umsätze 100% & mehr.xlsx"


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    monkeypatch.setenv("DOWNLOAD_SECRET", SECRET)
    store().write_bytes(PATH, b"rows")


def follow(url: str) -> Download:
    """Open a link as a server does, which splits and unquotes it first."""
    parts = urlsplit(url)
    return open_download(unquote(parts.path).removeprefix("/download/"), dict(parse_qsl(parts.query)))


def link(path: str = PATH) -> str:
    made = make_link(path)
    assert made is not None
    return made.url


def test_a_link_gets_the_file_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOAD_URL", "https://files.example/download/")
    monkeypatch.setenv("DOWNLOAD_TTL", "2h")
    made = make_link(PATH)
    assert made is not None
    assert made.url.startswith(
        "https://files.example/download/reports/Ums%C3%A4tze%20100%25%20%26%20mehr.xlsx?"
    )
    left = made.expires_at - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < left <= timedelta(hours=2)
    found = follow(made.url)
    assert b"".join(found.chunks()) == b"rows"
    assert found.media_type.endswith("spreadsheetml.sheet")
    assert found.headers["Content-Length"] == "4"
    assert found.headers["Content-Disposition"] == (
        'attachment; filename="Ums_tze 100_ & mehr.xlsx"; '
        "filename*=UTF-8''Ums%C3%A4tze%20100%25%20%26%20mehr.xlsx"
    )


def test_without_a_secret_there_are_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    url = link()
    monkeypatch.delenv("DOWNLOAD_SECRET")
    assert make_link(PATH) is None
    with pytest.raises(DownloadNotFound, match="DOWNLOAD_SECRET is not set"):
        follow(url)


def test_links_of_the_old_secret_are_good_while_it_is_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    old = link()
    monkeypatch.setenv("DOWNLOAD_SECRET", f"{NEWER}, {SECRET}")
    newer = link()
    assert old.rpartition("=")[2] != newer.rpartition("=")[2]
    assert [follow(each).size for each in (old, newer)] == [4, 4]
    monkeypatch.setenv("DOWNLOAD_SECRET", NEWER)
    assert follow(newer).size == 4
    with pytest.raises(DownloadRefused):
        follow(old)


def test_what_was_not_signed_is_refused() -> None:
    store().write_bytes("reports/other.csv", b"secret")
    later = int(time.time()) + 1000
    good = sign(PATH, later, SECRET)
    for path, expires, signature in (
        ("reports/other.csv", f"{later}", good),
        (PATH, f"{later + 1}", good),
        (PATH, f"0{later}", sign(PATH, later, NEWER)),
        (PATH, f"{later}", good[:-1] + ("0" if good[-1] != "0" else "1")),
        (PATH, f"{later}", ""),
        (PATH, f"{later}", good[:32]),
        (PATH, f"{later}", "no hex"),
        (PATH, "", good),
        (PATH, "-1", good),
        (PATH, "9" * 20, good),
        ("../outside", f"{later}", good),
        ("\udcff", f"{later}", good),
    ):
        with pytest.raises(DownloadRefused):
            open_download(path, {"expires": expires, "signature": signature})
    with pytest.raises(DownloadRefused):
        open_download(PATH, {})


def test_an_expired_link_and_a_file_that_is_gone_are_told_apart() -> None:
    past = int(time.time()) - 1
    with pytest.raises(DownloadExpired) as expired:
        open_download(PATH, {"expires": f"{past}", "signature": sign(PATH, past, SECRET)})
    assert expired.value.expired_at == datetime.fromtimestamp(past, UTC)
    url = link()
    store().delete(PATH)
    with pytest.raises(DownloadNotFound, match="there no more"):
        follow(url)
