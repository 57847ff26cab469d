"""The pages as they are built and served; what a browser makes of them is in test_screens.py and test_browser.py."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from jobs_dashboard.openapi import document
from jobs_dashboard.pages import PLAIN, Pages
from jobs_dashboard.records import Stats
from jobs_dashboard.table import ROWS

if TYPE_CHECKING:
    from conftest import Open

WEB = Path(__file__).parents[1] / "web"
BUILT = Path(__file__).parents[1] / "src/jobs_dashboard/web"
MOST_SCRIPT = 60_000
built = pytest.mark.skipif(
    not (BUILT / "index.html").is_file(), reason="the pages are not built: make setup says why"
)


@built
@pytest.mark.parametrize("path", ["/", "/queues", "/queues/mail/jobs/a%2Fb", "/schedules/x/y", "/audit"])
async def test_each_address_is_answered_with_the_document(dashboard: Open, path: str) -> None:
    async with dashboard(token="secret" * 4) as client:
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        again = await client.get(path, headers={"If-None-Match": response.headers["etag"]})
        assert again.status_code == 304


@built
async def test_nothing_inline_and_nothing_from_elsewhere(dashboard: Open) -> None:
    async with dashboard() as client:
        response = await client.get("/")
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|https?:", response.text)


@built
async def test_files_are_kept_for_ever_under_names_that_change(dashboard: Open) -> None:
    async with dashboard() as client:
        names = re.findall(r'"(/assets/[^"]+)"', (await client.get("/")).text)
        assert {Path(name).suffix for name in names} == {".js", ".css", ".svg"}
        for name in names:
            response = await client.get(name)
            assert response.status_code == 200
            assert "immutable" in response.headers["cache-control"]
            assert response.headers["content-encoding"] == "gzip"
            assert re.search(r"-[\w-]{8}\.\w+$", name)
        plain = await client.get(names[0], headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert (await client.get("/assets/gone.js")).status_code == 404


@built
async def test_below_another_path_all_addresses_follow() -> None:
    outer = Starlette(routes=[Mount("/ops/jobs", Starlette(routes=[*Pages().routes]))])
    transport = httpx2.ASGITransport(app=outer)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as asked:
        text = (await asked.get("/ops/jobs/queues")).text
        (script,) = re.findall(r'src="(/ops/jobs/assets/[^"]+)"', text)
        assert (await asked.get(script)).status_code == 200
        assert f"/ops/jobs{PLAIN}" in text


async def test_where_they_are_not_built_a_plain_page_is_shown(tmp_path: Path) -> None:
    app = Starlette(routes=[*Pages(tmp_path).routes])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as asked:
        response = await asked.get("/queues")
        assert (response.status_code, response.headers["location"]) == (307, PLAIN)


@built
def test_all_script_together_is_small() -> None:
    sizes = {each.name: len(gzip.compress(each.read_bytes(), 9)) for each in BUILT.glob("assets/*.js")}
    assert sum(sizes.values()) <= MOST_SCRIPT, sizes


def test_text_is_never_read_as_markup() -> None:
    for path in sorted(WEB.glob("src/**/*.ts*")):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", path.read_text()
        )
        assert found is None, f"{path.name}: {found[0]}"


def test_the_lock_file_names_no_registry() -> None:
    assert "http" not in re.sub(r'"url": "[^"]*"', "", (WEB / "package-lock.json").read_text())


def test_the_sources_have_types() -> None:
    compiler = WEB / "node_modules/typescript/bin/tsc"
    node = shutil.which("node")
    if node is None or not compiler.is_file():
        pytest.skip("there is no Node.js on PATH, or make setup could not install the compiler")
    done = subprocess.run(
        [node, str(compiler), "--noEmit"], cwd=WEB, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_what_the_pages_read_is_what_the_api_answers() -> None:
    described = {**document(ROWS, "0")["components"]["schemas"]}
    # What events carry is in no document, and a name that two types have is told in full.
    described["Stats"] = {"properties": dict.fromkeys(Stats.__struct_fields__)}
    described["FlowRecord"] = described["jobs_core.flows.records.FlowRecord"]
    text = (WEB / "src/lib/schema.ts").read_text()
    found = re.findall(r"export interface (\w+)[^{]*\{\n(.*?)\n\}", text, re.DOTALL)
    assert len(found) > 20
    unknown = [name for name, _ in found if name not in described]
    assert unknown == []
    for name, body in found:
        properties = described[name].get("properties", {})
        missing = set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE)) - {*properties}
        assert not missing, f"{name} has no {json.dumps(sorted(missing))}"
