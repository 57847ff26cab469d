from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from jobs_core.errors import ConfigurationError
from jobs_core.settings import DashboardSettings
from jobs_dashboard.access import check_exposure
from jobs_dashboard.access.addresses import asked_by

if TYPE_CHECKING:
    from conftest import Open

PROXY: dict[str, Any] = {
    "proxy_header": "x-forwarded-user",
    "proxy_groups_header": "x-forwarded-groups",
    "proxy_trusted": (ip_network("10.0.0.0/24"),),
    "admins": ("ada@example.com",),
    "operators": ("group:ops",),
    "viewers": ("*",),
}


@pytest.mark.parametrize(
    ("headers", "role"),
    [
        ({"X-Forwarded-User": "ada@example.com"}, "admin"),
        ({"X-Forwarded-User": "ada@example.com.evil.example"}, "viewer"),
        ({"X-Forwarded-User": "eve", "X-Forwarded-Groups": "dev, ops"}, "operator"),
        ({"X-Forwarded-User": "eve", "X-Forwarded-Groups": "devops"}, "viewer"),
        ({"X-Forwarded-User": "group:ops"}, "operator"),
        ({"X-Forwarded-User": ""}, None),
        ({}, None),
    ],
)
async def test_a_proxy_says_who_it_is(dashboard: Open, headers: dict[str, str], role: str | None) -> None:
    async with dashboard(client="10.0.0.7", host="jobs.example", **PROXY) as client:
        session = (await client.get("/api/session", headers=headers)).json()
        assert (session["role"], session["sign_in"]) == (role, ["proxy"])
        assert (await client.get("/api/queues", headers=headers)).status_code == (200 if role else 401)


async def test_who_is_no_proxy_is_not_believed(dashboard: Open) -> None:
    for address in ("10.0.1.7", "127.0.0.1", "::1"):
        async with dashboard(client=address, host="localhost", **PROXY) as client:
            response = await client.get("/api/queues", headers={"X-Forwarded-User": "ada@example.com"})
            assert response.status_code == 401


async def test_who_is_on_no_list_is_told_so(dashboard: Open) -> None:
    async with dashboard(client="10.0.0.7", **{**PROXY, "viewers": ()}) as client:
        response = await client.get("/api/queues", headers={"X-Forwarded-User": "eve"})
        assert (response.status_code, response.json()["type"]) == (403, "not_listed")


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"proxy_header": "x-user", "viewers": ("*",)}, "DASHBOARD_PROXY_TRUSTED"),
        ({"proxy_header": "x-user", "proxy_trusted": PROXY["proxy_trusted"]}, "DASHBOARD_VIEWERS"),
    ],
)
def test_half_a_way_to_sign_in_is_refused(settings: dict[str, Any], missing: str) -> None:
    with pytest.raises(ConfigurationError, match=missing):
        check_exposure(DashboardSettings(**settings))


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.5", "1.2.3.4", "203.0.113.5"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("10.0.0.7", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "6.6.6.6, 198.51.100.1, 10.0.0.8", "198.51.100.1"),
        ("::ffff:10.0.0.7", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_whose_attempts_are_counted_behind_proxies(client: str, forwarded: str, address: str) -> None:
    scope = {
        "type": "http",
        "client": (client, 1),
        "headers": [(b"x-forwarded-for", forwarded.encode())] if forwarded else [],
    }
    assert asked_by(scope, PROXY["proxy_trusted"]) == address
