"""Servers as they stand in production, one and a cluster: by TLS, with users who may do what the docs name."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import cast

import httpx2
import pytest
from tests.support.certificates import Authority
from tests.support.cluster import HOST, Cluster, Member
from tests.support.documents import ROOT
from tests.support.ports import free_port
from tests.support.refusals import refusal
from tests.support.waiting import WITHIN, until

from jobs_admin import Admin
from jobs_cli.main import run
from jobs_core import ConfigurationError, JobsError, NotPermitted, Queue, TlsFailed
from jobs_core.server import EmbeddedServer
from jobs_core.settings import DashboardSettings
from jobs_dashboard.app import create_app
from jobs_producer import Flow, Producer, SyncProducer
from jobs_worker import JobContext, Worker, processor

SECRET = "hunter2-hunter2"
PAGE = (ROOT / "docs/configuration.md").read_text()
[RULES] = re.findall(r"^ACL SETUSER worker on >PASSWORD (.+)$", PAGE, re.MULTILINE)


class Guarded:
    """A server or a cluster that clients reach by TLS (without, where the server has none), and their certificates."""

    def __init__(self, url: str, nodes: list[Member], authority: Authority, folder: Path) -> None:
        self.nodes, self._url = nodes, url
        self.tls = url.startswith("rediss")
        certificate, key = authority.issue("client")
        self.files = {
            "ssl_ca_certs": str(authority.file),
            "ssl_certfile": str(certificate),
            "ssl_keyfile": str(key),
        }
        self.stranger = str(Authority(folder, "stranger").file)

    @property
    def cluster(self) -> bool:
        return len(self.nodes) > 1

    def url(self, user: str, **changed: str | None) -> str:
        """Return the URL of a user; `changed` sets parameters, or leaves them out."""
        query = "&".join(f"{name}={value}" for name, value in (self.files | changed).items() if value)
        return self._url.replace("://", f"://{user}:{SECRET}@") + (f"?{query}" if self.tls else "")

    def allow(self, user: str, prefix: str, *rules: str) -> None:
        """Make a user, or change the rules of one: those of the docs, then these."""
        documented = RULES.replace("~jobs:", f"~{prefix}:").replace("&jobs:", f"&{prefix}:").split()
        more = ["+cluster|slots"] if self.cluster else []
        for node in self.nodes:
            node.ask("ACL", "SETUSER", user, "reset", "on", f">{SECRET}", *documented, *more, *rules)

    def denied(self) -> list[str]:
        """Return what was denied to whom, since the last call."""
        entries: list[str] = []
        for node in self.nodes:
            entries += [str(each) for each in cast("list[object]", node.ask("ACL", "LOG"))]
            node.ask("ACL", "LOG", "RESET")
        return entries


@pytest.fixture(scope="module", params=["server", "cluster"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    certificate, key = authority.issue("server")
    port, nodes = free_port(), list[Member]()
    tls = {
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority.file),
        "tls-auth-clients": "yes",
    }
    with ExitStack() as stack:
        try:
            nodes.append(Member(stack.enter_context(EmbeddedServer(port=0, options=tls))))
            url = f"rediss://{HOST}:{port}/0"
        except ConfigurationError:
            # It was built without TLS.
            tls = None
            nodes.append(Member(stack.enter_context(EmbeddedServer(port=0))))
            url = nodes[0].server.url
        if request.param == "cluster":
            stack.close()
            cluster = stack.enter_context(Cluster(primaries=3, tls=tls))
            nodes, url = cluster.nodes, cluster.url if tls is None else cluster.tls_url
        yield Guarded(url, nodes, authority, folder)


async def refused(url: str, prefix: str, kind: type[JobsError] = TlsFailed) -> str:
    """Connect, and return what refuses it; the same text the command prints."""
    with pytest.raises(kind) as caught:
        await Producer(url, prefix=prefix, enqueue_timeout=WITHIN).connect()
    assert SECRET not in str(caught.value)
    return str(caught.value)


async def test_every_program_works_with_the_rights_that_the_docs_name(
    guarded: Guarded, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for role in ("producer", "worker", "dashboard"):
        guarded.allow(role, prefix)
    guarded.denied()
    first, second = (Queue(name).job("add", payload=int, result=int) for name in ("queue-0", "queue-2"))

    @processor(first)
    @processor(second)
    async def add(payload: int, ctx: JobContext) -> int:
        ctx.progress(50)
        ctx.log.info("adding")
        if payload < 0:
            raise ValueError("negative")
        return payload + 1 + sum(ctx.children.results(first))

    producer = Producer(guarded.url("producer"), prefix=prefix)
    admin = Admin(guarded.url("dashboard"), prefix=prefix)
    async with AsyncExitStack() as stack:
        worker = Worker(processors=[add], url=guarded.url("worker"), prefix=prefix)
        for each in (producer, admin, worker):
            await stack.enter_async_context(each)
        info = producer.connection_info()
        assert (info.tls, info.connected, len(info.nodes)) == (guarded.tls, True, len(guarded.nodes))
        listener = await stack.enter_async_context(admin.listener())
        scheduled = asyncio.Event()
        listener.on("scheduled", lambda _: scheduled.set())
        listener.start()
        assert await (await producer.enqueue_chain(first.then(second), 1)).result(WITHIN) == 3
        assert await (await Flow(second, 10, children=[Flow(first, 1)]).submit(producer)).result(WITHIN) == 13
        await producer.schedules.upsert("often", first, 7, every=0.2)
        await asyncio.wait_for(scheduled.wait(), WITHIN)
        await producer.schedules.remove("queue-0", "often")
        await (await producer.enqueue(first, -1, attempts=1, job_id="bad")).done(WITHIN)
        await producer.enqueue(first, 1, delay=3600, job_id="late")
        with SyncProducer(guarded.url("producer"), prefix=prefix) as sync:
            job = await asyncio.to_thread(sync.enqueue, second, 2)
            assert await asyncio.to_thread(job.result, WITHIN) == 3
        await admin.pause("queue-2")
        await admin.resume("queue-2")
        await admin.promote("queue-0", "late")
        settings = DashboardSettings(redis_url=guarded.url("dashboard"), prefix=prefix)
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app, client=(HOST, 50_000))
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3010") as asked:
                for path in ("/readyz", "/api/overview", "/api/queues/queue-0/jobs/bad", "/metrics"):
                    assert (await asked.get(path)).status_code == 200
        monkeypatch.setenv("REDIS_URL", guarded.url("dashboard"))
        monkeypatch.setenv("JOBS_PREFIX", prefix)
        for command in (("check", "--repair"), ("doctor",), ("retry-failed", "queue-0"), ("audit",)):
            assert await asyncio.to_thread(run, command) == 0
        await until(lambda: worker.metrics().active == 0)
    async with Admin(guarded.url("dashboard"), prefix=prefix) as admin:
        await admin.obliterate("queue-0", force=True)
        assert (await admin.check()).breaches == ()
    assert guarded.denied() == []
    assert SECRET not in "".join(capsys.readouterr())


async def test_a_missing_right_is_named_at_the_start(
    guarded: Guarded, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guarded.allow("worker", prefix, "-xadd")
    url = guarded.url("worker")
    assert f"run XADD on {prefix}:*" in await refused(url, prefix, NotPermitted)
    with pytest.raises(NotPermitted, match=rf"XADD.*Grant .*~{prefix}:\* .*\+@write"):
        await Worker(processors=[nothing], url=url, prefix=prefix).start()
    async with Admin(url, prefix=prefix) as admin:
        found = {each.code: each for each in await admin.doctor()}
        assert found["rights"].severity == "error"
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("JOBS_PREFIX", prefix)
    assert await asyncio.to_thread(run, ("doctor",)) == 1
    assert "XADD" in "".join(capsys.readouterr())
    for rules, named in (
        (["resetkeys", "~other:*"], "BITCOUNT"),
        (["-info"], "INFO"),
        (["-evalsha"], "EVALSHA"),
    ):
        guarded.allow("worker", prefix, *rules)
        assert named in await refused(url, prefix, NotPermitted)
    if guarded.cluster:
        guarded.allow("worker", prefix, "-cluster|slots")
        assert "+cluster|slots" in await refused(url, prefix, NotPermitted)
    guarded.allow("worker", prefix, "resetpass")
    assert "WRONGPASS" in await refused(url, prefix, ConfigurationError)


@processor(Queue("queue-0").job("nothing", payload=int, result=int))
async def nothing(payload: int, _: JobContext) -> int:
    return payload


async def test_a_producer_can_be_kept_to_some_queues(guarded: Guarded, prefix: str) -> None:
    some = ("resetkeys", f"~{prefix}:{{queue-0}}:*", f"~{prefix}:{{~}}:*")
    guarded.allow("producer", prefix, *some)
    async with Producer(guarded.url("producer"), prefix=prefix) as producer:
        assert (await producer.queue("queue-0").enqueue("nothing", 1)).created
        with pytest.raises(NotPermitted, match="use a key"):
            await producer.queue("queue-1").enqueue("nothing", 1)


async def gone(worker: Worker) -> bool:
    return not await worker.is_connected()


async def test_work_goes_on_when_a_right_comes_back(guarded: Guarded, prefix: str) -> None:
    guarded.allow("worker", prefix)
    guarded.allow("producer", prefix)
    async with (
        Producer(guarded.url("producer"), prefix=prefix) as producer,
        Worker(processors=[nothing], url=guarded.url("worker"), prefix=prefix) as worker,
    ):
        guarded.allow("worker", prefix, "-evalsha")
        job = await producer.queue("queue-0").enqueue("nothing", 1)
        await until(lambda: any("evalsha" in each for each in guarded.denied()))
        # The password too, for a connection that has to be made anew meanwhile.
        guarded.allow("worker", prefix, "resetpass")
        for node in guarded.nodes:
            node.ask("CLIENT", "KILL", "USER", "worker")
        await until(lambda: any("auth" in each for each in guarded.denied()))
        await until(lambda: gone(worker))
        guarded.allow("worker", prefix)
        await job.done(WITHIN)


async def test_a_certificate_that_is_not_accepted_is_told_of(
    guarded: Guarded, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guarded.tls:
        pytest.skip("the server has no TLS")
    guarded.allow("producer", prefix)
    unknown = await refused(guarded.url("producer", ssl_ca_certs=guarded.stranger), prefix)
    assert "its certificate is not accepted" in unknown
    assert "ssl_ca_certs" in unknown
    missing = await refused(guarded.url("producer", ssl_certfile=None), prefix)
    assert "does not accept the certificate of this client" in missing
    elsewhere = guarded.url("producer").replace(f"@{HOST}", "@localhost").replace(f",{HOST}", ",localhost")
    assert "mismatch" in await refused(elsewhere, prefix)
    for parameter in ("ssl_ca_certs", "ssl_keyfile"):
        nowhere = await refused(guarded.url("producer", **{parameter: str(tmp_path / "nowhere.pem")}), prefix)
        assert "nowhere.pem" in nowhere
        assert parameter in nowhere
    plain = guarded.url("producer").replace("rediss", "redis")
    assert SECRET not in await refusal(plain, prefix, "rediss", patience=0.6)
    port = f":{guarded.nodes[0].port}"
    no_tls = re.sub(r":\d+(?=[,/?])", port, guarded.url("producer"))
    monkeypatch.setattr("jobs_core.connection.node.HANDSHAKE_TIMEOUT", 0.2)
    assert SECRET not in await refusal(no_tls, prefix, "handshake", patience=0.6)
