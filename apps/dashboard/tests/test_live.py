"""Live events, over sockets: a client that is not read from has to be one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest
import uvicorn
from tests.support.waiting import WITHIN, until

from jobs_admin import Admin
from jobs_core.settings import DashboardSettings
from jobs_dashboard import streams
from jobs_dashboard.access import Access
from jobs_dashboard.app import create_app
from jobs_dashboard.live import Hub
from jobs_dashboard.problems import Refused
from jobs_dashboard.streams import Message, Subscription, packed

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from tests.support.seeding import Seeder

    from jobs_admin import LiveRecord

Heard = dict[str, Any]


class Served:
    """A dashboard on a port."""

    def __init__(self, app: Starlette, port: int) -> None:
        self.hub: Hub = app.state.services.hub
        self.port = port
        self.client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN)

    @asynccontextmanager
    async def listening(self, query: str = "", **headers: str) -> AsyncGenerator[Callable[..., Any]]:
        """Yield what waits for the next event of a kind."""
        async with self.client.stream("GET", f"/api/events{query}", headers=headers) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.aiter_lines()
            heard = events_of(lines)
            assert await anext(heard) == {"event": "begin"}

            async def next_of(*kinds: str) -> Heard:
                async for each in heard:
                    if each["event"] in kinds:
                        return each
                raise AssertionError(f"the stream ended before {kinds}")

            yield next_of


async def events_of(lines: AsyncIterator[str]) -> AsyncGenerator[Heard]:
    heard: Heard = {}
    async for line in lines:
        if line == ": begin":
            yield {"event": "begin"}
        elif line.startswith("data: "):
            heard["data"] = msgspec.json.decode(line[6:])
        elif line.partition(": ")[0] in {"id", "event"}:
            heard[line.partition(": ")[0]] = line.partition(": ")[2]
        elif not line and "data" in heard:
            yield heard
            heard = {}


@pytest.fixture
async def served(redis_url: str, prefix: str) -> AsyncIterator[Served]:
    app = create_app(DashboardSettings(redis_url=redis_url, prefix=prefix))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        made = Served(app, listener.getsockname()[1])
        yield made
        await made.client.aclose()
        await made.hub.stop()
        server.should_exit = True
        await task


async def test_events_are_told_as_they_happen(served: Served, mail: Seeder) -> None:
    await mail.add("0")
    async with served.listening("?stats=0") as hears:
        await mail.add("1")
        event = (await hears("event"))["data"]
        assert (event["event"], event["queue"], event["id"]) == ("added", "mail", "1")


async def test_of_some_queues_or_one_job_only_what_is_theirs(served: Served, mail: Seeder) -> None:
    await mail.add("0")
    other = mail.named("other")
    async with (
        served.listening("?stats=0&queue=other") as of_queue,
        served.listening("?stats=0&queue=mail&job=2") as of_job,
    ):
        await mail.add("1", "2")
        await other.add("3")
        assert (await of_queue("event"))["data"]["id"] == "3"
        assert (await of_job("event"))["data"]["id"] == "2"


async def test_who_comes_back_goes_on_behind_what_was_heard(served: Served, mail: Seeder) -> None:
    await mail.add("0")
    async with served.listening("?stats=0") as hears:
        await mail.add("1", "2")
        first = await hears("event")
        assert first["data"]["id"] == "1"
    await mail.add("3")
    async with served.listening("?stats=0", **{"Last-Event-ID": first["id"]}) as hears:
        assert [(await hears("event", "reset"))["data"]["id"] for _ in range(2)] == ["2", "3"]
    async with served.listening(f"?stats=0&last_event_id={first['id']}") as hears:
        assert (await hears("event", "reset"))["data"]["id"] == "2"


@pytest.mark.parametrize("last", ["other-1", "nonsense", "-", "{epoch}-999999", "{epoch}-"])
async def test_who_missed_events_is_told_to_look_again(served: Served, mail: Seeder, last: str) -> None:
    await mail.add("0")
    async with served.listening("?stats=0") as hears:
        await mail.add("1")
        epoch = (await hears("event"))["id"].partition("-")[0]
    async with served.listening("?stats=0", **{"Last-Event-ID": last.format(epoch=epoch)}) as hears:
        reset = await hears("reset", "event")
        assert reset["event"] == "reset"
        await mail.add("2")
        assert (await hears("event"))["data"]["id"] == "2"


async def test_counts_come_whole_and_then_what_changed(served: Served, mail: Seeder) -> None:
    await mail.add("1")
    await mail.named("other").add("2")
    async with served.listening("?events=0") as hears:
        first = (await hears("stats"))["data"]
        assert first["full"]
        assert [(each["queue"], each["waiting"]) for each in first["queues"]] == [("mail", 1), ("other", 1)]
        await mail.claim()

        async def running() -> bool:
            told = (await hears("stats"))["data"]
            assert not told["full"]
            return any((each["queue"], each["active"]) == ("mail", 1) for each in told["queues"])

        await until(running)
    overview = (await served.client.get("/api/overview")).json()
    assert [each["queue"] for each in overview["queues"]] == ["mail", "other"]


async def test_a_look_that_fails_does_not_end_the_counts(
    served: Served, mail: Seeder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live, failed = Admin.live, asyncio.Event()

    async def fails_once(admin: Admin, skip: Collection[str] = ()) -> list[LiveRecord]:
        if not failed.is_set():
            failed.set()
            raise KeyError("unforeseen")
        return await live(admin, skip)

    async with served.listening("?events=0") as hears:
        await hears("stats")
        monkeypatch.setattr(Admin, "live", fails_once)
        await failed.wait()
        await mail.add("1")

        async def counted() -> bool:
            # A look may come between the queue and its job, or tell of no change.
            return [each["waiting"] for each in (await hears("stats"))["data"]["queues"]] == [1]

        await until(counted)
    assert "KeyError: 'unforeseen'" in caplog.text


async def test_counts_of_one_queue_alone(served: Served, mail: Seeder) -> None:
    await mail.add("1")
    await mail.named("other").add("2")
    async with served.listening("?events=0&queue=other") as hears:
        assert [each["queue"] for each in (await hears("stats"))["data"]["queues"]] == ["other"]


async def test_rates_follow_the_totals(admin: Admin, mail: Seeder) -> None:
    hub = Hub(admin)
    await hub.watch.look()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await mail.add(*(str(number) for number in range(10)))
    await until(lambda: loop.time() - began > 0.6)
    await hub.watch.look()
    overview = await hub.watch.overview()
    # The queue was not there at the first look, so there is nothing to go by yet.
    assert [each.added_per_s for each in overview.queues] == [None]
    began = loop.time()
    await mail.add("10", "11")
    await until(lambda: loop.time() - began > 0.6)
    await hub.watch.look()
    (queue,) = (await hub.watch.overview()).queues
    assert queue.added_per_s is not None
    assert 0 < queue.added_per_s <= 2 / 0.6


async def test_queues_that_rest_are_looked_at_less_often(
    admin: Admin, mail: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped: list[set[str]] = []
    live = Admin.live

    async def watched(admin: Admin, skip: Collection[str] = ()) -> list[LiveRecord]:
        skipped.append({*skip})
        return await live(admin, skip)

    monkeypatch.setattr(Admin, "live", watched)
    await mail.finish("complete", "1")
    watch = Hub(admin).watch
    # Rates that are known after half a second are a change, too, at whichever look that is.
    for _ in range(20):
        await watch.look()
    assert skipped.count({"mail"}) >= 5
    assert set() in skipped[-4:]
    await mail.add("2")
    for _ in range(4):
        await watch.look()
    assert [each.waiting for each in (await watch.overview()).queues] == [1]


async def test_many_pages_have_one_reader(served: Served, mail: Seeder) -> None:
    info = "CLIENT", "LIST"
    await mail.add("0")
    async with (
        served.listening("?stats=0") as first,
        served.listening("?stats=0") as second,
        served.listening() as third,
    ):
        clients = str(await mail.scripts.client.call(*info))
        assert clients.count("name=jobs:events") == 1
        await mail.add("1")
        for hears in (first, second, third):
            assert (await hears("event"))["data"]["id"] == "1"


async def test_who_reads_nothing_is_dropped_and_the_others_go_on(
    served: Served, mail: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mail.add("0")
    monkeypatch.setattr(streams, "_MOST_MESSAGES", 50)
    monkeypatch.setattr(streams, "_SEND_S", 0.5)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", served.port))
        deaf.sendall(b"GET /api/events?stats=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        hub = served.hub
        await until(lambda: len(hub._subscriptions) == 1)
        body = packed("event", {"text": "x" * 100_000})

        def flooded() -> bool:
            for subscription in [*hub._subscriptions]:
                subscription.put(Message("event", body))
            return not hub._subscriptions

        await until(flooded)
    monkeypatch.undo()
    async with served.listening("?stats=0") as hears:
        await mail.add("1")
        assert (await hears("event"))["data"]["id"] == "1"


async def test_who_does_not_keep_up_is_told_at_the_end() -> None:
    subscription = Subscription()
    for _ in range(streams._MOST_MESSAGES + 1):
        subscription.put(Message("event", b"x"))
    assert await subscription.take() == (packed("end", {"reason": "slow"}), False)


async def test_a_silent_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_KEEP_ALIVE_S", 0.01)
    assert await Subscription().take() == (b": keep-alive\n\n", True)


async def test_a_dashboard_that_stops_says_so(served: Served) -> None:
    async with served.listening("?stats=0") as hears:
        await served.hub.stop()
        assert (await hears("end"))["data"] == {"reason": "stopped"}


async def test_nobody_unknown_hears_anything(redis_url: str, prefix: str) -> None:
    app = create_app(DashboardSettings(redis_url=redis_url, prefix=prefix, token="all"))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client,
    ):
        assert (await client.get("/api/events")).status_code == 401


async def test_a_stream_ends_for_who_may_look_no_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(*_: object) -> Refused:
        return Refused(401, "not_signed_in", "Sign in", "")

    monkeypatch.setattr(streams, "_ASK_S", 0.0)
    async with served.listening() as next_of:
        await next_of("stats")
        monkeypatch.setattr(Access, "identify", nobody)
        assert (await next_of("end"))["data"] == {"reason": "signed_out"}
