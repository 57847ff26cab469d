import asyncio
import logging
import select
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
from tests.support.engine import Engine, group
from tests.support.fake_server import HANG_UP, HELLO, FakeServer
from tests.support.leaping import leap
from tests.support.proxy import Proxy

from jobs_core.connection import Client, client_for, parse_address
from jobs_core.connection.client import READ_DEADLINE, OutcomeLost
from jobs_core.connection.replies import classify, to_error
from jobs_core.connection.tls import tls_context
from jobs_core.errors import (
    ConfigurationError,
    ConnectionFailed,
    JobsError,
    NotPermitted,
    OwnerGone,
    PayloadTooLarge,
    SchemaMismatch,
    ServerError,
    ServerFull,
    ServerRefused,
)
from jobs_core.loader import load
from jobs_core.server import EmbeddedServer

T = TypeVar("T")
Connect = Callable[..., Awaitable[Client]]
SECRET = "hunter2"
SCRIPT = load("lookup")


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make clients that are closed in the end."""
    clients: list[Client] = []

    async def connect(url: str, *, read_deadline: float = 10.0, wait: bool = True) -> Client:
        client = client_for(parse_address(url), read_deadline=read_deadline)
        clients.append(client)
        if wait:
            await client.connect(timeout=40)
        return client

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url) as proxy:
        yield proxy


class Waits(list[float]):
    """How long the client slept, each time; none of it passes."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Condition()

    async def sleep(self, seconds: float) -> None:
        async with self._changed:
            self.append(seconds)
            self._changed.notify_all()

    async def reach(self, count: int) -> None:
        """Wait until the client has slept so often."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self) >= count)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Let no time pass while the client sleeps."""
    waits, sleep = Waits(), asyncio.sleep

    async def skip(seconds: float) -> None:
        if seconds > 0:
            await waits.sleep(seconds)
        await sleep(0)

    monkeypatch.setattr("jobs_core.connection.client.asyncio.sleep", skip)
    return waits


def soon(seconds: float = 0.05) -> float:
    return asyncio.get_running_loop().time() + seconds


@pytest.mark.parametrize(
    ("url", "shown", "username", "password"),
    [
        ("redis://localhost", "redis://localhost:6379/0", "", ""),
        ("redis://", "redis://localhost:6379/0", "", ""),
        ("REDIS://cache.example:7000/3", "redis://cache.example:7000/3", "", ""),
        ("redis://cache?db=4", "redis://cache:6379/4", "", ""),
        (f"redis://:{SECRET}@h", "redis://h:6379/0", "", SECRET),
        (f"redis://ada:{SECRET}@h:1/2", "redis://h:1/2", "ada", SECRET),
        ("redis://a%3Ab:p%2Fw%40%23@h", "redis://h:6379/0", "a:b", "p/w@#"),
        (f"redis://h?username=ada&password={SECRET}", "redis://h:6379/0", "ada", SECRET),
        ("rediss://[::1]:6380/1", "rediss://[::1]:6380/1", "", ""),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=0", "", ""),
        ("redis+sentinel://a,b:1/main", "redis+sentinel://a:26379,b:1/main/0", "", ""),
        (f"rediss+sentinel://:{SECRET}@a/main/2", "rediss+sentinel://a:26379/main/2", "", SECRET),
        (f"redis+sentinel://:,%40{SECRET}@a/main?db=3", "redis+sentinel://a:26379/main/3", "", f",@{SECRET}"),
        ("redis+cluster://a,[::1]:7001,a:6379", "redis+cluster://a:6379,[::1]:7001", "", ""),
        (f"rediss+cluster://ada:{SECRET}@a:7000/0", "rediss+cluster://a:7000", "ada", SECRET),
        (f"unix://ada:{SECRET}@/Run/v.sock?db=5", "unix:///Run/v.sock?db=5", "ada", SECRET),
    ],
)
def test_addresses(url: str, shown: str, username: str, password: str) -> None:
    address = parse_address(url)
    assert (address.display, address.username, address.password) == (shown, username, password)
    assert address.tls == url.startswith("rediss")
    for text in (repr(address), str(address), address.display, str(address.__rich_repr__())):
        assert not password or password not in text


def test_tls_verifies_unless_told_otherwise() -> None:
    context = tls_context(parse_address("rediss://h"))
    assert context is not None
    assert context.check_hostname
    context = tls_context(parse_address("rediss://h?ssl_cert_reqs=none"))
    assert context is not None
    assert not context.check_hostname
    assert tls_context(parse_address("redis://h")) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        f"http://:{SECRET}@h",
        f"{SECRET}:{SECRET}@h",
        f"redis:{SECRET}@h",
        f"redis+sentinel://:{SECRET}@h",
        f"redis+sentinel://:{SECRET}@h/main/zero",
        f"redis+sentinel://:6379/{SECRET}@h:6379/main",
        f"redis+cluster://:{SECRET}@h/1",
        f"redis+cluster://:{SECRET}@h,:0",
        f"redis+cluster://:a/{SECRET}@h",
        f"redis://:{SECRET}/x@h:6379",
        f"redis://:{SECRET}#x@h",
        f"redis://:6379/{SECRET}@h:6379/0",
        f"redis://:{SECRET}@h:65536",
        f"redis://:{SECRET}@h:port",
        f"redis://:{SECRET}@h:0",
        f"redis://:{SECRET}@[::1",
        f"redis://:{SECRET}\u2100@h",
        f"redis://:{SECRET}@h/zero",
        f"redis://:{SECRET}@h/-1",
        f"redis://:{SECRET}@h/\u00b2",
        f"unix://:{SECRET}@",
    ],
)
def test_wrong_addresses_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_address(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NOSCRIPT No matching script. Please use EVAL.", "reload"),
        ("LOADING Redis is loading the dataset in memory", "again"),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "again"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "again"),
        ("CLUSTERDOWN Hash slot not served", "again"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "again"),
        ("READONLY You can't write against a read only replica.", "rediscover"),
        ("UNBLOCKED force unblock from blocking operation", "rediscover"),
        ("MOVED 3999 127.0.0.1:6381", "rediscover"),
        ("ASK 3999 127.0.0.1:6381", "rediscover"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "refuse"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's unable to persist.", "refuse"),
        ("NOREPLICAS Not enough good replicas to write.", "refuse"),
        ("ERR Error running script (call to f_5): @user_script:1: -OOM command not allowed", "refuse"),
        ("ERR Error running script: @user_script: 1: -READONLY You can't write", "rediscover"),
        ("ERR unknown command 'FOO'", "fatal"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "fatal"),
        ("WRONGTYPE BUSY:{OOM}:waiting is a string", "fatal"),
        ("OWNER_GONE LOADING.1", "fatal"),
        ("TOO_LARGE BUSY", "fatal"),
        ("BUSYGROUP Consumer Group name already exists", "fatal"),
        ("NOPERM this user has no permissions", "fatal"),
        ("", "fatal"),
    ],
)
def test_errors_are_classified(text: str, kind: str) -> None:
    assert classify(text) == kind


@pytest.mark.parametrize(
    ("text", "error", "fields"),
    [
        ("OWNER_GONE w1.2", OwnerGone, {"queue": "mail", "owner": "w1.2"}),
        ("SCHEMA 2", SchemaMismatch, {"found": "2"}),
        ("TOO_LARGE my id", PayloadTooLarge, {"queue": "mail", "job": "my id"}),
        ("OOM command not allowed", ServerFull, {}),
        ("ERR x: -NOREPLICAS Not enough good replicas", ServerFull, {}),
        (
            "NOPERM User ada has no permissions to run the 'script|load' command",
            NotPermitted,
            {"reason": "its ACL does not let this user run SCRIPT|LOAD"},
        ),
        ("NOPERM No permissions to access a channel", NotPermitted, {}),
        (
            "ERR The user executing the script can't access at least one of the keys mentioned in the command",
            NotPermitted,
            {"reason": "its ACL does not let this user use a key of this program"},
        ),
        (
            "ERR ACL failure in script: User ada has no permissions to run the 'hset' command script: on @user_script:2",
            NotPermitted,
            {"reason": "its ACL does not let this user run HSET"},
        ),
        ("NOAUTH Authentication required.", ConfigurationError, {}),
        ("ERR whatever", ServerError, {"reply": "ERR whatever"}),
        ("", ServerError, {}),
    ],
)
def test_errors_get_their_type(text: str, error: type[JobsError], fields: dict[str, str]) -> None:
    made = to_error(text, queue="mail")
    assert type(made) is error
    assert {name: getattr(made, name) for name in fields} == fields


async def test_a_client_describes_its_connection(connect: Connect, redis_url: str) -> None:
    client = await connect(redis_url, wait=False)
    assert not client.is_connected
    assert not client.info().connected
    await client.connect(timeout=40)
    info = client.info()
    assert client.is_connected
    assert (info.connected, info.db, info.tls, info.role) == (True, 0, False, "master")
    assert info.server in ("redis", "valkey")
    assert info.version


async def test_a_client_uses_its_database(connect: Connect, redis_url: str) -> None:
    one, zero = await connect(f"{redis_url}?db=1"), await connect(redis_url)
    await one.call("SET", "key", "value")
    assert await zero.call("EXISTS", "key") == 0


async def test_a_database_that_is_not_there_is_refused(connect: Connect, redis_url: str) -> None:
    with pytest.raises(ConfigurationError, match="database"):
        await connect(f"{redis_url}?db=9999")


async def test_many_callers_get_their_own_replies(connect: Connect, redis_url: str) -> None:
    client = await connect(redis_url)
    replies = await asyncio.gather(*(client.call("ECHO", f"{i}") for i in range(500)))
    assert replies == [f"{i}".encode() for i in range(500)]


async def test_an_unreachable_server_fails_in_time(connect: Connect) -> None:
    client = await connect("unix:///nowhere/v.sock", wait=False)
    with pytest.raises(ConnectionFailed, match="nowhere"):
        await client.connect(timeout=0.02)
    with pytest.raises(ConnectionFailed):
        await client.call("PING", deadline=soon())
    with pytest.raises(ConnectionFailed):
        await client.run(SCRIPT, ["p:{q}:"], ["a"], deadline=soon())


@pytest.mark.parametrize("port", [None, 0])
async def test_calls_outlive_a_restart_of_the_server(connect: Connect, port: int | None) -> None:
    with EmbeddedServer(port=port) as server:
        client = await connect(server.url)
        connects: list[bool] = []
        client.on_connect(lambda: connects.append(True))
        await asyncio.to_thread(server.kill)
        calls = [asyncio.create_task(client.call("ECHO", f"{i}")) for i in range(3)]
        calls += [asyncio.create_task(client.run(SCRIPT, ["p:{q}:"], ["a"]))]
        await asyncio.sleep(0)
        await asyncio.to_thread(server.start)
        assert (await asyncio.gather(*calls))[:3] == [b"0", b"1", b"2"]
        assert connects == [True]


async def test_a_loop_that_stood_still_meanwhile_connects_again(connect: Connect) -> None:
    with EmbeddedServer() as server:
        client = await connect(server.url, read_deadline=0.2)
        # The end of the connection and the time to ask for a sign of life are noticed in one turn of the loop.
        server.kill()
        time.sleep(0.25)  # noqa: ASYNC251 - this is what it is about
        await asyncio.sleep(0)
        server.start()
        assert await client.call("PING", deadline=soon(40)) == b"PONG"


async def test_a_script_that_the_server_lost_is_loaded_again(connect: Connect, redis_url: str) -> None:
    client = await connect(redis_url)
    engine = await Engine(client, "p").start()
    for _ in range(2):
        await client.call("SCRIPT", "FLUSH")
        await asyncio.gather(*(engine.add(f"j{i}", session=f"s{i}") for i in range(20)))
    assert (await engine.stats())["added:send@1"] == 40


async def test_a_script_that_cannot_be_loaded_fails(connect: Connect) -> None:
    async with FakeServer(b"-NOSCRIPT none\r\n", b"-NOPERM this user may not\r\n") as server:
        client = await connect(server.url)
        with pytest.raises(ConfigurationError, match="does not let this user run a command"):
            await client.run(SCRIPT, ["p:{q}:"], ["a"])
        assert [command[0] for command in server.commands] == [b"EVALSHA", b"SCRIPT"]


async def test_a_server_that_forgets_scripts_at_once_is_not_asked_without_pause(
    connect: Connect, waits: Waits
) -> None:
    async with FakeServer(
        *[b"-NOSCRIPT none\r\n", b"+OK\r\n", b"-NOSCRIPT none\r\n"] * 4, b"+OK\r\n"
    ) as server:
        client = await connect(server.url)
        assert await client.run(SCRIPT, ["p:{q}:"], ["a"]) == b"OK"
    assert waits[:4] == [0.05, 0.1, 0.2, 0.4]


async def test_a_lost_reply_applies_once(connect: Connect, proxy: Proxy) -> None:
    client = await connect(proxy.url)
    engine = await Engine(client, "p").start()

    async def lose(call: Awaitable[T]) -> T:
        proxy.drop_replies = True
        task = asyncio.ensure_future(call)
        await proxy.reply_dropped()
        proxy.drop_replies = False
        proxy.reset()
        return await task

    assert await lose(engine.add("a", "b")) == b"11"
    assert await lose(engine.add("c")) == b"1"
    claim = await engine.claim(1)
    await engine.settle()
    assert [job.id for job in (await lose(engine.claim(5))).jobs] == ["b", "c"]
    assert await lose(engine.settle(group("complete", *claim.jobs))) == b"1"
    assert await engine.stats() == {"added:send@1": 3, "completed:send@1": 1}


async def test_a_half_open_connection_is_given_up(connect: Connect, proxy: Proxy) -> None:
    client = await connect(proxy.url)
    engine = await Engine(client, "p").start()
    await engine.add("warm")
    proxy.black_hole = True
    call = asyncio.create_task(engine.add("a"))
    await proxy.swallowed()
    leap(READ_DEADLINE + 1)
    await proxy.connected(2)
    assert not client.is_connected
    assert "read deadline" in client.failure
    proxy.black_hole = False
    assert await call == b"1"
    assert (await engine.stats())["added:send@1"] == 2


async def test_who_only_listens_notices_a_half_open_connection_too(connect: Connect, proxy: Proxy) -> None:
    client = await connect(proxy.url)
    proxy.black_hole = True
    # It asks for a sign of life, and there is none.
    leap(READ_DEADLINE / 2 + 1)
    await proxy.swallowed()
    leap(READ_DEADLINE + 1)
    await proxy.connected(2)
    proxy.black_hole = False
    assert await client.call("PING") == b"PONG"


async def test_a_callers_deadline_is_his_alone(connect: Connect, proxy: Proxy) -> None:
    client = await connect(proxy.url)
    await client.call("SCRIPT", "LOAD", SCRIPT.text)
    proxy.black_hole = True
    others = [asyncio.create_task(client.call("ECHO", "before"))]
    impatient = asyncio.create_task(client.run(SCRIPT, ["p:{q}:"], ["a"], deadline=soon(READ_DEADLINE / 2)))
    await proxy.swallowed()
    leap(READ_DEADLINE / 2)
    with pytest.raises(OutcomeLost):
        await impatient
    with pytest.raises(ConnectionFailed):
        await client.call("ECHO", "late", deadline=soon())
    others += [asyncio.create_task(client.call("ECHO", "after"))]
    await asyncio.sleep(0)
    proxy.black_hole = False
    assert await asyncio.gather(*others) == [b"before", b"after"]
    assert proxy.connections == 1


async def test_an_answer_that_came_while_the_loop_stood_still_counts(
    connect: Connect, redis_url: str
) -> None:
    client = await connect(redis_url)
    (node,) = client.nodes()
    call = asyncio.create_task(client.call("ECHO", "a", deadline=soon(30)))
    assert node.protocol is not None
    assert node.protocol._transport is not None
    # Called in the first turn, sent in the second; when the loop goes on there are the answer and the end of the time.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    select.select([node.protocol._transport.get_extra_info("socket")], [], [])
    leap(30)
    assert await call == b"a"


async def test_nothing_is_sent_after_the_deadline(connect: Connect) -> None:
    async with FakeServer(b"+OK\r\n") as server:
        client = await connect(server.url)
        with pytest.raises(ConnectionFailed):
            await client.run(SCRIPT, ["p:{q}:"], ["a"], deadline=soon(-1))
        assert await client.call("PING") == b"OK"
        assert server.commands == [[b"PING"]]


async def test_a_cancelled_caller_does_not_shift_replies(connect: Connect, proxy: Proxy) -> None:
    client = await connect(proxy.url)
    proxy.black_hole = True
    calls = [asyncio.create_task(client.call("ECHO", f"{i}")) for i in range(5)]
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[3].cancel()
    await asyncio.sleep(0)
    proxy.black_hole = False
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert [replies[1], replies[2], replies[4]] == [b"1", b"2", b"4"]
    assert isinstance(replies[0], asyncio.CancelledError)
    assert proxy.connections == 1


async def test_subscriptions_survive_a_reconnect(connect: Connect, proxy: Proxy, redis_url: str) -> None:
    client, other = await connect(proxy.url), await connect(redis_url)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    again = asyncio.Event()
    client.subscribe("p:{q}:wake:w1", heard.put_nowait)
    client.subscribe("p:{q}:wake:w2", heard.put_nowait)
    client.unsubscribe("p:{q}:wake:w2")
    await client.call("PING")
    assert await other.call("SPUBLISH", "p:{q}:wake:w1", "first") == 1
    assert await heard.get() == b"first"
    client.on_connect(again.set)
    proxy.reset()
    await again.wait()
    await client.call("PING")
    assert await other.call("SPUBLISH", "p:{q}:wake:w2", "nobody") == 0
    assert await other.call("SPUBLISH", "p:{q}:wake:w1", "second") == 1
    assert await heard.get() == b"second"


async def test_a_refused_subscription_does_not_shift_replies(
    connect: Connect, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    admin = await connect(redis_url)
    await admin.call("ACL", "SETUSER", "deaf", "on", f">{SECRET}", "~*", "+@all", "resetchannels")
    try:
        client = await connect(redis_url.replace("unix://", f"unix://deaf:{SECRET}@"))
        with caplog.at_level(logging.WARNING, "jobs.connection"):
            first = asyncio.create_task(client.call("ECHO", "1"))
            await asyncio.sleep(0)
            client.subscribe("p:{q}:wake:w1", lambda _: None)
            assert await client.call("ECHO", "2") == b"2"
            assert await first == b"1"
        assert "NOPERM" in caplog.text
        assert SECRET not in caplog.text
        assert await client.call("ECHO", "3") == b"3"
    finally:
        await admin.call("ACL", "DELUSER", "deaf")


@pytest.mark.parametrize("password", ["", "wrong-" + SECRET])
async def test_wrong_credentials_are_told_at_once_without_the_password(
    connect: Connect, redis_url: str, password: str
) -> None:
    admin = await connect(redis_url)
    await admin.call("CONFIG", "SET", "requirepass", SECRET)
    try:
        login = f":{password}@" if password else ""
        client = await connect(redis_url.replace("unix://", f"unix://{login}"), wait=False)
        for _ in range(2):
            with pytest.raises(ConfigurationError) as caught:
                await client.connect(timeout=40)
            assert SECRET not in str(caught.value)
        with pytest.raises(ConfigurationError):
            await client.call("PING")
        assert not client.is_connected
        right = await connect(redis_url.replace("unix://", f"unix://:{SECRET}@"))
        assert await right.call("PING") == b"PONG"
    finally:
        await admin.call("CONFIG", "SET", "requirepass", "")


@pytest.mark.parametrize(
    ("hello", "error"),
    [
        (b"-ERR unknown command `HELLO`\r\n", ServerRefused),
        (b"-NOPROTO unsupported protocol version\r\n", ServerRefused),
        (b"-DENIED Redis is running in protected mode\r\n", ConfigurationError),
        (b"-ERR something else\r\n", ServerError),
    ],
)
async def test_a_server_that_refuses_is_not_asked_again(
    connect: Connect, hello: bytes, error: type[JobsError]
) -> None:
    async with FakeServer(b"+OK\r\n", hello=hello) as server:
        with pytest.raises(error):
            await connect(server.url)
        assert server.greetings == 1


@pytest.mark.parametrize(
    "hello", [b"-LOADING dataset\r\n", b"-ERR max number of clients reached\r\n", b"+PONG\r\n"]
)
async def test_a_server_that_is_not_ready_is_asked_again(
    connect: Connect, waits: Waits, hello: bytes
) -> None:
    async with FakeServer(b"+OK\r\n", hello=hello) as server:
        client = await connect(server.url, wait=False)
        waiting = asyncio.create_task(client.connect(timeout=40))
        await waits.reach(3)
        server._hello = HELLO
        await waiting
        assert await client.call("PING") == b"OK"


@pytest.mark.parametrize("word", ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN"])
async def test_what_passes_is_tried_again_on_the_same_connection(
    connect: Connect, waits: Waits, word: str
) -> None:
    async with FakeServer(f"-{word} wait\r\n".encode(), f"-{word} wait\r\n".encode(), b"+OK\r\n") as server:
        client = await connect(server.url)
        assert await client.call("PING") == b"OK"
        assert (server.greetings, list(waits)) == (1, [0.05, 0.1])


@pytest.mark.parametrize("word", ["READONLY", "MOVED", "UNBLOCKED"])
async def test_who_answers_for_another_is_left(connect: Connect, waits: Waits, word: str) -> None:
    async with FakeServer(f"-{word} x\r\n".encode(), b"+OK\r\n") as server:
        client = await connect(server.url)
        assert await client.call("PING") == b"OK"
        assert server.greetings == 2


async def test_a_replica_that_becomes_a_primary_gets_the_call(connect: Connect, waits: Waits) -> None:
    with EmbeddedServer() as server:
        client = await connect(server.url)
        await client.call("REPLICAOF", "127.0.0.1", "1")
        engine = Engine(client, "p")
        call = asyncio.create_task(client.call("SET", "key", "value"))
        await waits.reach(3)
        await client.call("REPLICAOF", "NO", "ONE")
        assert await call == b"OK"
        assert (await engine.start()).ms > 0


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first pause before a call is sent again be longer than any deadline."""
    monkeypatch.setattr("jobs_core.connection.client.BACKOFF_STEP", 1000.0)


@pytest.mark.usefixtures("long_pause")
async def test_a_deadline_ends_the_waiting_for_better_times(connect: Connect) -> None:
    async with FakeServer(b"-LOADING wait\r\n") as server:
        client = await connect(server.url)
        with pytest.raises(ConnectionFailed, match="LOADING"):
            await client.run(SCRIPT, ["p:{q}:"], ["a"], deadline=soon(30))


@pytest.mark.usefixtures("long_pause")
@pytest.mark.parametrize("later", [b"-OOM full\r\n", b"-LOADING wait\r\n"])
async def test_what_may_have_been_applied_is_said_to_be_unknown(connect: Connect, later: bytes) -> None:
    async with FakeServer(HANG_UP, later) as server:
        client = await connect(server.url)
        with pytest.raises(OutcomeLost):
            await client.run(SCRIPT, ["p:{q}:"], ["a"], deadline=soon(30))


async def test_a_full_server_is_told_where_nothing_was_applied(connect: Connect) -> None:
    async with FakeServer(b"-OOM full\r\n") as server:
        client = await connect(server.url)
        with pytest.raises(ServerFull):
            await client.run(SCRIPT, ["p:{q}:"], ["a"])


@pytest.mark.parametrize("garbage", [b"!@#$%\r\n", b"+nobody asked for this\r\n"])
async def test_a_server_that_talks_nonsense_is_left(connect: Connect, garbage: bytes) -> None:
    async with FakeServer(b"+OK\r\n") as server:
        client = await connect(server.url)
        again = asyncio.Event()
        client.on_connect(again.set)
        server.say(garbage)
        await again.wait()
        assert await client.call("PING") == b"OK"


async def test_there_is_no_busy_loop_while_the_server_is_away(connect: Connect, waits: Waits) -> None:
    client = await connect("unix:///nowhere/v.sock", wait=False)
    calls = [asyncio.create_task(client.call("PING")), asyncio.create_task(client.connect())]
    await waits.reach(60)
    for call in calls:
        call.cancel()
    limits = [min(0.05 * n, 2.0) for n in range(1, 61)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits[:60], limits, strict=True))
    assert len(set(waits[40:])) > 1


async def test_there_is_no_busy_loop_where_the_server_hangs_up(
    connect: Connect, proxy: Proxy, waits: Waits
) -> None:
    client = await connect(proxy.url, wait=False)
    client.on_connect(proxy.reset)
    connecting = asyncio.create_task(client.connect())
    await proxy.connected(6)
    await connecting
    assert len(waits) >= 5
    assert waits[4] >= 0.125


async def test_callbacks_that_fail_do_not_end_the_connection(connect: Connect, proxy: Proxy) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(str(context["exception"]))
    )
    client = await connect(proxy.url, wait=False)

    def fail(*_: object) -> None:
        raise ValueError("theirs")

    client.on_connect(fail)
    await client.connect(timeout=40)
    client.subscribe("p:{q}:wake:w1", fail)
    assert await client.call("SPUBLISH", "p:{q}:wake:w1", "x") == 1
    assert await client.call("PING") == b"PONG"
    assert told == ["theirs", "theirs"]
    assert proxy.connections == 1


async def test_closing_ends_every_wait(connect: Connect, proxy: Proxy) -> None:
    client = await connect(proxy.url)
    proxy.black_hole = True
    sent = asyncio.create_task(client.run(SCRIPT, ["p:{q}:"], ["a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(OutcomeLost):
        await sent
    with pytest.raises(ConnectionFailed, match="closed"):
        await client.call("PING")
    with pytest.raises(ConnectionFailed, match="closed"):
        await client.connect()
    await client.close()


async def test_closing_ends_the_wait_for_a_server(connect: Connect) -> None:
    client = await connect("unix:///nowhere/v.sock", wait=False)
    connecting = asyncio.create_task(client.connect())
    call = asyncio.create_task(client.call("PING"))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ConnectionFailed, match="closed"):
        await connecting
    with pytest.raises(ConnectionFailed, match="closed"):
        await call


async def test_closing_lets_out_what_was_said(connect: Connect, redis_url: str) -> None:
    client, other = await connect(redis_url), await connect(redis_url)
    call = asyncio.create_task(client.call("SET", "last", "words"))
    await asyncio.sleep(0)
    await client.close()
    await asyncio.gather(call, return_exceptions=True)
    assert await other.call("GET", "last") == b"words"


async def test_a_client_may_be_closed_while_it_connects(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = await connect(f"redis://127.0.0.1:{silent.getsockname()[1]}", wait=False)
        connecting = asyncio.create_task(client.connect())
        await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(ConnectionFailed):
            await connecting
