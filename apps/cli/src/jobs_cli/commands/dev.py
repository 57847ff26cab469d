"""`jobs dev`: everything for development in one terminal, restarted when code changes."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import shutil
import signal
import socket
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from jobs_cli.arguments import flag, option
from jobs_cli.failures import DONE, FAILED, lacks
from jobs_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_cli.children import Child
    from jobs_core.server import EmbeddedServer
    from jobs_core.settings import WorkerSettings

_DATA = ".jobs"
_SERVER_PORT = 6379
_DASHBOARD_PORT = "3010"
_WORKER_GRACE = "10s"
# Beyond the grace of its jobs a worker takes a moment to give back those that outlived it.
_MARGIN = 10.0
_GRACE = 10.0
_INTERRUPTED = 130
_LOOK_EVERY = 0.5


def dev(
    *,
    with_: Annotated[
        list[str] | None, option("A command to run as well, in the same environment; may be given again.")
    ] = None,
    no_reload: Annotated[bool, flag("Do not restart anything when files change.")] = False,
) -> int:
    """Run server, worker and dashboard in one terminal, and restart the worker when code changes.

    The server of REDIS_URL is used where that is set; otherwise one is started that keeps its data in .jobs/.
    """
    from jobs_core.server import EmbeddedServer
    from jobs_core.settings import DashboardSettings, WorkerSettings, mask_url

    env = {"WORKER_SHUTDOWN_GRACE": _WORKER_GRACE, **_without_blanks(os.environ), "WORKER_TYPE": "all"}
    settings = WorkerSettings.from_env(env)
    for package, extra in (("jobs_worker", "worker"), ("jobs_dashboard", "dashboard")):
        if find_spec(package) is None:
            return lacks(extra)
    commands = [_found(command) for command in with_ or ()]
    dashboard = DashboardSettings.from_env(env)
    host, sign_in = dashboard.host, ""
    tokens = (dashboard.token, dashboard.operator_token, dashboard.viewer_token)
    if not (any(tokens) or dashboard.oidc_issuer or dashboard.proxy_header):
        # With a token of this run the pages can change things, and nobody else can.
        env["DASHBOARD_TOKEN"] = token = secrets.token_urlsafe(24)
        sign_in = f"#token={token}"
    env.setdefault("DASHBOARD_PORT", _DASHBOARD_PORT if _is_free(int(_DASHBOARD_PORT)) else str(_free_port()))
    shown = f"[{host}]" if ":" in host else host
    # Links of reports lead to this dashboard, unless they are to lead elsewhere.
    env.setdefault("DOWNLOAD_SECRET", secrets.token_urlsafe(24))
    env.setdefault("DOWNLOAD_URL", f"http://{shown}:{env['DASHBOARD_PORT']}/download")
    server: EmbeddedServer | None = None
    if not {"REDIS_URL", "REDIS_HOST", "REDIS_PORT"} & env.keys():
        server = EmbeddedServer(port=_SERVER_PORT if _is_free(_SERVER_PORT) else 0, data_dir=_DATA).start()
        env["REDIS_URL"] = server.url
    try:
        url = server.url if server else mask_url(settings.redis_url)
        print(f"server     {url}{f', data in {_DATA}/' if server else ''}")
        print(f"dashboard  http://{shown}:{env['DASHBOARD_PORT']}/{sign_in}")
        if server:
            print(f"\nIn other terminals:\n  export REDIS_URL={url}")
        print("\nCtrl-C stops it all.\n", flush=True)
        return asyncio.run(_Development(env, settings, commands, server, reload=not no_reload).run())
    finally:
        if server is not None:
            server.stop()


class _Stop(msgspec.Struct, frozen=True):
    """We were told to stop."""

    code: int


class _Ended(msgspec.Struct, frozen=True):
    """A child ended by itself."""

    child: Child
    code: int


class _Changed(msgspec.Struct, frozen=True):
    """Files changed."""

    paths: Sequence[Path]


class _Development:
    """The programs between their start and the end of them all."""

    def __init__(
        self,
        env: Mapping[str, str],
        settings: WorkerSettings,
        commands: Sequence[Sequence[str]],
        server: EmbeddedServer | None,
        *,
        reload: bool,
    ) -> None:
        from jobs_cli.children import Child
        from jobs_core.settings import FeatureSettings

        self._events: asyncio.Queue[_Stop | _Ended | _Changed] = asyncio.Queue()
        self._server = server
        self._reload = reload
        self._told = False
        packages = (*(settings.features or ()), *(settings.processors or ()))
        files = FeatureSettings.from_env(env).files_url.removeprefix("file://")
        self._written = () if "://" in files else (Path(files).resolve(),)
        self._packages = [package for package in packages if package != "builtin"]

        def child(name: str, command: Sequence[str], grace: float = _GRACE) -> Child:
            return Child(name, command, env, grace=grace, on_end=self._ended)

        # In the order in which they are stopped.
        worker = child("the worker", _ours("worker"), settings.shutdown_grace + _MARGIN)
        self._restarted = [worker, *(child(shlex.join(command), command) for command in commands)]
        self._children = [*self._restarted, child("the dashboard", _ours("dashboard"))]

    async def run(self) -> int:
        """Run until a signal, or the end of a program, ends it. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        helpers = [loop.create_task(self._watch_server())]
        if self._reload:
            helpers.append(loop.create_task(self._watch_files()))
        try:
            for child in self._children:
                await child.start()
            return await self._until_end()
        except OSError as error:
            print(f"jobs dev: a program cannot be started: {error}", file=sys.stderr)
            return FAILED
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            worker, *others = self._children
            await worker.stop()
            await asyncio.gather(*(child.stop() for child in others))

    async def _until_end(self) -> int:
        while True:
            match await self._events.get():
                case _Stop(code):
                    return code
                case _Ended(child, code):
                    print(f"jobs dev: {child.name} ended with exit code {code}", file=sys.stderr)
                    # What a change broke, another one mends; what never ran would not.
                    if not (self._reload and child.restarts):
                        return code if code > 0 else FAILED
                    print("jobs dev: waiting for a change", file=sys.stderr)
                case _Changed(paths):
                    await self._restart(paths)

    async def _restart(self, paths: Sequence[Path]) -> None:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        with suppress(ValueError):
            paths = [paths[0].relative_to(Path.cwd())]
        print(f"jobs dev: {paths[0]}{more} changed, restarting", file=sys.stderr)
        await asyncio.gather(*(child.restart() for child in self._restarted))

    async def _watch_files(self) -> None:
        from jobs_cli.sources import Sources, changes, watched

        sources = Sources(written=self._written)
        try:
            async for paths in changes(watched(Path.cwd(), self._packages), sources):
                self._events.put_nowait(_Changed(paths))
        except OSError as error:
            print(f"jobs dev: files are not watched, so nothing is restarted: {error}", file=sys.stderr)

    async def _watch_server(self) -> None:
        if self._server is None:
            return
        # Another thread waits for the process, and has no event for a loop.
        while self._server.running:  # noqa: ASYNC110 - as said
            await asyncio.sleep(_LOOK_EVERY)
        print("jobs dev: the server ended", file=sys.stderr)
        self._events.put_nowait(_Stop(FAILED))

    def _ended(self, child: Child, code: int) -> None:
        self._events.put_nowait(_Ended(child, code))

    def _signalled(self, number: signal.Signals) -> None:
        if self._told:
            for child in self._children:
                child.hurry()
        self._told = True
        self._events.put_nowait(_Stop(_INTERRUPTED if number == signal.SIGINT else DONE))


def _without_blanks(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set: a blank one counts as unset."""
    return {name: value for name, value in env.items() if value.strip()}


def _ours(command: str) -> list[str]:
    safe = ["-P"] if sys.flags.safe_path else []
    return [sys.executable, *safe, "-m", "jobs_cli", command]


def _found(command: str) -> list[str]:
    """Return the words of a command with the path of its program. Raises ConfigurationError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"--with {command!r} cannot be read: {error}.") from None
    # Programs of our environment are found though it is not active.
    path = os.pathsep.join([*os.get_exec_path(), str(Path(sys.executable).parent)])
    program = shutil.which(words[0], path=path) if words else None
    if program is None:
        raise ConfigurationError(f"--with {command!r}: there is no such program on PATH.")
    return [str(Path(program).absolute()), *words[1:]]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
