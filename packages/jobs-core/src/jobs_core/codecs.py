"""What is done to payloads and results on their way to the server: compressed, encrypted, kept apart.

    REPORTS = Queue("reports", codec=Codec(compress=True, encrypt=True, offload=True))

A payload is written in its format, then goes through the stages in this order. What was done is recorded with the job, in
the order it was done (`msgpack+zstd+aesgcm:2026a+file`), so that whoever has the keys and the files can undo it, whatever
is declared there. Libraries are imported when a stage is first used: a producer that uses none pays for none.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from jobs_core.errors import (
    CodecError,
    ConfigurationError,
    KeyUnknown,
    OptionError,
    PayloadMissing,
    PayloadTampered,
    PayloadTooLarge,
    SettingsError,
)

if TYPE_CHECKING:
    from jobs_core.files import FileStore

__all__ = ["NO_CODEC", "Codec", "Codecs", "KeyRing", "Place", "mark", "offload_folder", "parse_offload_path"]

COMPRESS_FROM = 1024
OFFLOAD_FROM = 128 * 1024
# What a payload may have before it is compressed or kept apart, and after it was decompressed again.
MAX_PLAIN = 64 * 1024 * 1024
# From so many bytes on, the stages are a thread's work: they would hold up an event loop for a millisecond and more.
SLOW_FROM = 64 * 1024
SHARDS = 64
_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}").fullmatch
_KEYS_FORM = "id:base64key pairs, separated by commas, each key 32 random bytes and each id up to 32 of A-Z a-z 0-9 . _ -"
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch
_SEGMENT = 150


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to the payloads and results of a queue or a job.

    `compress` and `offload` are how many bytes it takes (True: 1 KiB, 128 KiB); `encrypt` needs the keys of JOBS_KEYS.
    """

    compress: bool | int = False
    encrypt: bool = False
    offload: bool | int = False

    def __post_init__(self) -> None:
        """Refuse what is no number of bytes."""
        for option in ("compress", "offload"):
            value = cast("object", getattr(self, option))
            if not isinstance(value, int) or value < 0:
                raise OptionError(f"codec.{option}", value, "it must be True, False or a number of bytes")
        if not isinstance(self.encrypt, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("codec.encrypt", self.encrypt, "it must be True or False")

    @property
    def does_nothing(self) -> bool:
        """Whether no stage is asked for."""
        return self.compress is False and self.offload is False and not self.encrypt

    @property
    def compress_from(self) -> int | None:
        """From how many bytes on is compressed; None: never."""
        return _threshold(self.compress, COMPRESS_FROM)

    @property
    def offload_from(self) -> int | None:
        """From how many stored bytes on is kept apart; None: never."""
        return _threshold(self.offload, OFFLOAD_FROM)


def _threshold(value: bool | int, default: int) -> int | None:  # noqa: FBT001 - what the declaration takes
    if value is False:
        return None
    return default if value is True else value


NO_CODEC = Codec()


class KeyRing:
    """Keys by id, in order: the first one encrypts, all of them decrypt. Its repr shows no key."""

    __slots__ = ("_keys", "first")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take at least one key. Raises `OptionError`."""
        for key_id, key in keys.items():
            if _KEY_ID(key_id) is None:
                raise OptionError("keys", key_id, "a key's id is 1 to 32 of the characters A-Z a-z 0-9 . _ -")
            if len(key) != _KEY_BYTES:
                raise OptionError("keys", key_id, f"its key has {len(key)} bytes instead of {_KEY_BYTES}")
        if not keys:
            raise OptionError("keys", "", "there is none")
        self._keys = dict(keys)
        self.first = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read the value of JOBS_KEYS. Raises `SettingsError`, which does not show it."""
        keys: dict[str, bytes] = {}
        for entry in text.split(","):
            key_id, colon, packed = entry.strip().partition(":")
            try:
                key = base64.b64decode(packed, validate=True)
            except binascii.Error:
                key = b""
            if not colon or _KEY_ID(key_id) is None or len(key) != _KEY_BYTES or key_id in keys:
                raise SettingsError("JOBS_KEYS", "***", _KEYS_FORM)
            keys[key_id] = key
        return cls(keys)

    def text(self) -> str:
        """Return the ring as JOBS_KEYS holds it, for a process of our own."""
        return ",".join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in self._keys.items())

    def get(self, key_id: str) -> bytes | None:
        """Return a key, None where the ring does not have it."""
        return self._keys.get(key_id)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"


class Place(msgspec.Struct, frozen=True):
    """Whose bytes they are; `name` is name@version, `what` is payload or result."""

    queue: str
    name: str
    job_id: str
    what: str = "payload"


class _Reference(msgspec.Struct, array_like=True, frozen=True):
    """What the server keeps of bytes that lie in a file."""

    path: str
    digest: bytes
    size: int


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...


class _Decompressor(Protocol):
    eof: bool

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


_encode = msgspec.msgpack.Encoder().encode
_decode_reference = msgspec.msgpack.Decoder(_Reference).decode


class Codecs:
    """The stages, with the keys and the files of a process. All methods may be called from several threads."""

    def __init__(
        self, *, keys: KeyRing | None = None, files_url: str = "./files", prefix: str = "jobs"
    ) -> None:
        """Hold what the stages need; nothing is opened before it is used."""
        self.keys = keys
        self.files_url = files_url
        self.prefix = prefix

    @classmethod
    def from_env(cls, prefix: str, env: Mapping[str, str] | None = None) -> Codecs:
        """Read JOBS_KEYS and FILES_URL. Raises `SettingsError`."""
        env = os.environ if env is None else env
        text = env.get("JOBS_KEYS", "").strip()
        return cls(
            keys=KeyRing.parse(text) if text else None,
            files_url=env.get("FILES_URL", "").strip() or "./files",
            prefix=prefix,
        )

    @property
    def store(self) -> FileStore:
        """Return the files. Raises ConfigurationError where their URL needs a package that is not installed."""
        # Imported here, since producers that keep nothing apart need no files.
        from jobs_core.files import store_at  # noqa: PLC0415

        try:
            return store_at(self.files_url)
        except ImportError as error:
            raise ConfigurationError(
                f"FILES_URL needs a package that is not installed ({error}): install jobs-core[files], and what the "
                "URL's file system asks for."
            ) from error

    @staticmethod
    def is_slow(codec: Codec, size: int) -> bool:
        """Tell whether sealing so many bytes is a thread's work."""
        offload = codec.offload_from
        return size >= SLOW_FROM or (offload is not None and size >= offload)

    @staticmethod
    def is_slow_to_open(text: str, size: int) -> bool:
        """Tell whether opening is a thread's work."""
        return size >= SLOW_FROM or text.endswith("+file")

    def seal(self, place: Place, data: bytes, form: str, codec: Codec) -> tuple[bytes, str | None]:
        """Take bytes through the stages. Returns what is stored, and how it is written (None: plain JSON).

        Raises PayloadTooLarge over 64 MiB, ConfigurationError where keys or a library are missing, OSError of the files.
        """
        if len(data) > MAX_PLAIN:
            raise PayloadTooLarge(place.queue, _job(place), len(data), MAX_PLAIN, what=place.what)
        text = form
        compress_from, offload_from = codec.compress_from, codec.offload_from
        if compress_from is not None and len(data) >= compress_from:
            name, compress = _compression()
            shorter = compress(data)
            if len(shorter) < len(data):
                data, text = shorter, f"{text}+{name}"
        if codec.encrypt:
            if self.keys is None:
                raise ConfigurationError(
                    f"Job {_job(place)!r} of queue {place.queue!r} is to be encrypted, and there are no keys: set JOBS_KEYS."
                )
            key_id = self.keys.first
            nonce = os.urandom(_NONCE_BYTES)
            cipher = _cipher(cast("bytes", self.keys.get(key_id)))
            data, text = nonce + cipher.encrypt(nonce, data, _bound(place, text)), f"{text}+aesgcm:{key_id}"
        if offload_from is not None and len(data) >= offload_from:
            data, text = self._put(place, data), f"{text}+file"
        return data, None if text == "json" else text

    def open(self, place: Place, data: bytes, text: str | None) -> tuple[bytes, str]:
        """Undo the stages. Returns the bytes and their format.

        Raises CodecError (KeyUnknown, PayloadTampered, PayloadMissing), ConfigurationError where a library is missing, OSError
        where the files cannot be reached.
        """
        if text is None:
            return data, "json"
        if "+" not in text:
            return data, text
        stages = text.split("+")
        for at in range(len(stages) - 1, 0, -1):
            stage, _, key_id = stages[at].partition(":")
            if stage == "file":
                data = self._get(place, data)
            elif stage == "aesgcm":
                data = self._decrypt(place, data, key_id, "+".join(stages[:at]))
            elif stage in {"zstd", "zlib"}:
                data = _decompress(place, stage, data)
            else:
                raise CodecError(
                    place.queue,
                    _job(place),
                    f"it went through {stage!r}, which this version does not know",
                    what=place.what,
                )
        return data, stages[0]

    def _decrypt(self, place: Place, data: bytes, key_id: str, before: str) -> bytes:
        key = self.keys.get(key_id) if self.keys is not None else None
        if key is None:
            raise KeyUnknown(place.queue, _job(place), key_id, what=place.what)
        cipher = _cipher(key)
        try:
            if len(data) < _NONCE_BYTES + _TAG_BYTES:
                raise ValueError("it is too short")
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound(place, before))
        except Exception as error:
            # InvalidTag of the library, which is imported lazily.
            reason = f"it was not encrypted with key {key_id!r} for this queue and job, or was changed since"
            raise PayloadTampered(place.queue, _job(place), reason, what=place.what) from error

    def _put(self, place: Place, data: bytes) -> bytes:
        digest = sha256(data)
        path = _path(self.prefix, place, digest.hexdigest())
        store = self.store
        try:
            store.write_bytes(path, data)
        except Exception as error:
            # Each file system has errors of its own.
            raise CodecError(
                place.queue,
                _job(place),
                f"its file cannot be written: {type(error).__name__}: {error}",
                what=place.what,
                remedy="Nothing was sent to the server. Look at FILES_URL, then do it again",
            ) from error
        return _encode(_Reference(path, digest.digest(), len(data)))

    def _get(self, place: Place, data: bytes) -> bytes:
        try:
            reference = _decode_reference(data)
        except msgspec.MsgspecError as error:
            raise PayloadTampered(
                place.queue, _job(place), "its reference to a file is none", what=place.what
            ) from error
        if not reference.path.startswith("offload/"):
            raise PayloadTampered(place.queue, _job(place), "its file lies elsewhere", what=place.what)
        try:
            found = self.store.read_bytes(reference.path)
        except FileNotFoundError:
            raise PayloadMissing(place.queue, _job(place), reference.path, what=place.what) from None
        if len(found) != reference.size or sha256(found).digest() != reference.digest:
            raise PayloadTampered(
                place.queue, _job(place), f"its file {reference.path} was changed", what=place.what
            )
        return found


def mark(data: bytes, text: str, keys: KeyRing | None) -> dict[str, str | int] | None:
    """Return what stands for bytes that lie in a file, or are encrypted with a key that is not in the ring.

    None for what can be opened at once. Raises msgspec.MsgspecError for a reference that is none.
    """
    found = re.search(r"\+aesgcm:([^+]*)", text)
    shown: dict[str, str | int] = {}
    if found is not None and (keys is None or keys.get(found[1]) is None):
        shown = {"$encrypted": found[1], "bytes": len(data)}
    if text.endswith("+file"):
        reference = _decode_reference(data)
        shown |= {"$file": reference.path, "bytes": reference.size}
    return shown or None


def offload_folder(prefix: str, queue: str, shard: int) -> str:
    """Return the folder under FILES_URL that holds one part of a queue's files."""
    return f"offload/{_segment(prefix)}/{queue}/{shard:02x}"


def parse_offload_path(path: str) -> tuple[str, str, int] | None:
    """Return (id, what, seconds when it was written) of the path of a file that was kept apart; None for any other."""
    parts = path.split("/")
    named = parts[4].split("-", 3) if len(parts) > 4 and parts[0] == "offload" else []
    if len(named) != 4 or not named[1].isdigit():
        return None
    what, seconds, _, first = named
    if first.startswith("="):
        return first[1:], what, int(seconds)
    packed = "".join((first, *parts[5:])).replace("~", "")
    try:
        return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode(), what, int(seconds)
    except ValueError:
        return None


def _path(prefix: str, place: Place, digest: str) -> str:
    """Return where the bytes of a job go: the id and the time are in the name, so that a sweep need not open the file."""
    shard = sha256(place.job_id.encode()).digest()[0] % SHARDS
    head = f"{offload_folder(prefix, place.queue, shard)}/{place.what}-{int(time.time())}-{digest}-"
    if _PLAIN_ID(place.job_id) is not None:
        return f"{head}={place.job_id}"
    packed = base64.urlsafe_b64encode(place.job_id.encode()).decode().rstrip("=")
    return head + "/".join(f"~{packed[at : at + _SEGMENT]}" for at in range(0, len(packed), _SEGMENT))


def _segment(prefix: str) -> str:
    if _PLAIN_ID(prefix) is not None:
        return f"={prefix}"
    return "~" + base64.urlsafe_b64encode(prefix.encode()).decode().rstrip("=")


def _job(place: Place) -> str:
    return place.name.rpartition("@")[0] or place.name


def _bound(place: Place, before: str) -> bytes:
    """Return what ciphertext is bound to, so that it means nothing in another queue or job, nor as a result."""
    return f"jobs1\0{place.queue}\0{place.name}\0{place.what}\0{before}".encode()


@lru_cache(maxsize=32)
def _cipher(key: bytes) -> _Aead:
    try:
        made = cast(
            "Callable[[bytes], _Aead]", import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
        )
    except ImportError as error:
        raise ConfigurationError(
            "Encryption of payloads needs the package cryptography: install jobs-core[encryption]."
        ) from error
    return made(key)


@lru_cache(maxsize=1)
def _zstd() -> object | None:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def _compression() -> tuple[str, Callable[[bytes], bytes]]:
    """Return the best compression that this interpreter has: zstd, else zlib."""
    zstd = _zstd()
    if zstd is not None:
        return "zstd", cast("Callable[[bytes], bytes]", zstd.compress)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    import zlib  # noqa: PLC0415 - only where it is used

    return "zlib", lambda data: zlib.compress(data, 6)


def _decompress(place: Place, stage: str, data: bytes) -> bytes:
    """Decompress at most 64 MiB: few bytes can claim to be very many."""
    try:
        if stage == "zstd":
            zstd = _zstd()
            if zstd is None:
                raise ConfigurationError(
                    "A payload is compressed with zstd, which this interpreter lacks: install jobs-core[compression]."
                )
            made = cast("Callable[[], _Decompressor]", zstd.ZstdDecompressor)()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        else:
            import zlib  # noqa: PLC0415 - only where it is used

            made = cast("_Decompressor", zlib.decompressobj())
        plain = made.decompress(data, MAX_PLAIN)
    except ConfigurationError:
        raise
    except Exception as error:
        # ZstdError or zlib.error, which derive from Exception alone.
        raise PayloadTampered(place.queue, _job(place), f"it is no {stage} data", what=place.what) from error
    if not made.eof:
        raise PayloadTampered(
            place.queue,
            _job(place),
            f"it is cut short, or has more than {MAX_PLAIN:,} bytes",
            what=place.what,
        )
    return plain
