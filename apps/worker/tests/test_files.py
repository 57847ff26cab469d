"""The file store: what it refuses, and that files appear whole or not at all."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from jobs_core.errors import JobsError
from jobs_worker.files import FilePathError, FileStore, job_path, store


@pytest.fixture(params=["directory", "file", "memory", "renamed"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileStore]:
    if request.param in {"memory", "renamed"}:
        remote = FileStore(f"memory://{uuid4().hex}/root")
        # A file system whose uploads can be seen before they are whole, such as SFTP.
        remote._tree._atomic = request.param == "memory"  # pyright: ignore[reportAttributeAccessIssue]
        yield remote
    else:
        yield FileStore(str(tmp_path) if request.param == "directory" else tmp_path.as_uri())


@pytest.fixture
def directory(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "files"))


def test_a_file_is_written_read_listed_and_deleted(files: FileStore) -> None:
    assert not files.exists("a/b.txt")
    assert list(files.list()) == []
    with files.open("a/b.txt", "wb") as file:
        file.write(b"one")
    files.write_bytes("a/c d/[e]*?.bin", b"\x00\x01")
    assert files.exists("a/b.txt")
    assert not files.exists("a")
    assert files.size("a/b.txt") == 3
    assert files.read_bytes("a/c d/[e]*?.bin") == b"\x00\x01"
    assert list(files.list()) == ["a/b.txt", "a/c d/[e]*?.bin"]
    assert list(files.list("a/c d")) == ["a/c d/[e]*?.bin"]
    assert list(files.list("nowhere")) == []
    assert files.delete("a/b.txt")
    assert not files.delete("a/b.txt")
    assert not files.exists("a/b.txt")


def test_what_is_written_can_seek(files: FileStore) -> None:
    with files.open("a", "wb") as file:
        file.write(b"xbc")
        file.seek(0)
        file.write(b"a")
    with files.open("a") as file:
        file.seek(1)
        assert file.read() == b"bc"


def test_text_is_utf8_and_keeps_its_line_ends(files: FileStore) -> None:
    with files.open("a.txt", "w") as file:
        file.write("žluťoučký\r\nkůň\n")
    with files.open("a.txt", "r") as file:
        assert file.read() == "žluťoučký\r\nkůň\n"
    assert files.read_bytes("a.txt") == "žluťoučký\r\nkůň\n".encode()


def test_what_was_there_stays_until_the_new_file_is_whole(files: FileStore) -> None:
    def give_up_half_way() -> None:
        with files.open("a", "wb") as file:
            file.write(b"new")
            file.flush()
            assert files.read_bytes("a") == b"old"
            raise ZeroDivisionError

    def give_up_text() -> None:
        with files.open("b", "w") as text:
            text.write("half")
            raise ZeroDivisionError

    files.write_bytes("a", b"old")
    for give_up in (give_up_half_way, give_up_text):
        with pytest.raises(ZeroDivisionError):
            give_up()
    assert list(files.list()) == ["a"]
    assert files.read_bytes("a") == b"old"


def test_a_missing_file_is_named_by_its_relative_path(files: FileStore, tmp_path: Path) -> None:
    for look in (files.read_bytes, files.size):
        with pytest.raises(FileNotFoundError) as caught:
            look("no/such")
        assert caught.value.filename == "no/such"
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "..",
        "../a",
        "a/../../b",
        "a/..",
        "a//b",
        "./a",
        "a/.",
        "a/",
        "a\x00b",
        "a\nb",
        "a\\b",
        "..\\a",
        "C:/a",
        ".partial/a",
        "a" * 256,
        "a/" * 600 + "a",
        "\ud800",
    ],
)
def test_a_path_that_is_not_relative_is_refused(files: FileStore, path: str) -> None:
    for use in (files.read_bytes, files.exists, files.size, files.delete):
        with pytest.raises(FilePathError) as caught:
            use(path)
        assert caught.value.path == path
    with pytest.raises(FilePathError), files.open(path, "wb"):
        pass
    if path:
        with pytest.raises(FilePathError):
            files.list(path)


def test_the_refusal_is_typed_and_can_be_pickled() -> None:
    error = FilePathError("../a", "leaves the folder by '..'")
    assert isinstance(error, JobsError)
    assert isinstance(error, ValueError)
    assert pickle.loads(pickle.dumps(error)).path == "../a"
    assert "'../a' leaves the folder" in str(error)


def test_a_symbolic_link_that_leaves_the_root_is_refused(directory: FileStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "outside").mkdir()
    directory.write_bytes("inside/a", b"1")
    root = tmp_path / "files"
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "dangling").symlink_to(tmp_path / "not-there")
    (root / "sibling").symlink_to("../files2/a")
    for path in ("file", "folder/new", "dangling", "sibling"):
        for use in (directory.read_bytes, directory.exists, directory.delete, directory.size):
            with pytest.raises(FilePathError, match="symbolic link"):
                use(path)
        with pytest.raises(FilePathError), directory.open(path, "wb"):
            pass
    assert (tmp_path / "secret").read_text() == "s"
    assert list((tmp_path / "outside").iterdir()) == []
    assert list(directory.list()) == ["inside/a"]


def test_a_symbolic_link_inside_the_root_is_followed(directory: FileStore, tmp_path: Path) -> None:
    directory.write_bytes("real/a", b"1")
    (tmp_path / "files/link").symlink_to("real")
    assert directory.read_bytes("link/a") == b"1"
    directory.write_bytes("link/b", b"2")
    assert directory.read_bytes("real/b") == b"2"


def test_the_root_itself_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")
    files = FileStore(str(tmp_path / "root"))
    files.write_bytes("a", b"1")
    assert files.read_bytes("a") == b"1"


WRITER = """
import os, sys
from jobs_worker.files import FileStore
with FileStore(sys.argv[1]).open("a/b", "wb") as file:
    file.write(b"half")
    file.flush()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_killed_writer_leaves_nothing_under_the_name(directory: FileStore, tmp_path: Path) -> None:
    root = tmp_path / "files"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        writer.send_signal(signal.SIGKILL)
    assert not directory.exists("a/b")
    assert list(directory.list()) == []
    (left,) = (root / ".partial").iterdir()
    # A store that is opened a day later clears it away, one opened earlier does not: it may be still written.
    FileStore(str(root))
    assert left.exists()
    a_day_ago = time.time() - 90_000
    os.utime(left, (a_day_ago, a_day_ago))
    FileStore(str(root))
    assert not left.exists()


def test_writers_in_threads_never_mix(directory: FileStore) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=directory.write_bytes, args=("same", each)) for each in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert directory.read_bytes("same") in contents


def test_other_users_may_read_what_the_umask_lets_them(directory: FileStore, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        directory.write_bytes("a", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "files/a").stat().st_mode & 0o777 == 0o640


def test_only_whole_reads_and_writes_have_a_mode(directory: FileStore) -> None:
    with pytest.raises(ValueError, match="mode 'ab'"):
        directory.open("a", "ab")  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_the_store_follows_files_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FILES_URL", f"file://{tmp_path}/with%20space")
    store().write_bytes("a", b"1")
    assert (tmp_path / "with space/a").read_bytes() == b"1"
    monkeypatch.setenv("FILES_URL", "")
    monkeypatch.chdir(tmp_path)
    store().write_bytes("b", b"2")
    assert (tmp_path / "files/b").read_bytes() == b"2"


def test_a_password_in_the_url_is_not_shown(tmp_path: Path) -> None:
    assert repr(FileStore("memory://user:s3cret@host/a")) == "FileStore('memory://')"
    assert repr(FileStore(str(tmp_path))) == f"FileStore({str(tmp_path)!r})"


def test_a_job_without_a_path_writes_to_its_own() -> None:
    assert job_path("images", "0198-ab", ".png") == "images/0198-ab.png"
    odd = {
        job_path("images", each, ".png") for each in ("../../etc/passwd", "a/b", "..", ".partial", "a b", "ž")
    }
    assert len(odd) == 6
    for path in odd:
        assert path.startswith("images/~")
        assert path.count("/") == 1


def test_others_open_a_file_where_it_is_said_to_be(files: FileStore) -> None:
    files.write_bytes("a/b.txt", b"words")
    address, system = files.address("a/b.txt")
    read = Path(address).read_bytes if system is None else partial(getattr(system, "cat_file"), address)  # noqa: B009 - of any type
    assert read() == b"words"
    with pytest.raises(FilePathError):
        files.address("../b.txt")
