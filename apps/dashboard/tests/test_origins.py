"""No page elsewhere makes a browser change anything here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx2
    from conftest import Open
    from tests.support.seeding import Seeder

HOST = "jobs.example"
HERE = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://{HOST}"}


async def signed_in(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/api/session", json={"token": "all"}, headers=HERE)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (HERE, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": f"http://{HOST}"}, 200),
        ({"Origin": f"https://{HOST}"}, 200),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": f"http://{HOST}.evil.example"}, 403),
        ({"Origin": f"http://evil.example/{HOST}"}, 403),
        ({"Origin": f"http://{HOST}:8080"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{HOST}"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, 403),
    ],
)
async def test_a_change_by_a_session_comes_from_here(
    dashboard: Open, mail: Seeder, headers: dict[str, str], status: int
) -> None:
    await mail.add("1")
    async with dashboard(host=HOST, token="all") as client:
        await signed_in(client)
        response = await client.post("/api/queues/mail/pause", json={}, headers=headers)
        assert response.status_code == status
        paused = (await client.get("/api/queues/mail", headers=HERE)).json()["paused"]
        assert paused is (status == 200)


async def test_a_form_elsewhere_is_no_json(dashboard: Open, mail: Seeder) -> None:
    await mail.add("1")
    async with dashboard(host=HOST, token="all") as client:
        await signed_in(client)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            content = b'{"reason":"x"}'
            response = await client.post(
                "/api/queues/mail/pause", content=content, headers={**HERE, "Content-Type": kind}
            )
            assert response.status_code == 415


async def test_a_program_with_a_token_need_not_say_whence(dashboard: Open, mail: Seeder) -> None:
    await mail.add("1")
    async with dashboard(host=HOST, token="all") as client:
        bearer = {"Authorization": "Bearer all"}
        assert (await client.post("/api/queues/mail/pause", json={}, headers=bearer)).status_code == 200
        foreign = {**bearer, "Origin": "http://evil.example"}
        assert (await client.post("/api/queues/mail/resume", json={}, headers=foreign)).status_code == 403


async def test_nobody_is_signed_in_or_out_from_elsewhere(dashboard: Open) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    async with dashboard(host=HOST, token="all") as client:
        assert (await client.post("/api/session", json={"token": "all"}, headers=foreign)).status_code == 403
        await signed_in(client)
        assert (await client.delete("/api/session", headers=foreign)).status_code == 403
        assert (await client.get("/api/session", headers=HERE)).json()["role"] == "admin"


async def test_pages_elsewhere_may_link_to_ours_and_not_ask_the_api(dashboard: Open) -> None:
    async with dashboard() as client:
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert (await client.get("/", headers=foreign)).status_code == 200
        assert (await client.get("/api/queues", headers=foreign)).status_code == 403


async def test_behind_a_proxy_that_hides_the_host_the_address_says_what_is_here(
    dashboard: Open, mail: Seeder
) -> None:
    await mail.add("1")
    async with dashboard(host="10.0.0.9:3010", token="all", url="https://jobs.example/x") as client:
        here = {"Origin": "https://jobs.example"}
        assert (await client.post("/api/session", json={"token": "all"}, headers=here)).status_code == 200


async def test_answers_are_not_shared_with_other_origins(dashboard: Open) -> None:
    async with dashboard() as client:
        response = await client.get("/api/queues", headers={"Origin": "http://evil.example"})
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
