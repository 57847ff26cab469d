"""Webhooks, over real HTTP on loopback."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address

import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from jobs_core.errors import SettingsError
from jobs_core.hosts import parse_hosts
from jobs_core.queues.webhooks import Deliver, verify_signature
from jobs_core.queues.webhooks.signature import signature_header
from jobs_core.settings import FeatureSettings
from jobs_worker import Fail, JobContext, Retry
from jobs_worker.http import AddressRefused, AllowedHosts, guarded_session, is_public
from jobs_worker.queues.webhooks.processor import DeliveryFailed, deliver

BODY = {"order": 1, "name": "Grüße", "items": [1, 2.5, None]}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """A receiver that keeps what it got and answers what a test tells it to."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answers: list[Answer] = []
        self.peers: set[object] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, status: int, text: str = "", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=text, headers=named)

        self.answers.append(answer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        self.bodies.append(await request.read())
        return await self.answers.pop(0)(request) if self.answers else web.Response(status=204)


@asynccontextmanager
async def serving() -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    async with serving() as one:
        monkeypatch.setenv("WEBHOOK_SECRET", "whsec-one")
        monkeypatch.setenv("WEBHOOK_ALLOW_HOSTS", f"127.0.0.1:{one.port}")
        yield one


@asynccontextmanager
async def job() -> AsyncGenerator[JobContext]:
    async with JobContext.for_test(queue="webhooks", name="deliver") as ctx:
        yield ctx


def order(url: str, **changes: object) -> Deliver:
    return msgspec.convert({"url": url, "event": "order.paid", "body": BODY} | changes, Deliver)


async def test_delivery_is_signed_json(receiver: Receiver) -> None:
    async with job() as ctx:
        receipt = await deliver(order(f"{receiver.url}/hook?a=b", headers={"X-Tenant": "7"}), ctx)
        job_id = ctx.job_id
    (request,), (body,) = receiver.requests, receiver.bodies
    assert (request.method, request.path_qs) == ("POST", "/hook?a=b")
    assert msgspec.json.decode(body) == BODY
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Webhook-Event"] == "order.paid"
    assert request.headers["Webhook-Id"] == request.headers["Idempotency-Key"] == job_id
    assert request.headers["X-Tenant"] == "7"
    assert request.headers["Webhook-Signature"].startswith(f"t={request.headers['Webhook-Timestamp']},v1=")
    assert verify_signature("whsec-one", headers=request.headers, body=body)
    assert not verify_signature("whsec-two", headers=request.headers, body=body)
    assert (receipt.delivered, receipt.status, receipt.attempts) == (True, 204, 1)
    assert receipt.duration_ms >= 0


async def test_own_idempotency_key_is_sent(receiver: Receiver) -> None:
    async with job() as ctx:
        await deliver(order(receiver.url, idempotency_key="order-1-paid"), ctx)
    headers = receiver.requests[0].headers
    assert headers["Webhook-Id"] == headers["Idempotency-Key"] == "order-1-paid"
    assert verify_signature("whsec-one", headers=headers, body=receiver.bodies[0])


async def test_rotated_secrets_both_sign(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec-old, whsec-new")
    async with job() as ctx:
        await deliver(order(receiver.url), ctx)
    headers, body = receiver.requests[0].headers, receiver.bodies[0]
    assert headers["Webhook-Signature"].count("v1=") == 2
    assert verify_signature("whsec-old", headers=headers, body=body)
    assert verify_signature(["whsec-other", "whsec-new"], headers=headers, body=body)


def test_signature_holds_for_id_time_and_body() -> None:
    signature = signature_header(["s"], webhook_id="id", timestamp=1000, body=b"{}")
    headers = {"webhook-id": "id", "WEBHOOK-SIGNATURE": signature}

    assert verify_signature("s", headers=headers, body=b"{}", now=1300)
    assert verify_signature("s", headers=headers, body=b"{}", now=700)
    assert not verify_signature("s", headers=headers, body=b"{}", now=1301)
    assert not verify_signature("s", headers=headers, body=b"{}", now=699)
    assert not verify_signature("s", headers=headers, body=b"{}")
    assert not verify_signature("s", headers=headers, body=b"{ }", now=1000)
    assert not verify_signature("s", headers=headers | {"webhook-id": "other"}, body=b"{}", now=1000)
    assert not verify_signature("s", headers={"webhook-id": "id"}, body=b"{}", now=1000)
    later = headers | {"WEBHOOK-SIGNATURE": signature.replace("t=1000", "t=1001")}
    assert not verify_signature("s", headers=later, body=b"{}", now=1000)


@pytest.mark.parametrize("secret", ["", [], [""]])
def test_no_secret_verifies_nothing(secret: str | list[str]) -> None:
    signature = signature_header([""], webhook_id="id", timestamp=1000, body=b"{}")
    headers = {"Webhook-Id": "id", "Webhook-Signature": signature}
    assert not verify_signature(secret, headers=headers, body=b"{}", now=1000)


@pytest.mark.parametrize(
    "header",
    ["", "t=1000", "t=1000,v1=", "t=x,v1=" + "0" * 64, "v1=" + "0" * 64, "t=1000" + ",v1=é" * 9, "t" * 9999],
)
def test_malformed_signature_is_refused(header: str) -> None:
    headers = {"Webhook-Id": "id", "Webhook-Signature": header}
    assert not verify_signature("s", headers=headers, body=b"{}", now=1000)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_success_is_delivered(receiver: Receiver, status: int) -> None:
    receiver.reply(status)
    async with job() as ctx:
        assert (await deliver(order(receiver.url), ctx)).status == status


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_passing_trouble_is_retried_by_the_backoff(receiver: Receiver, status: int) -> None:
    receiver.reply(status, "busy")
    async with job() as ctx:
        with pytest.raises(DeliveryFailed, match=f"{status}: busy") as caught:
            await deliver(order(receiver.url), ctx)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_refusal_fails_for_good(receiver: Receiver, status: int) -> None:
    receiver.reply(status, "n" * 500)
    async with job() as ctx:
        with pytest.raises(Fail) as caught:
            await deliver(order(receiver.url), ctx)
    assert f"{status}: {'n' * 200}" in str(caught.value)
    assert "n" * 201 not in str(caught.value)


async def test_secrets_that_come_back_are_not_kept(receiver: Receiver) -> None:
    receiver.reply(400, "bad whsec-one and Bearer canary")
    async with job() as ctx:
        with pytest.raises(Fail) as caught:
            await deliver(order(receiver.url, headers={"Authorization": "Bearer canary"}), ctx)
    assert "whsec" not in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("value", "expected"), [("7", 7.0), ("86400", 3600.0), ("9" * 50, 3600.0)])
async def test_retry_after_in_seconds_is_honoured(
    receiver: Receiver, status: int, value: str, expected: float
) -> None:
    receiver.reply(status, Retry_After=value)
    async with job() as ctx:
        with pytest.raises(Retry) as caught:
            await deliver(order(receiver.url), ctx)
    assert caught.value.after_ms == expected * 1000


@pytest.mark.parametrize(("ahead", "expected"), [(900, 900.0), (90_000, 3600.0)])
async def test_retry_after_as_a_date_is_honoured(receiver: Receiver, ahead: int, expected: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    receiver.reply(503, Retry_After=date)
    async with job() as ctx:
        with pytest.raises(Retry) as caught:
            await deliver(order(receiver.url), ctx)
    assert caught.value.after_ms == pytest.approx(expected * 1000, abs=60_000)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_retry_after_that_asks_for_no_wait_leaves_the_backoff(receiver: Receiver, value: str) -> None:
    receiver.reply(503, Retry_After=value)
    async with job() as ctx:
        with pytest.raises(DeliveryFailed):
            await deliver(order(receiver.url), ctx)


@pytest.mark.parametrize("status", [307, 308])
async def test_redirect_that_keeps_the_method_is_followed(receiver: Receiver, status: int) -> None:
    for _ in range(3):
        receiver.reply(status, Location="/next")
    async with job() as ctx:
        assert (await deliver(order(receiver.url, headers={"X-Tenant": "7"}), ctx)).delivered
    assert [request.path for request in receiver.requests] == ["/", "/next", "/next", "/next"]
    assert {request.method for request in receiver.requests} == {"POST"}
    assert all(request.headers["X-Tenant"] == "7" for request in receiver.requests)
    assert len(set(receiver.bodies)) == 1


async def test_fourth_redirect_fails_for_good(receiver: Receiver) -> None:
    for _ in range(4):
        receiver.reply(307, Location="/next")
    async with job() as ctx:
        with pytest.raises(Fail, match="307"):
            await deliver(order(receiver.url), ctx)
    assert len(receiver.requests) == 4


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_other_redirect_fails_for_good(receiver: Receiver, status: int) -> None:
    receiver.reply(status, Location="/next")
    async with job() as ctx:
        with pytest.raises(Fail, match=f"{status}"):
            await deliver(order(receiver.url), ctx)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{other}/", "//localhost:{other}/", "http://0.0.0.0:{other}/"]
)
async def test_redirect_to_a_private_address_is_refused(receiver: Receiver, target: str) -> None:
    async with serving() as other:
        receiver.reply(307, Location=target.format(other=other.port))
        async with job() as ctx:
            with pytest.raises(Fail, match="WEBHOOK_ALLOW_HOSTS"):
                await deliver(order(receiver.url), ctx)
        assert other.requests == []


@pytest.mark.parametrize("target", ["ftp://example.com/", "file:///etc/passwd", "http://[bad/"])
async def test_redirect_to_no_web_address_is_refused(receiver: Receiver, target: str) -> None:
    receiver.reply(308, Location=target)
    async with job() as ctx:
        with pytest.raises(Fail):
            await deliver(order(receiver.url), ctx)


async def test_own_headers_do_not_follow_to_another_origin(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as other:
        monkeypatch.setenv("WEBHOOK_ALLOW_HOSTS", "127.0.0.1")
        receiver.reply(307, Location=f"{other.url}/moved")
        async with job() as ctx:
            await deliver(order(receiver.url, headers={"Authorization": "Bearer canary"}), ctx)
        assert "Authorization" in receiver.requests[0].headers
        assert "Authorization" not in other.requests[0].headers
        assert verify_signature("whsec-one", headers=other.requests[0].headers, body=other.bodies[0])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "127.0.0.1.",
    ],
)
async def test_address_of_this_machine_is_refused(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.delenv("WEBHOOK_ALLOW_HOSTS")
    async with job() as ctx:
        with pytest.raises((Fail, OSError)) as caught:
            await deliver(order(f"http://{host}:{receiver.port}/"), ctx)
    assert receiver.requests == []
    # Only a spelling that the resolver does not know may end in anything but a refusal.
    assert isinstance(caught.value, Fail) or "DNS" in type(caught.value).__name__


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[2002:7f00:1::]",
        "[64:ff9b::a9fe:a9fe]",
        "[::ffff:10.0.0.1]",
    ],
)
async def test_private_address_is_refused(receiver: Receiver, host: str) -> None:
    async with job() as ctx:
        with pytest.raises(Fail, match="not a public address"):
            await deliver(order(f"http://{host}/"), ctx)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "example.com",
        "//example.com",
        "http://",
        "http://[bad",
        "gopher://x",
        "http://user:canary@example.com/",
        "javascript:alert(1)",
        "http://example.com:99999/",
        "unix:///run/x",
    ],
)
async def test_anything_but_a_web_address_is_refused(receiver: Receiver, url: str) -> None:
    async with job() as ctx:
        with pytest.raises(Fail) as caught:
            await deliver(order(url), ctx)
    assert "canary" not in str(caught.value)


class Rebinding(AbstractResolver):
    """Names resolve to the next address of a list, the last for ever."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        kind = socket.AF_INET6 if ":" in found else socket.AF_INET
        return [ResolveResult(hostname=host, host=found, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3"])
async def test_name_of_a_private_address_is_refused(receiver: Receiver, address: str) -> None:
    async with guarded_session(AllowedHosts(), resolver=Rebinding(address)) as session:
        with pytest.raises(AddressRefused, match="not a public address"):
            await session.request("POST", f"http://hooks.example.com:{receiver.port}/", timeout=40)
    assert receiver.requests == []


async def test_name_that_changes_its_address_is_refused(receiver: Receiver) -> None:
    # What a check before the request would have seen is public; what is connected is not.
    resolver = Rebinding("93.184.216.34", "127.0.0.1")
    assert is_public(ip_address((await resolver.resolve("hooks.example.com"))[0]["host"]))
    async with guarded_session(AllowedHosts(), resolver=resolver) as session:
        with pytest.raises(AddressRefused):
            await session.request("POST", f"http://hooks.example.com:{receiver.port}/", timeout=40)
    assert receiver.requests == []


async def test_name_allowed_with_its_port_is_reached(receiver: Receiver) -> None:
    allowed = AllowedHosts(parse_hosts(f"other, Hooks.Example.com:{receiver.port}", variable="X"))
    async with guarded_session(allowed, resolver=Rebinding("127.0.0.1")) as session:
        reply = await session.request("POST", f"http://hooks.example.com:{receiver.port}/", timeout=40)
        assert reply.status == 204
        with pytest.raises(AddressRefused):
            await session.request("POST", f"http://evil.example.com:{receiver.port}/", timeout=40)
        with pytest.raises(AddressRefused):
            await session.request("POST", f"http://hooks.example.com:{receiver.port + 1}/", timeout=40)


@pytest.mark.parametrize("entry", ["localhost", "localhost:{port}", "127.0.0.1", "a, localhost ,b:1"])
async def test_host_allowed_by_name_is_reached(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.setenv("WEBHOOK_ALLOW_HOSTS", entry.format(port=receiver.port))
    host = "127.0.0.1" if "127" in entry else "localhost"
    async with job() as ctx:
        assert (await deliver(order(f"http://{host}:{receiver.port}/"), ctx)).delivered


@pytest.mark.parametrize(
    "entry", ["*", "*.example.com", "http://x", "x/y", "u@x", "x:99999", "x:port", ":80", "[::1"]
)
def test_wrong_list_of_hosts_names_the_variable(entry: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOK_ALLOW_HOSTS"):
        FeatureSettings.from_env({"WEBHOOK_ALLOW_HOSTS": entry})


def test_list_of_hosts_takes_ports_and_ipv6() -> None:
    allowed = AllowedHosts(parse_hosts("[::1]:8080, Example.com, bücher.example:80,", variable="X"))
    assert allowed.admit("::1", 8080)
    assert not allowed.admit("::1", 80)
    assert allowed.admit("EXAMPLE.com", 1)
    assert allowed.admit("xn--bcher-kva.example", 80)
    assert not allowed.admit("www.example.com", 80)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("2002:5db8:d822::1", True),
        ("64:ff9b::7f00:1", False),
        ("2002:a00:1::1", False),
        ("2001:0:1:2::1", False),
        ("fec0::1", False),
        ("::127.0.0.1", False),
        ("240.0.0.1", False),
        ("198.18.0.1", False),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:  # noqa: FBT001
    assert is_public(ip_address(address)) is public


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"X-A": "a\r\nX-B: b"}},
        {"headers": {"X-A\r\nX-B": "b"}},
        {"headers": {"Host": "internal"}},
        {"headers": {"Webhook-Signature": "t=1,v1=0"}},
        {"headers": {"content-length": "1"}},
        {"headers": {"X-A": "é"}},
        {"idempotency_key": "a\r\nX: y"},
        {"idempotency_key": " a"},
        {"event": "order.paid\n"},
    ],
    ids=repr,
)
async def test_unfit_header_fails_for_good(receiver: Receiver, changes: dict[str, object]) -> None:
    async with job() as ctx:
        with pytest.raises(Fail):
            await deliver(order(receiver.url, **changes), ctx)
    assert receiver.requests == []


async def test_slow_receiver_is_retried(receiver: Receiver) -> None:
    release = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    receiver.answers.append(hang)
    async with job() as ctx:
        with pytest.raises(DeliveryFailed, match=r"did not answer within 0\.05 s"):
            await deliver(order(receiver.url, timeout=0.05), ctx)
        release.set()


async def test_receiver_that_is_down_is_retried(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_ALLOW_HOSTS", "127.0.0.1")
    with socket.socket() as held:
        # Nobody else can listen there, and connections to it are refused.
        held.bind(("127.0.0.1", 0))
        async with job() as ctx:
            with pytest.raises(OSError, match="Cannot connect"):
                await deliver(order(f"http://127.0.0.1:{held.getsockname()[1]}/"), ctx)


async def test_endless_answer_is_read_in_part(receiver: Receiver) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    receiver.answers.append(flood)
    async with job() as ctx:
        with pytest.raises(Fail, match="400: x"):
            await deliver(order(receiver.url), ctx)


async def test_compressed_answer_is_not_inflated(receiver: Receiver) -> None:
    async def bomb(request: web.Request) -> web.StreamResponse:
        response = web.Response(status=200, body=b"x" * 1_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    allowed = AllowedHosts(parse_hosts("127.0.0.1", variable="X"))
    receiver.answers.append(bomb)
    async with guarded_session(allowed) as session:
        reply = await session.request("GET", receiver.url, timeout=40)
    assert len(reply.body) < 65536
    assert receiver.requests[0].headers["Accept-Encoding"] == "identity"


async def test_connections_are_used_again(receiver: Receiver) -> None:
    async with job() as ctx:
        for _ in range(5):
            await deliver(order(receiver.url), ctx)
    assert len(receiver.requests) == 5
    assert len(receiver.peers) == 1
