"""What codecs do to bytes, what undoes it, and what is said where that fails."""

import base64
import random
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from jobs_core import (
    Codec,
    CodecError,
    Codecs,
    ConfigurationError,
    KeyRing,
    KeyUnknown,
    OptionError,
    PayloadMissing,
    PayloadTampered,
    PayloadTooLarge,
    Queue,
    SettingsError,
    codecs,
)
from jobs_core.codecs import SHARDS, Place, mark, offload_folder, parse_offload_path

HERE = Place("mail", "send@1", "job-1")
DATA = b'{"text":"' + b"again and again " * 2000 + b'"}'
KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture
def no_zstd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    codecs._zstd.cache_clear()

    def without(name: str) -> ModuleType:
        if "zstd" in name:
            raise ImportError(name)
        return import_module(name)

    monkeypatch.setattr(codecs, "import_module", without)
    yield
    codecs._zstd.cache_clear()


def ring(**keys: bytes) -> KeyRing:
    pytest.importorskip("cryptography")
    return KeyRing(keys)


def test_what_is_short_or_does_not_shrink_is_left_alone() -> None:
    chain = Codecs()
    assert chain.seal(HERE, b"{}", "json", Codec(compress=True)) == (b"{}", None)
    noise = random.Random(1).randbytes(5000)
    assert chain.seal(HERE, noise, "msgpack", Codec(compress=True)) == (noise, "msgpack")
    assert chain.open(HERE, b"{}", None) == (b"{}", "json")
    assert chain.open(HERE, b"\x80", "msgpack") == (b"\x80", "msgpack")


def test_compression_with_what_the_interpreter_has() -> None:
    chain = Codecs()
    stored, text = chain.seal(HERE, DATA, "json", Codec(compress=100))
    assert text in {"json+zstd", "json+zlib"}
    assert len(stored) < len(DATA) / 10
    assert chain.open(HERE, stored, text) == (DATA, "json")
    with pytest.raises(PayloadTampered, match="cut short"):
        chain.open(HERE, stored[:-3], text)
    with pytest.raises(PayloadTampered, match="is no z"):
        chain.open(HERE, b"\xff" + stored[1:], text)


@pytest.mark.usefixtures("no_zstd")
def test_without_zstd_it_is_zlib_and_zstd_says_what_to_install() -> None:
    chain = Codecs()
    stored, text = chain.seal(HERE, DATA, "json", Codec(compress=True))
    assert text == "json+zlib"
    assert chain.open(HERE, stored, text) == (DATA, "json")
    with pytest.raises(ConfigurationError, match=r"jobs-core\[compression\]"):
        chain.open(HERE, stored, "json+zstd")


def test_few_bytes_that_claim_to_be_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Codecs()
    stored, text = chain.seal(HERE, DATA, "json", Codec(compress=True))
    monkeypatch.setattr(codecs, "MAX_PLAIN", 1000)
    with pytest.raises(PayloadTampered, match="more than 1,000 bytes"):
        chain.open(HERE, stored, text)
    with pytest.raises(PayloadTooLarge):
        chain.seal(HERE, DATA, "json", Codec(compress=True))


def test_encrypted_bytes_mean_something_to_the_key_and_the_place_alone() -> None:
    chain = Codecs(keys=ring(a=KEY))
    stored, text = chain.seal(HERE, b'{"pin":4711}', "json", Codec(encrypt=True))
    assert text == "json+aesgcm:a"
    assert b"4711" not in stored
    assert chain.seal(HERE, b'{"pin":4711}', "json", Codec(encrypt=True))[0] != stored
    assert chain.open(HERE, stored, text) == (b'{"pin":4711}', "json")
    # Another id is no other place: a dead letter is replayed under another one.
    assert chain.open(Place("mail", "send@1", "job-2"), stored, text)[0] == b'{"pin":4711}'
    for place in (
        Place("post", "send@1", ""),
        Place("mail", "send@2", ""),
        Place("mail", "send@1", "", "result"),
    ):
        with pytest.raises(PayloadTampered, match="queue and job, or was changed since"):
            chain.open(place, stored, text)
    for changed in (stored[:-1] + bytes([stored[-1] ^ 1]), stored[:20], b""):
        with pytest.raises(PayloadTampered):
            chain.open(HERE, changed, text)
    with pytest.raises(PayloadTampered):
        # What was done before is bound, too.
        chain.open(HERE, stored, "msgpack+aesgcm:a")


def test_keys_are_rotated_without_a_gap() -> None:
    old = Codecs(keys=ring(a=KEY))
    stored, text = old.seal(HERE, b"1", "json", Codec(encrypt=True))
    both = Codecs(keys=ring(b=OTHER, a=KEY))
    assert both.open(HERE, stored, text)[0] == b"1"
    newer, by = both.seal(HERE, b"2", "json", Codec(encrypt=True))
    assert by == "json+aesgcm:b"
    with pytest.raises(KeyUnknown) as caught:
        old.open(HERE, newer, by)
    assert (caught.value.key_id, caught.value.code) == ("b", "key_unknown")
    with pytest.raises(PayloadTampered):
        Codecs(keys=ring(a=OTHER)).open(HERE, stored, text)


def test_encryption_without_keys_or_library_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="set JOBS_KEYS"):
        Codecs().seal(HERE, b"1", "json", Codec(encrypt=True))

    def without(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(codecs, "import_module", without)
    codecs._cipher.cache_clear()
    with pytest.raises(ConfigurationError, match=r"jobs-core\[encryption\]"):
        Codecs(keys=KeyRing({"a": KEY})).seal(HERE, b"1", "json", Codec(encrypt=True))


def test_keys_of_the_environment() -> None:
    def packed(key: bytes) -> str:
        return base64.b64encode(key).decode()

    keys = KeyRing.parse(f"2026b:{packed(KEY)}, 2026a:{packed(OTHER)}")
    assert (keys.first, keys.get("2026a"), keys.get("x")) == ("2026b", OTHER, None)
    assert repr(keys) == "KeyRing(2026b, 2026a)"
    assert KeyRing.parse(keys.text()).get("2026b") == KEY
    short = packed(KEY[:16])
    for wrong in ("", "a", f"a:{short}", f"a+b:{packed(KEY)}", "a:???", f"a:{packed(KEY)},a:{packed(OTHER)}"):
        with pytest.raises(SettingsError) as caught:
            KeyRing.parse(wrong)
        assert short not in str(caught.value)
    assert Codecs.from_env("jobs", {}).keys is None
    for wrong_keys in ({}, {"a": b"short"}, {"a:b": KEY}):
        with pytest.raises(OptionError):
            KeyRing(wrong_keys)


@pytest.mark.parametrize("job_id", ["job-1", ".", "n\u00e4h/..\\ 1", "\U00010348" * 128, "x" * 128])
def test_large_bytes_lie_in_a_file_whose_name_tells_the_job(job_id: str, tmp_path: Path) -> None:
    chain = Codecs(files_url=str(tmp_path), prefix="my:jobs")
    place = Place("mail", "send@1", job_id)
    stored, text = chain.seal(place, DATA, "json", Codec(offload=1000))
    assert text == "json+file"
    assert len(stored) < 1200
    assert chain.open(place, stored, text) == (DATA, "json")
    (path,) = chain.store.list("offload")
    assert (parse_offload_path(path) or ())[:2] == (job_id, "payload")
    assert any(path.startswith(f"{offload_folder('my:jobs', 'mail', shard)}/") for shard in range(SHARDS))
    (tmp_path / path).write_bytes(DATA[:-1])
    with pytest.raises(PayloadTampered, match="was changed"):
        chain.open(place, stored, text)
    chain.store.delete(path)
    with pytest.raises(PayloadMissing) as caught:
        chain.open(place, stored, text)
    assert caught.value.path == path
    with pytest.raises(PayloadTampered, match="is none"):
        chain.open(place, b"\xc1", text)


def test_all_stages_in_their_order(tmp_path: Path) -> None:
    chain = Codecs(keys=ring(a=KEY), files_url=tmp_path.as_uri())
    every = Codec(compress=True, encrypt=True, offload=1)
    stored, text = chain.seal(HERE, DATA, "msgpack", every)
    assert text is not None
    assert text.replace("zlib", "zstd") == "msgpack+zstd+aesgcm:a+file"
    assert chain.open(HERE, stored, text) == (DATA, "msgpack")
    assert mark(stored, text, None) == {
        "$encrypted": "a",
        "$file": chain.store.list()[0],
        "bytes": (tmp_path / chain.store.list()[0]).stat().st_size,
    }
    assert set(mark(stored, text, chain.keys) or ()) == {"$file", "bytes"}
    assert mark(b"12", "json+aesgcm:a", None) == {"$encrypted": "a", "bytes": 2}
    assert mark(b"12", "json+aesgcm:a", chain.keys) is mark(b"12", "msgpack+zstd", None) is None


def test_a_stage_of_a_later_version_is_an_error_of_its_own() -> None:
    with pytest.raises(CodecError, match="'brotli', which this version does not know"):
        Codecs().open(HERE, b"", "json+brotli")


def test_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "offload").write_text("in the way")
    with pytest.raises(CodecError, match="its file cannot be written"):
        Codecs(files_url=str(tmp_path)).seal(
            HERE,
            DATA,
            "json",
            Codec(offload=1),
        )


def test_the_codec_is_declared_for_the_queue_or_the_job() -> None:
    queue = Queue("mail", codec=Codec(compress=True))
    assert queue.job("send", str).codec == Codec(compress=True)
    assert not queue.job("plain", str, codec=Codec()).seals
    assert queue != Queue("mail")
    large = "x" * 2_000_000
    assert len(queue.job("send", str).encode(large)) == 2_000_002
    with pytest.raises(PayloadTooLarge):
        queue.job("plain", str, codec=Codec()).encode(large)
    with pytest.raises(OptionError, match="must be a Codec"):
        Queue("mail", codec="zstd")  # pyright: ignore[reportArgumentType]
    for wrong in ({"compress": "zstd"}, {"offload": -1}, {"encrypt": 1}):
        with pytest.raises(OptionError, match=r"codec\."):
            Codec(**wrong)  # pyright: ignore[reportArgumentType]
