"""Files that jobs read and write: everything under FILES_URL, and nothing outside it.

    with store().open("reports/sales.csv", "wb") as file:
        file.write(content)

A file appears under its name when the block ends, complete or not at all: a killed job leaves no half file.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from errno import EISDIR, ENOENT
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn, Protocol, TextIO, cast, overload
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from jobs_core.errors import JobsError
from jobs_core.settings import FeatureSettings

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FilePathError", "FileStore", "job_path", "store", "store_at"]

Mode = Literal["r", "rb", "w", "wb"]

_MAX_PATH = 1024
_MAX_NAME = 255
_PARTIAL = ".partial"
_ABANDONED_AFTER = 24 * 3600.0
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|[a-z0-9]+::")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Where an upload becomes visible as a whole, or is gone with its process; elsewhere it is renamed into place.
_ATOMIC_UPLOADS = frozenset({"abfs", "az", "gcs", "gs", "memory", "s3", "s3a"})


class FilePathError(JobsError, ValueError):
    """A path is refused: it is no relative POSIX path, or it leaves the root of the store."""

    code = "file_path_error"

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path[:200]!r} {reason}; give a relative path under FILES_URL, such as 'a/b.png'")


def store() -> FileStore:
    """Return the store at FILES_URL, by default the directory ./files.

    Raises ImportError where the URL's file system needs a package that is not installed.
    """
    return store_at(FeatureSettings.from_env().files_url)


def store_at(url: str) -> FileStore:
    """Return the store at a URL, one for each process. Raises as `store`."""
    return _store(url, str(Path.cwd()), os.getpid())


@lru_cache(maxsize=8)
def _store(url: str, _cwd: str, _pid: int) -> FileStore:
    return FileStore(url)


def job_path(folder: str, job_id: str, suffix: str) -> str:
    """Return where a job writes that was given no path: the same for each of its attempts.

    An own id may hold any printable character; one that would not do as a file name goes in as its digest.
    """
    plain = _PLAIN_ID.fullmatch(job_id) is not None
    name = job_id if plain else "~" + sha256(job_id.encode()).hexdigest()[:40]
    return f"{folder}/{name}{suffix}"


class FileStore:
    """A tree of files: a directory, or any URL that fsspec knows (`file:///…`, `s3://bucket/…`).

    Paths are relative POSIX paths; others raise `FilePathError`, as do symbolic links that leave the root.
    All methods block, and may be called from several threads and processes at once.
    """

    def __init__(self, url: str) -> None:
        scheme = _SCHEME.match(url)
        if scheme is None:
            self._tree: _Tree = _Directory(Path(url))
            self._shown = url
        elif url.startswith(("file://", "local://")):
            parts = urlsplit(url)
            if parts.netloc not in {"", "localhost"}:
                raise ValueError("FILES_URL: a file URL names an absolute path, as in file:///var/files")
            self._tree = _Directory(Path(unquote(parts.path)))
            self._shown = url
        else:
            self._tree = _Remote(url)
            # No more than the scheme: the rest may hold a password.
            self._shown = scheme[0]

    def __repr__(self) -> str:
        return f"FileStore({self._shown!r})"

    @overload
    def open(self, path: str, mode: Literal["rb", "wb"] = "rb") -> AbstractContextManager[BinaryIO]: ...
    @overload
    def open(self, path: str, mode: Literal["r", "w"]) -> AbstractContextManager[TextIO]: ...
    def open(
        self, path: str, mode: Mode = "rb"
    ) -> AbstractContextManager[BinaryIO] | AbstractContextManager[TextIO]:
        """Open a file for a `with` block: seekable bytes, or text in UTF-8 whose line ends stay as they are.

        What is written appears when the block ends, replaces what was there, and is dropped if it raises.
        Raises FilePathError, FileNotFoundError.
        """
        checked = _checked(path)
        match mode:
            case "rb":
                return self._tree.read(checked)
            case "wb":
                return self._tree.write(checked)
            case "r":
                return _text(self._tree.read(checked))
            case "w":
                return _text(self._tree.write(checked))
            case _:
                raise ValueError(f"mode {mode!r} is not one of r, rb, w, wb: files are written whole")

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file. Raises FilePathError, FileNotFoundError."""
        with self.open(path, "rb") as file:
            return file.read()

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file whole. Raises FilePathError."""
        with self.open(path, "wb") as file:
            file.write(content)

    def exists(self, path: str) -> bool:
        """Tell whether there is a file of this name. Raises FilePathError."""
        return self._tree.size(_checked(path)) is not None

    def size(self, path: str) -> int:
        """Return how many bytes a file has. Raises FilePathError, FileNotFoundError."""
        size = self._tree.size(_checked(path))
        return _missing(path) if size is None else size

    def delete(self, path: str) -> bool:
        """Delete a file and tell whether there was one. Raises FilePathError."""
        return self._tree.delete(_checked(path))

    def address(self, path: str) -> tuple[str, object | None]:
        """Return where a file lies, for a library that opens it itself: a path of this machine, or a URL and its fsspec file system.

        Raises FilePathError.
        """
        return self._tree.address(_checked(path))

    def list(self, under: str = "") -> Sequence[str]:
        """Return the sorted paths of all files in a folder and below it. Raises FilePathError."""
        return sorted(self._tree.walk(_checked(under) if under else ""))


class _Tree(Protocol):
    """What a kind of file system must be able to do; the paths it is given are checked."""

    def read(self, path: str) -> AbstractContextManager[BinaryIO]: ...
    def write(self, path: str) -> AbstractContextManager[BinaryIO]: ...
    def size(self, path: str) -> int | None: ...
    def delete(self, path: str) -> bool: ...
    def address(self, path: str) -> tuple[str, object | None]: ...
    def walk(self, under: str) -> Iterator[str]: ...


class _Directory:
    """A directory of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._partial = self._root / _PARTIAL
        self._sweep()

    @contextmanager
    def read(self, path: str) -> Generator[BinaryIO]:
        try:
            file = self._inside(path).open("rb")
        except (FileNotFoundError, NotADirectoryError):
            _missing(path)
        except IsADirectoryError:
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), path) from None
        with file:
            yield file

    @contextmanager
    def write(self, path: str) -> Generator[BinaryIO]:
        target = self._inside(path)
        self._partial.mkdir(mode=0o777, parents=True, exist_ok=True)
        temporary = self._partial / uuid4().hex
        try:
            with temporary.open("x+b") as file:
                yield cast("BinaryIO", file)
                file.flush()
                os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
            _sync_directory(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def size(self, path: str) -> int | None:
        target = self._inside(path)
        return target.stat().st_size if target.is_file() else None

    def delete(self, path: str) -> bool:
        self._inside(path)
        try:
            # Of a symbolic link the link itself.
            (self._root / path).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def address(self, path: str) -> tuple[str, object | None]:
        return str(self._inside(path)), None

    def walk(self, under: str) -> Iterator[str]:
        for folder, folders, names in os.walk(self._inside(under)):
            if folder == str(self._root):
                folders[:] = [name for name in folders if name != _PARTIAL]
            for name in names:
                path = Path(folder, name).relative_to(self._root).as_posix()
                with suppress(FilePathError):
                    if self._inside(path).is_file():
                        yield path

    def _inside(self, path: str) -> Path:
        """Return the path with its symbolic links resolved."""
        resolved = Path(os.path.realpath(self._root / path))
        if not resolved.is_relative_to(self._root):
            raise FilePathError(path, "leads out of FILES_URL by a symbolic link")
        return resolved

    def _sweep(self) -> None:
        """Remove what killed jobs left."""
        oldest = time.time() - _ABANDONED_AFTER
        with suppress(OSError):
            for left in self._partial.iterdir():
                # Another process may sweep at the same time.
                with suppress(FileNotFoundError):
                    if left.stat().st_mtime < oldest:
                        left.unlink()


class _FileSystem(Protocol):
    """The part of fsspec's interface that is used; the package ships no types."""

    def open(self, path: str, mode: str) -> BinaryIO: ...
    def info(self, path: str) -> dict[str, object]: ...
    def put_file(self, lpath: str, rpath: str) -> None: ...
    def mv(self, path1: str, path2: str) -> None: ...
    def rm_file(self, path: str) -> None: ...
    def makedirs(self, path: str, exist_ok: bool) -> None: ...  # noqa: FBT001 - fsspec's signature
    def find(self, path: str) -> list[str]: ...
    def invalidate_cache(self) -> None: ...
    def unstrip_protocol(self, name: str) -> str: ...


class _Remote:
    """A file system behind fsspec, whose files are written here first: not all of them can seek."""

    def __init__(self, url: str) -> None:
        # Only here, and untyped: a plain directory needs no fsspec, which ships no types.
        url_to_fs = cast("Callable[[str], tuple[_FileSystem, str]]", import_module("fsspec.core").url_to_fs)
        made = url_to_fs(url)
        self._fs = made[0]
        self._root = made[1].rstrip("/")
        self._atomic = url.partition("://")[0].lower() in _ATOMIC_UPLOADS

    @contextmanager
    def read(self, path: str) -> Generator[BinaryIO]:
        try:
            file = self._fs.open(self._at(path), "rb")
        except FileNotFoundError:
            _missing(path)
        with file:
            yield file

    @contextmanager
    def write(self, path: str) -> Generator[BinaryIO]:
        with tempfile.NamedTemporaryFile("w+b") as file:
            yield cast("BinaryIO", file)
            file.flush()
            target = self._at(path)
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            if self._atomic:
                self._fs.put_file(file.name, target)
                return
            temporary = self._at(f"{_PARTIAL}/{uuid4().hex}")
            self._fs.makedirs(self._at(_PARTIAL), exist_ok=True)
            try:
                self._fs.put_file(file.name, temporary)
                self._fs.mv(temporary, target)
            except BaseException:
                with suppress(OSError):
                    self._fs.rm_file(temporary)
                raise

    def size(self, path: str) -> int | None:
        # Listings are cached, and other processes write here too.
        self._fs.invalidate_cache()
        try:
            found = self._fs.info(self._at(path))
        except FileNotFoundError:
            return None
        return cast("int", found["size"]) if found["type"] == "file" else None

    def delete(self, path: str) -> bool:
        try:
            self._fs.rm_file(self._at(path))
        except FileNotFoundError:
            return False
        return True

    def address(self, path: str) -> tuple[str, object | None]:
        return self._fs.unstrip_protocol(self._at(path)), self._fs

    def walk(self, under: str) -> Iterator[str]:
        self._fs.invalidate_cache()
        for found in self._fs.find(self._at(under)):
            path = found.removeprefix(f"{self._root}/")
            if not path.startswith(f"{_PARTIAL}/"):
                yield path

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _checked(path: str) -> str:
    reason = _refusal(path)
    if reason is not None:
        raise FilePathError(path, reason)
    return path


def _refusal(path: str) -> str | None:
    names = path.split("/")
    try:
        longest, length = max(len(os.fsencode(name)) for name in names), len(os.fsencode(path))
    except UnicodeEncodeError:
        return "holds characters that no file name can"
    # Each with its words: whoever reads the failure of a job sees no more than them.
    for wrong, reason in (
        (not path, "is empty"),
        (path.startswith("/") or re.match(r"[A-Za-z]:", path), "is absolute"),
        ("\\" in path, "holds a backslash"),
        (_CONTROL.search(path), "holds a control character"),
        (".." in names, "leaves the folder by '..'"),
        (not all(names) or "." in names, "holds an empty segment or '.'"),
        (names[0] == _PARTIAL, f"begins with {_PARTIAL}, where unfinished files lie"),
        (length > _MAX_PATH or longest > _MAX_NAME, "is too long"),
    ):
        if wrong:
            return reason
    return None


def _missing(path: str) -> NoReturn:
    """Raise without the absolute path, which is nobody's business who reads the failure of a job."""
    raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path) from None


@contextmanager
def _text(opened: AbstractContextManager[BinaryIO]) -> Generator[TextIO]:
    with opened as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            # Flushes, and leaves closing to the file itself: until then it is not in place.
            text.detach()


def _sync_directory(directory: Path) -> None:
    """Make a rename survive a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
