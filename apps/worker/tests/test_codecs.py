"""Payloads and results that are compressed, encrypted and kept in files, through real workers."""

import base64
import random
from pathlib import Path

import pytest
from tests.support import codec_handlers as vault
from tests.support.runtime import InProcess, running
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_core import (
    Codec,
    CodecError,
    Codecs,
    ConfigurationError,
    JobFailed,
    KeyRing,
    KeyUnknown,
    PayloadTooLarge,
    Queue,
    State,
)
from jobs_core.codecs import SHARDS
from jobs_core.options import Keep
from jobs_core.outbox import Relay
from jobs_producer import Producer
from jobs_worker import Fail, JobContext, processor, sweep
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.sweep import Sweep, keeps_apart

HANDLERS = (vault.on_loop, vault.in_thread, vault.in_process, vault.anything)
KEY = bytes(range(32))
SECRET = "4711-" + random.Random(1).randbytes(6000).hex()


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process, and what it starts, a key and a folder."""
    pytest.importorskip("cryptography")
    monkeypatch.setenv("JOBS_KEYS", f"a:{base64.b64encode(KEY).decode()}")
    monkeypatch.setenv("FILES_URL", str(tmp_path))


async def stored(worker: InProcess) -> bytes:
    """Return all that the server and the file system hold, as bytes."""
    call = worker.scripts.client.call
    found = b""
    for kind in ("rec", "result"):
        found += str(await call("HGETALL", worker.scripts.key("vault") + kind)).encode()
    return found + _all_files(Path(Codecs.from_env("").files_url))


def _all_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("job", [vault.ON_LOOP, vault.IN_THREAD, vault.IN_PROCESS], ids=lambda job: job.name)
async def test_secrets_go_through_every_executor_and_lie_nowhere_in_clear(
    redis_url: str, prefix: str, job: "vault.Job"
) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker:
        for payload in (SECRET[:50], SECRET):
            handle = await worker.producer.enqueue(job, payload, remove_on_complete=False)
            assert await handle.result(40) == payload[::-1]
        everything = await stored(worker)
        assert SECRET[:50].encode() not in everything
        assert SECRET[:50][::-1].encode() not in everything


async def test_a_whole_queue_processor_gets_the_payload_in_clear(redis_url: str, prefix: str) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker:
        job = vault.VAULT.dynamic_job("whatever")
        handle = await worker.producer.enqueue(job, {"secret": SECRET})
        assert await handle.result(40) == {"secret": SECRET}


async def test_jobs_that_a_handler_enqueues_go_through_their_codec(redis_url: str, prefix: str) -> None:
    queue = Queue("first")
    first = queue.job("first", str, str)

    @processor(first)
    async def begin(payload: str, ctx: JobContext) -> str:
        return ctx.enqueue(vault.ON_LOOP, payload)

    async with running(redis_url, prefix, begin, *HANDLERS) as worker:
        follower = await (await worker.producer.enqueue(first, SECRET)).result(40)
        handle = worker.producer.handle(vault.ON_LOOP, follower)

        async def relayed() -> bool:
            return bool((await worker.located("vault", follower)).state)

        await until(relayed)
        assert await handle.result(40) == SECRET[::-1]
        assert SECRET[:50].encode() not in await stored(worker)


async def test_who_has_no_key_is_shown_a_mark(redis_url: str, prefix: str) -> None:
    async with (
        running(redis_url, prefix, *HANDLERS) as worker,
        Admin(redis_url, prefix=prefix) as admin,
        Admin(redis_url, prefix=prefix, codecs=Codecs(prefix=prefix)) as stranger,
        Producer(redis_url, prefix=prefix, codecs=Codecs(prefix=prefix)) as other,
    ):
        small = await worker.producer.enqueue(vault.ON_LOOP, "4711", remove_on_complete=False)
        large = await worker.producer.enqueue(vault.ON_LOOP, SECRET, remove_on_complete=False)
        assert await small.result(40) == "1174"
        await large.done(40)
        seen = await admin.job("vault", small.id)
        assert (seen.payload, seen.result) == ("4711", "1174")
        marked = await stranger.job("vault", small.id)
        assert marked.payload == {"$encrypted": "a", "bytes": 34}
        assert isinstance(marked.result, dict)
        assert "$encrypted" in marked.result
        apart = (await admin.job("vault", large.id)).payload
        assert isinstance(apart, dict)
        assert str(apart["$file"]).startswith("offload/")
        with pytest.raises(KeyUnknown):
            await other.handle(vault.ON_LOOP, small.id).result(40)
        with pytest.raises(ConfigurationError, match="set JOBS_KEYS"):
            await other.enqueue(vault.ON_LOOP, "x")


async def test_what_can_never_be_opened_fails_for_good_and_is_kept(redis_url: str, prefix: str) -> None:
    wrong = Codecs(keys=KeyRing({"z": KEY}), files_url=Codecs.from_env("").files_url, prefix=prefix)
    async with (
        running(redis_url, prefix, *HANDLERS),
        Producer(redis_url, prefix=prefix, codecs=wrong) as stranger,
    ):
        handle = await stranger.enqueue(vault.ON_LOOP, "4711")
        with pytest.raises(JobFailed, match=r"payload: .* encrypted with key 'z', which is not among those"):
            await handle.result(40)
        record = await handle.status()
        # With the key it is all there.
        assert (record.state, record.attempts_made, record.payload) == (State.FAILED, 1, "4711")


@pytest.mark.parametrize("job", [vault.ON_LOOP, vault.IN_PROCESS], ids=lambda job: job.name)
async def test_a_file_that_is_gone_or_changed_fails_the_job_for_good(
    redis_url: str, prefix: str, job: "vault.Job", tmp_path: Path
) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker:
        for spoil, said in ((Path.unlink, "there is no file offload/"), (_flip, "was changed")):
            handle = await worker.producer.enqueue(job, SECRET, delay=3600)
            (file,) = [path for path in (tmp_path / "offload").rglob("*") if path.is_file()]
            spoil(file)
            await worker.scripts.promote("vault", ids=[handle.id])
            with pytest.raises(JobFailed, match=rf"payload: .*{said}"):
                await handle.result(40)
            file.unlink(missing_ok=True)


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)


async def test_the_cap_is_for_what_is_stored(redis_url: str, prefix: str, tmp_path: Path) -> None:
    squeezed = Queue("squeezed", codec=Codec(compress=True)).job("send", str)
    apart = Queue("apart", codec=Codec(offload=True)).job("send", str)
    async with Producer(redis_url, prefix=prefix) as producer:
        await producer.enqueue(squeezed, "x" * 3_000_000)
        await producer.enqueue(apart, SECRET * 300)
        with pytest.raises(PayloadTooLarge):
            await producer.enqueue(squeezed, random.Random(2).randbytes(1_100_000).hex())
        (tmp_path / "offload").rename(tmp_path / "moved")
        (tmp_path / "offload").write_text("in the way")
        with pytest.raises(CodecError, match="cannot be written"):
            await producer.enqueue(apart, SECRET * 300)
        summary = await producer.enqueue_many(apart, [SECRET * 300, "short"])
        assert (summary.created, summary.rejected) == (1, 1)


async def test_files_go_when_their_jobs_are_forgotten(
    redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> list[str]:
        names = [path.name for path in (tmp_path / "offload").rglob("*") if path.is_file()]
        return sorted(f"{name.partition('-')[0]} of {name.rpartition('=')[2]}" for name in names)

    async with running(redis_url, prefix, *HANDLERS) as worker:
        enqueue = worker.producer.enqueue
        gone = await enqueue(vault.ON_LOOP, SECRET, job_id="gone", result_ttl=0)
        told = await enqueue(vault.ON_LOOP, SECRET, job_id="told", result_ttl=60)
        kept = await enqueue(vault.ON_LOOP, SECRET, job_id="kept", remove_on_complete=Keep(count=5))
        await enqueue(vault.ON_LOOP, SECRET, job_id="late", delay=3600)
        for each in (gone, told, kept):
            await each.done(40)
        everything = Sweep(worker.scripts, Codecs.from_env(prefix), ["vault"])
        for _ in range(SHARDS):
            assert await everything.run_once() == 0  # They are new.
        monkeypatch.setattr(sweep, "_SPARED", -1)
        assert sum([await everything.run_once() for _ in range(SHARDS)]) == 2
        left = ["payload of kept", "payload of late", "result of kept", "result of told"]
        assert files() == left
        assert await told.result(40) == SECRET[::-1]
        await worker.scripts.remove("vault", ids=["kept", "told"])
        assert sum([await everything.run_once() for _ in range(SHARDS)]) == 3
        assert files() == ["payload of late"]


@pytest.mark.parametrize("job_id", ["short", "j" * 128])
async def test_the_payload_of_a_job_that_a_dead_letter_names_stays(
    redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_id: str
) -> None:
    monkeypatch.setattr(sweep, "_SPARED", -1)
    apart = Queue("apart", codec=Codec(offload=1)).job("send", str, result=str)
    failing = True

    @processor(apart)
    async def send(payload: str, ctx: JobContext) -> str:
        if failing:
            raise Fail("no")
        return payload

    def files() -> int:
        return sum(path.is_file() for path in (tmp_path / "offload").rglob("*"))

    async with running(redis_url, prefix, send) as worker, Admin(redis_url, prefix=prefix) as admin:
        handle = await worker.producer.enqueue(
            apart, SECRET, job_id=job_id, remove_on_fail=True, result_ttl=0
        )
        other = await worker.producer.enqueue(apart, SECRET, remove_on_fail=True, result_ttl=0)
        everything = Sweep(worker.scripts, Codecs.from_env(prefix), ["apart"])

        async def swept() -> int:
            return sum([await everything.run_once() for _ in range(SHARDS)])

        await handle.done(40)
        await other.done(40)
        # Also while the letter is on its way.
        assert await swept() == 0
        page = await admin.jobs("dead-letter")
        while len(page.jobs) < 2:
            page = await admin.jobs("dead-letter")
        assert await swept() == 0
        assert files() == 2
        failing = False
        (letter,) = [each.id for each in page.jobs if job_id in str(each.payload)]
        await admin.replay(letter)
        assert await worker.producer.handle(apart, job_id).done(40) in {None, State.COMPLETED}
        # What was sent is kept for some seconds.
        relay = Relay(worker.scripts, hold=0)
        for queue in ("apart", "dead-letter"):
            await relay.relay(queue)
        await relay.confirm()
        assert await swept() == 1
        await admin.remove("dead-letter", *(each.id for each in page.jobs if each.id != letter))
        assert await swept() == 1
        assert files() == 0


def test_only_queues_that_keep_something_apart_are_swept() -> None:
    assert keeps_apart(vault.VAULT)
    queue = Queue("mail", codec=Codec(compress=True))
    assert not keeps_apart(queue)
    queue.job("send", str, codec=Codec(offload=True))
    assert keeps_apart(queue)


def test_without_keys_encrypted_jobs_are_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_KEYS", " ")
    queue = Queue("mail")
    secret, plain = queue.job("secret", str, codec=Codec(encrypt=True)), queue.job("plain", str)

    @processor(secret)
    @processor(plain)
    async def handle(payload: str, ctx: JobContext) -> None: ...

    routes = build_routes(marks_of(handle), [queue])["mail"]
    assert (list(routes.named), routes.missing) == (["plain@1"], {"secret@1": ["JOBS_KEYS"]})
    routes = build_routes(marks_of(handle), [queue], keys=True)["mail"]
    assert routes.missing == {}
