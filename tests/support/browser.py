"""A dashboard on a stage of its own, served in a thread, and a browser that looks at it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar
from unittest.mock import patch

import pytest
import uvicorn
from tests.support.stage import QUEUES, Stage
from tests.support.waiting import WITHIN

from jobs_admin import Admin
from jobs_core.discovery import Catalog
from jobs_core.server import EmbeddedServer
from jobs_core.settings import DashboardSettings
from jobs_dashboard import app as dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser

T = TypeVar("T")
ADMIN, OPERATOR, VIEWER = "admin-token-of-the-test", "operator-token-of-test", "viewer-token-of-the-test"
# Headless, and asking nobody anything by itself.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-default-apps"),
)


def find_browser() -> str:
    """Return a Chromium of this machine; skips the test where there is none."""
    named = os.environ.get("JOBS_TEST_BROWSER")
    names = (named,) if named else ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    return found


@contextmanager
def opened_browser() -> Generator[Browser]:
    """Start a browser."""
    path = find_browser()
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_FLAGS], timeout=4 * WITHIN * 1000)
        yield browser
        browser.close()


class Theatre:
    """Server, stage and dashboard, on an event loop in a thread."""

    address: str
    stage: Stage

    def __init__(self, text: str) -> None:
        self._text = text
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._end: Callable[[], Awaitable[None]] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._end is not None:
                self.run(self._end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(WITHIN)
            self._loop.close()

    def run(self, work: Awaitable[T]) -> T:
        """Do something where the stage lives."""

        async def doing() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(6 * WITHIN)

    @property
    def admin(self) -> Admin:
        """The admin of the stage."""
        return self.stage.admin

    async def _start(self) -> None:
        server = EmbeddedServer()
        await asyncio.to_thread(server.start)
        self.stage = await Stage(server.url).__aenter__()
        await self.stage.fill(text=self._text)
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = DashboardSettings(
            redis_url=server.url,
            token=ADMIN,
            operator_token=OPERATOR,
            viewer_token=VIEWER,
            trace_url="https://traces.example/trace/{trace_id}",
        )
        declared = Catalog([(queue, "stage") for queue in QUEUES])
        with patch.object(dashboard, "load_features", return_value=declared):
            made = dashboard.create_app(settings)
        served = uvicorn.Server(uvicorn.Config(made, log_config=None, timeout_graceful_shutdown=1))
        serving = asyncio.create_task(served.serve(sockets=[listener]))
        while not served.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)

        async def end() -> None:
            served.should_exit = True
            await serving
            await self.stage.__aexit__(None, None, None)
            await asyncio.to_thread(server.stop)

        self._end = end
