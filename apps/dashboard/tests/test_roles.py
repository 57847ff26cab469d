"""Every route asks for its role, and for no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs_dashboard.roles import Role
from jobs_dashboard.table import ROWS

if TYPE_CHECKING:
    import httpx2
    from conftest import Open

    from jobs_dashboard.row import Row

TOKENS = {"token": "all", "operator_token": "some", "viewer_token": "look"}
BY_ROLE = {Role.VIEWER: "look", Role.OPERATOR: "some", Role.ADMIN: "all"}
PATH = {
    "queue": "mail",
    "job_id": "1",
    "name": "send",
    "schedule_id": "s",
    "flow_id": "f",
    "worker_id": "w",
    "letter_id": "l",
    "bulk_id": "b",
    "profile": "light",
}
GUARDED = [row for row in ROWS if row.role is not None and row.media == "application/json"]


async def asked(client: httpx2.AsyncClient, row: Row, token: str | None) -> int:
    headers: dict[str, str] = {} if token is None else {"Authorization": f"Bearer {token}"}
    content = None if row.body is None else b"{}"
    headers["Content-Type"] = "application/json"
    response = await client.request(row.method, row.path.format(**PATH), headers=headers, content=content)
    return response.status_code


async def test_nobody_gets_anywhere_without_a_token(dashboard: Open) -> None:
    async with dashboard(**TOKENS) as client:
        for row in GUARDED:
            assert await asked(client, row, None) == 401, row.path


@pytest.mark.parametrize("role", Role)
async def test_a_role_gets_to_what_is_its_own_and_no_further(dashboard: Open, role: Role) -> None:
    async with dashboard(**TOKENS) as client:
        for row in GUARDED:
            assert row.role is not None
            status = await asked(client, row, BY_ROLE[role])
            assert (status == 403) == (row.role > role), (row.method, row.path, status)
            assert status not in {401, 500}, (row.method, row.path)


def test_operators_do_all_but_obliterate_and_change_limits() -> None:
    for_admins = {row.path for row in ROWS if row.role is Role.ADMIN}
    assert for_admins == {f"/api/queues/{{queue}}/{what}" for what in ("obliterate", "limits", "alerts")}
    changing = [row for row in ROWS if row.method != "GET" and row.path != "/api/session"]
    assert all(row.role is not None and row.role >= Role.OPERATOR for row in changing)
