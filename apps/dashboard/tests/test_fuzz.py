"""Whatever is sent to the API: no answer is a failure of ours, and each is one that the document tells of."""

# Much of the library has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import one_of
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from tests.support.dashboards import CATALOG
from tests.support.seeding import Seeder
from tests.support.waiting import WITHIN, wait_until

from jobs_core.connection import client_for, parse_address
from jobs_core.discovery import Catalog
from jobs_core.scripts import Scripts
from jobs_core.settings import DashboardSettings
from jobs_dashboard import app as app_module
from jobs_dashboard.access.tokens import Attempts
from jobs_dashboard.app import create_app
from jobs_dashboard.openapi import document
from jobs_dashboard.table import ROWS

if TYPE_CHECKING:
    from jobs_core.server import EmbeddedServer
    from jobs_dashboard.row import Row

# The dashboard runs in a thread beside the strategies, and draws random numbers of its own for its pauses.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)

# A stream does not end, so it cannot be asked for an answer.
OPERATIONS = [row for row in ROWS if row.media != "text/event-stream" and row.path.startswith("/api")]
SCHEMA = schemathesis.openapi.from_dict(msgspec.json.decode(msgspec.json.encode(document(ROWS, "1"))))
TOLD: Any = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)


@pytest.fixture(scope="module")
def dashboard_url(server: EmbeddedServer) -> Iterator[str]:
    asyncio.run(_seed(server.url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "load_features", declared)
        app = create_app(DashboardSettings(redis_url=server.url, prefix="fuzz", token="all"))
    # Made-up tokens by the dozen would close the door to all that follows.
    app.state.services.access.attempts = Attempts(lambda: 0.0, at_once=10**9)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        served = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: served.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        served.should_exit = True
        thread.join(timeout=WITHIN)


def declared(_: object) -> Catalog:
    return CATALOG


async def _seed(url: str) -> None:
    client = client_for(parse_address(url))
    await client.connect(timeout=WITHIN)
    mail = Seeder(Scripts(client, "fuzz"), "mail")
    await mail.finish("fail", "1")
    await mail.add("0")
    await client.close()


def fuzz(row: Row, url: str, examples: int) -> None:
    operation: Any = SCHEMA[row.path][row.method]
    cases = operation.as_strategy()
    if row.body is not None or row.query is not None:
        cases = one_of(cases, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=cases)
    def tried(case: Any) -> None:  # noqa: ANN401
        response = case.call(base_url=url, headers={"Authorization": "Bearer all"}, timeout=WITHIN)
        case.validate_response(response, checks=TOLD)

    tried()


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: f"{row.method} {row.path}")
def test_no_request_breaks_a_route(row: Row, dashboard_url: str) -> None:
    fuzz(row, dashboard_url, 4)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: f"{row.method} {row.path}")
def test_no_request_of_very_many_breaks_a_route(row: Row, dashboard_url: str) -> None:
    fuzz(row, dashboard_url, 300)
