from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from joserfc.jwk import OctKey, RSAKey
from msgspec.structs import replace
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, openid_provider

from jobs_core.errors import ConfigurationError
from jobs_core.settings import DashboardSettings
from jobs_dashboard.access import check_exposure, exposure
from jobs_dashboard.access.sessions import COOKIE

if TYPE_CHECKING:
    from conftest import Open

URL = "http://jobs.example"


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with openid_provider() as made:
        yield made


def settings(provider: OpenIdProvider, **more: object) -> dict[str, Any]:
    return {
        "host": "jobs.example",
        "url": URL,
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "operators": ("ada@example.com",),
        **more,
    }


async def come_back(client: httpx2.AsyncClient) -> httpx2.Response:
    """Go to the provider and come back, as a browser does."""
    begun = await client.get("/sign-in/oidc")
    assert begun.status_code == 303, begun.text
    async with httpx2.AsyncClient() as browser:
        sent_back = await browser.get(begun.headers["location"])
    return await client.get(sent_back.headers["location"], headers={"Sec-Fetch-Site": "cross-site"})


async def test_who_the_provider_knows_is_signed_in(dashboard: Open, provider: OpenIdProvider) -> None:
    async with dashboard(**settings(provider)) as client:
        assert (await client.get("/api/session")).json()["sign_in"] == ["oidc"]
        response = await come_back(client)
        assert response.status_code == 200
        assert "url=../../" in response.text
        assert any("SameSite=Strict" in each for each in response.headers.get_list("set-cookie"))
        session = (await client.get("/api/session")).json()
        assert (session["actor"], session["role"]) == ("ada@example.com", "operator")
        assert (await client.get("/api/queues")).status_code == 200


async def test_groups_give_roles_too(dashboard: Open, provider: OpenIdProvider) -> None:
    provider.claims = {"sub": "eve", "groups": ["ops", 7]}
    chosen = settings(provider, oidc_claim="sub", admins=("group:ops",))
    async with dashboard(**chosen) as client:
        assert (await come_back(client)).status_code == 200
        assert (await client.get("/api/session")).json()["role"] == "admin"


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "eve@example.com"},
        {"email": "ada@example.com.evil.example"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": None},
        {"email": ["ada@example.com"]},
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["another"]},
        {"azp": "another"},
        {"exp": 1_700_000_000},
        {"nonce": "replayed"},
        {"nonce": None},
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_this_sign_in_lets_nobody_in(
    dashboard: Open, provider: OpenIdProvider, claims: dict[str, Any]
) -> None:
    provider.forged = claims
    async with dashboard(**settings(provider)) as client:
        response = await come_back(client)
        assert (response.status_code, response.json()["type"]) == (403, "sign_in_refused")
        assert COOKIE not in client.cookies
        assert (await client.get("/api/queues")).status_code == 401


async def test_a_token_that_somebody_else_signed_lets_nobody_in(
    dashboard: Open, provider: OpenIdProvider
) -> None:
    provider.signs = RSAKey.generate_key(2048, {"kid": str(provider.key.kid)}, private=True)
    async with dashboard(**settings(provider)) as client:
        assert (await come_back(client)).status_code == 403
    # The secret that client and provider share signs nothing.
    provider.algorithm, provider.signs = "HS256", OctKey.import_key(CLIENT_SECRET * 6)
    async with dashboard(**settings(provider)) as client:
        assert (await come_back(client)).status_code == 403


async def test_another_browser_cannot_finish_what_this_one_began(
    dashboard: Open, provider: OpenIdProvider
) -> None:
    async with dashboard(**settings(provider)) as client:
        begun = await client.get("/sign-in/oidc")
        async with httpx2.AsyncClient() as browser:
            back = (await browser.get(begun.headers["location"])).headers["location"]
        client.cookies.clear()
        assert (await client.get(back)).json()["type"] == "sign_in_refused"
        await client.get("/sign-in/oidc")
        assert (await client.get(back)).json()["type"] == "sign_in_refused"
        refused = await client.get("/sign-in/oidc/callback?error=access_denied&state=x")
        assert refused.status_code == 403


async def test_a_provider_that_changed_its_keys_is_asked_again(
    dashboard: Open, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_dashboard.access.oidc._AGAIN_S", 0.0)
    async with dashboard(**settings(provider)) as client:
        assert (await come_back(client)).status_code == 200
        provider.change_keys()
        assert (await come_back(client)).status_code == 200


async def test_a_provider_that_is_away_is_told(dashboard: Open, provider: OpenIdProvider) -> None:
    for issuer in ("http://127.0.0.1:1", f"{provider.issuer}/other"):
        async with dashboard(**settings(provider, oidc_issuer=issuer)) as client:
            response = await client.get("/sign-in/oidc")
            assert (response.status_code, response.json()["type"]) == (502, "provider_failed")
            assert CLIENT_SECRET not in response.text


async def test_a_provider_that_sends_no_id_token_is_told_so(
    dashboard: Open, provider: OpenIdProvider
) -> None:
    provider.told = ["access_token"]
    async with dashboard(**settings(provider)) as client:
        response = await come_back(client)
        assert (response.status_code, response.json()["type"]) == (502, "provider_failed")
        assert "DASHBOARD_OIDC_SCOPES" in response.json()["detail"]


async def test_who_is_refused_in_a_browser_reads_why_and_finds_back(
    dashboard: Open, provider: OpenIdProvider
) -> None:
    provider.claims = {"sub": "2", "email": "<b>eve</b>@example.com", "email_verified": True}
    async with dashboard(**settings(provider)) as client:
        client.headers["accept"] = "text/html,*/*;q=0.8"
        refused = await come_back(client)
        away = await client.get("/sign-in/oidc/callback?error=access_denied&state=x")
        assert (refused.status_code, refused.headers["content-type"]) == (403, "text/html; charset=utf-8")
        assert "&lt;b&gt;eve&lt;/b&gt;@example.com is on none of the lists" in refused.text
        assert 'href="../../"' in refused.text
        assert "Begin again" in away.text
        assert COOKIE not in client.cookies


async def test_without_a_provider_there_is_nothing_to_begin(dashboard: Open) -> None:
    async with dashboard(token="all") as client:
        assert (await client.get("/sign-in/oidc")).status_code == 404


def test_what_a_provider_needs_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = DashboardSettings(
        oidc_issuer="https://id.example",
        oidc_client_id="x",
        oidc_client_secret="y",
        url=URL,
        viewers=("*",),
        host="0.0.0.0",
    )
    check_exposure(whole)
    assert "y" not in repr(whole).partition("oidc_client_secret")[2][:8]
    with pytest.raises(ConfigurationError, match="https"):
        check_exposure(replace(whole, oidc_issuer="http://id.example"))
    with pytest.raises(ConfigurationError, match="DASHBOARD_URL"):
        check_exposure(replace(whole, url=None))
    monkeypatch.setattr(exposure, "check_libraries", missing)
    with pytest.raises(ConfigurationError, match="jobs-dashboard"):
        check_exposure(whole)


def missing() -> None:
    raise ConfigurationError("Install jobs-dashboard[oidc].")
