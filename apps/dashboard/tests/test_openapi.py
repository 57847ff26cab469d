from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

from jobs_dashboard.openapi import document
from jobs_dashboard.table import ROWS

if TYPE_CHECKING:
    import httpx2


def made() -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(document(ROWS, "1")))


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(made()).validate()  # pyright: ignore[reportUnknownMemberType]


async def test_anybody_may_read_it(client: httpx2.AsyncClient) -> None:
    response = await client.get("/api/openapi.json")
    assert response.json()["openapi"] == "3.1.0"
    tag = response.headers["etag"]
    again = await client.get("/api/openapi.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_every_row_is_told_once_with_its_role() -> None:
    paths = made()["paths"]
    told = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert told == list(dict.fromkeys(told))
    assert sorted(told) == sorted((row.method, row.path) for row in ROWS if row.media != "text/html")
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(names) == len(set(names))
    assert paths["/healthz"]["get"]["security"] == []
    assert "viewer" in paths["/api/queues"]["get"]["description"]


def test_every_path_is_told_on_the_page() -> None:
    """Each by its own words: those in braces, and the queue or job that it is of, may be left out."""
    page = Path(__file__).parents[3] / "docs/api.md"
    told = {
        word for span in re.findall(r"`([^`\n]+)`", page.read_text()) for word in re.findall(r"[a-z-]+", span)
    }
    paths = [row.path for row in ROWS if row.media != "text/html"]
    assert [path for path in paths if not told.issuperset(re.findall(r"/([a-z-]+)", path))] == []


def test_parameters_come_from_the_types() -> None:
    listed = made()["paths"]["/api/queues/{queue}/jobs"]["get"]
    parameters = {each["name"]: each for each in listed["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == 500
    assert parameters["state"]["explode"] is True
    assert parameters["queue"]["in"] == "path"
    assert {"401", "403", "404", "422", "503"} <= listed["responses"].keys()


def test_who_reads_a_record_finds_all_of_its_fields() -> None:
    schemas = made()["components"]["schemas"]
    assert "failed_reason" in schemas["JobDetail"]["required"]
    assert "paused_parts" not in schemas["QueueRecord"]["required"]
    assert schemas["Problem"]["required"] == ["type", "title", "status", "detail"]


def test_only_what_shows_nothing_is_open_to_anybody() -> None:
    assert {row.path for row in ROWS if row.role is None and row.media != "text/html"} == {
        "/healthz",
        "/readyz",
        "/api/openapi.json",
        "/api/session",
    }
