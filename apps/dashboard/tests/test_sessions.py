from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from jobs_core.settings import DashboardSettings
from jobs_dashboard.access import Access
from jobs_dashboard.access import sessions as sessions_module
from jobs_dashboard.access.sessions import COOKIE, Sessions
from jobs_dashboard.access.tokens import Attempts
from jobs_dashboard.problems import Refused
from jobs_dashboard.roles import Identity, Role

if TYPE_CHECKING:
    import httpx2
    from conftest import Open

    from jobs_admin import Admin

HERE = {"Sec-Fetch-Site": "same-origin"}


async def sign_in(client: httpx2.AsyncClient, token: str = "some", **more: str) -> httpx2.Response:
    return await client.post("/api/session", json={"token": token, **more}, headers=HERE)


async def test_who_signs_in_gets_a_cookie_that_scripts_cannot_read(dashboard: Open) -> None:
    async with dashboard(operator_token="some") as client:
        assert (await client.get("/api/session")).json()["sign_in"] == ["token"]
        response = await sign_in(client, name="ada")
        assert response.json()["role"] == "operator"
        cookie = response.headers["set-cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"))
        assert "Secure" not in cookie
        assert (await client.get("/api/queues")).status_code == 200
        session = (await client.get("/api/session")).json()
        assert (session["actor"], session["role"]) == ("ada (operator token)", "operator")


async def test_over_tls_the_cookie_is_for_tls_alone(dashboard: Open) -> None:
    async with dashboard(token="all", url="https://jobs.example") as client:
        assert "Secure" in (await sign_in(client, "all")).headers["set-cookie"]


async def test_a_wrong_token_signs_nobody_in(dashboard: Open) -> None:
    async with dashboard(token="all") as client:
        response = await sign_in(client, "wrong")
        assert (response.status_code, response.json()["type"]) == (401, "not_signed_in")
        assert "set-cookie" not in response.headers
        assert (await client.get("/api/queues")).status_code == 401


async def test_who_signed_out_is_out_whatever_they_kept(dashboard: Open) -> None:
    async with dashboard(token="all") as client:
        await sign_in(client, "all")
        kept = client.cookies[COOKIE]
        response = await client.delete("/api/session", headers=HERE)
        assert response.status_code == 204
        assert "Max-Age=0" in response.headers["set-cookie"]
        again = await client.get("/api/queues", headers={"Cookie": f"{COOKIE}={kept}"})
        assert again.status_code == 401


async def test_who_signed_out_is_out_at_every_dashboard(dashboard: Open) -> None:
    async with dashboard(token="all") as here, dashboard(token="all") as there:
        await sign_in(here, "all")
        kept = {"Cookie": f"{COOKIE}={here.cookies[COOKIE]}"}
        assert (await there.get("/api/queues", headers=kept)).status_code == 200
        assert (await here.delete("/api/session", headers=HERE)).status_code == 204
        assert (await there.get("/api/queues", headers=kept)).status_code == 401
        assert (await there.get("/api/session", headers=kept)).json()["role"] is None
        # Another session of the same person goes on.
        await sign_in(there, "all")
        assert (await there.get("/api/queues")).status_code == 200


async def test_signed_out_sessions_are_remembered_no_longer_than_they_would_have_lasted(admin: Admin) -> None:
    await admin.end_session("over", time.time() - 1)
    await admin.end_session("last", time.time() + 60)
    assert [await admin.is_session_ended(each) for each in ("over", "last", "other")] == [False, True, False]


def test_a_session_says_what_it_was_made_with_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(b"secret", 60)
    value, held = sessions.make(Identity("ada", Role.OPERATOR))
    assert sessions.read(value) == held
    assert held.identity == Identity("ada", Role.OPERATOR)
    assert Sessions(b"other", 60).read(value) is None
    monkeypatch.setattr(sessions_module.time, "time", lambda: held.until + 1.0)
    assert sessions.read(value) is None


@pytest.mark.parametrize(
    "forged", ["", ".", "a.b", "é.ü", "x" * 5000, "{body}.", "{body}.{body}", "{more}.{sign}"]
)
def test_a_forged_session_is_none(forged: str) -> None:
    sessions = Sessions(b"secret", 60)
    body, _, sign = sessions.make(Identity("ada", Role.VIEWER))[0].partition(".")
    text = forged.format(body=body, sign=sign, more=body + "A")
    assert sessions.read(text) is None


def test_another_token_ends_all_sessions() -> None:
    before = Access(DashboardSettings(token="all"))
    value, _ = before.sessions.make(Identity("ada", Role.ADMIN))
    assert Access(DashboardSettings(token="all")).sessions.read(value) is not None
    assert Access(DashboardSettings(token="new")).sessions.read(value) is None
    assert Access(DashboardSettings(viewer_token="all")).sessions.read(value) is None


def test_who_guesses_is_made_to_wait() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    for number in range(10):
        attempts.check("10.0.0.7")
        attempts.wrong("10.0.0.7", b"%d" % number)
    with pytest.raises(Refused, match="Too many wrong tokens") as caught:
        attempts.check("10.0.0.7")
    assert caught.value.headers["Retry-After"] == "7"
    attempts.check("10.0.0.8")
    now = 6.1
    attempts.check("10.0.0.7")
    attempts.wrong("10.0.0.7", b"next")
    with pytest.raises(Refused):
        attempts.check("10.0.0.7")


def test_the_same_wrong_token_again_counts_once() -> None:
    attempts = Attempts(lambda: 0.0)
    for _ in range(100):
        attempts.check("10.0.0.7")
        attempts.wrong("10.0.0.7", b"outdated")


def test_the_addresses_of_one_network_count_as_one() -> None:
    attempts = Attempts(lambda: 0.0)
    for number in range(10):
        attempts.wrong(f"2001:db8::{number:x}", b"%d" % number)
    with pytest.raises(Refused):
        attempts.check("2001:db8::ffff")
    attempts.check("2001:db8:1::1")


async def test_who_guessed_too_often_gets_in_with_no_token_for_a_while(dashboard: Open) -> None:
    async with dashboard(token="all") as client:
        for number in range(10):
            assert (await sign_in(client, str(number))).status_code == 401
        response = await sign_in(client, "all")
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0
        bearer = await client.get("/api/queues", headers={"Authorization": "Bearer all"})
        assert bearer.status_code == 429
        assert (await client.get("/healthz")).status_code == 200
