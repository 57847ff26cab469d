from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs_core.errors import ConfigurationError
from jobs_core.settings import DashboardSettings
from jobs_dashboard.access import check_exposure

if TYPE_CHECKING:
    from conftest import Open


@pytest.mark.parametrize("host", ["localhost:3010", "127.0.0.1", "[::1]:3010", "LOCALHOST"])
async def test_without_a_token_this_machine_may_look(dashboard: Open, host: str) -> None:
    async with dashboard(client="127.0.0.1", host=host) as client:
        assert (await client.get("/api/queues")).status_code == 200


async def test_without_a_token_other_machines_may_not(dashboard: Open) -> None:
    async with dashboard(client="10.0.0.7") as client:
        response = await client.get("/api/queues")
        assert response.status_code == 403
        assert "DASHBOARD_TOKEN" in response.json()["detail"]
        assert (await client.get("/plain")).status_code == 403
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


async def test_without_a_token_a_proxy_on_this_machine_may_not(dashboard: Open) -> None:
    async with dashboard() as client:
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            assert (await client.get("/api/queues", headers={header: "127.0.0.1"})).status_code == 403


@pytest.mark.parametrize("host", ["evil.example:3010", "127.0.0.1.evil.example", "localhost.evil.example"])
async def test_a_name_that_somebody_else_chose_is_refused(dashboard: Open, host: str) -> None:
    async with dashboard(host=host) as client:
        assert (await client.get("/api/queues")).status_code == 421


async def test_without_a_token_nothing_can_be_changed(dashboard: Open) -> None:
    async with dashboard() as client:
        for method, path in (("POST", "pause"), ("PUT", "limits"), ("DELETE", "jobs/1")):
            response = await client.request(method, f"/api/queues/mail/{path}")
            assert (response.status_code, response.json()["type"]) == (403, "forbidden")
            assert "see DASHBOARD_TOKEN" in response.json()["detail"]


@pytest.mark.parametrize("kind", ["token", "operator_token", "viewer_token"])
async def test_with_a_token_set_only_it_opens(dashboard: Open, kind: str) -> None:
    async with dashboard(client="10.0.0.7", host="jobs.example", **{kind: "sécret"}) as client:
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic c8OpY3JldA=="}):
            response = await client.get("/api/queues", headers=wrong)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["content-type"] == "application/problem+json"
        good = {b"authorization": "Bearer sécret".encode()}
        assert (await client.get("/api/queues", headers=[*good.items()])).status_code == 200
        assert (await client.get("/healthz")).status_code == 200


async def test_with_a_token_set_this_machine_needs_it_too(dashboard: Open) -> None:
    async with dashboard(token="secret") as client:
        assert (await client.get("/api/queues")).status_code == 401
        assert (await client.get("/plain")).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "jobs.example"])
def test_other_machines_are_let_in_only_with_a_token(host: str) -> None:
    with pytest.raises(ConfigurationError, match="DASHBOARD_TOKEN"):
        check_exposure(DashboardSettings(host=host))
    check_exposure(DashboardSettings(host=host, viewer_token="secret"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_alone_needs_none(host: str) -> None:
    check_exposure(DashboardSettings(host=host))
