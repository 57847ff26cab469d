"""Files of reports, got over the dashboard by signed links."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs_core.downloads import make_link, sign
from jobs_core.files import store

if TYPE_CHECKING:
    from conftest import Open

SECRET = "s3cret-of-the-shop-1"


async def test_a_link_is_all_that_one_needs(
    dashboard: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    monkeypatch.setenv("DOWNLOAD_SECRET", SECRET)
    store().write_bytes("reports/a b.csv", b"id\r\n" * 200_000)
    link = make_link("reports/a b.csv")
    assert link is not None
    # From another machine, without a token, from a page elsewhere: as out of a mail.
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    async with dashboard(client="10.1.2.3", token="t0ken-of-admins") as asked:
        path = link.url.removeprefix("http://localhost:3010")
        got = await asked.get(path, headers=elsewhere)
        assert (got.status_code, got.content) == (200, b"id\r\n" * 200_000)
        assert got.headers["content-type"].startswith("text/csv")
        assert got.headers["content-disposition"].startswith('attachment; filename="a b.csv"')
        assert got.headers["content-security-policy"] == "sandbox"
        head = await asked.head(path)
        assert (head.status_code, head.headers["content-length"]) == (200, "800000")

        past = int(time.time()) - 5
        signature = sign("reports/a b.csv", past, SECRET)
        for wrong, status, code in (
            (path.replace("a%20b", "b"), 403, "download_refused"),
            (f"{path}0", 403, "download_refused"),
            ("/download/reports/a%20b.csv", 403, "download_refused"),
            (f"/download/reports/a%20b.csv?expires={past}&signature={signature}", 410, "download_expired"),
        ):
            refused = await asked.get(wrong)
            assert (refused.status_code, refused.json()["type"]) == (status, code), wrong
            assert refused.headers["content-type"] == "application/problem+json"
        store().delete("reports/a b.csv")
        assert (await asked.get(path)).status_code == 404
        # What lies beside it still asks who is there.
        assert (await asked.get("/api/queues")).status_code == 401
        monkeypatch.delenv("DOWNLOAD_SECRET")
        assert (await asked.get(path)).json()["detail"].endswith("DOWNLOAD_SECRET is not set")
