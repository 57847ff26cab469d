from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.waiting import WITHIN, wait_until

import jobs_worker.main
from jobs_cli import main, session
from jobs_core.settings import DashboardSettings, WorkerSettings

if TYPE_CHECKING:
    from conftest import Jobs

PROGRAM = Path(sys.executable).with_name("jobs")


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_is_there_and_explains_itself(jobs: Jobs, command: str) -> None:
    module, _, function = main.COMMANDS[command].partition(":")
    assert getattr(import_module(f"jobs_cli.commands.{module}"), function).__doc__
    ran = jobs(*command.split(), "--help")
    assert ran.code == 0
    assert f"Usage: jobs {command}" in ran.out
    assert f"  {command} " in jobs("--help").out


def test_help_imports_nothing_it_does_not_need() -> None:
    code = "import sys; from jobs_cli.main import run; run(['--help']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in out.splitlines()[-1].split()}
    assert not loaded & {"asyncio", "cyclopts", "msgspec", "redis", "rich"}


def test_version(jobs: Jobs) -> None:
    assert jobs("--version").out == "jobs 0.1.0\n"
    assert jobs("workers").out == jobs("workers", "--help").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["queus"], "`jobs queues`"),
        (["workers", "lst"], "`jobs workers list`"),
        (["stats", "a", "b"], "jobs stats:"),
        (["list", "mail", "--limit", "x"], "--limit"),
        (["queues", "--jsn"], "--jsn"),
        (["--json"], "--json"),
    ],
)
def test_wrong_usage_exits_with_2(jobs: Jobs, arguments: list[str], told: str) -> None:
    ran = jobs(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["queues"],
        ["doctor", "--json"],
        ["enqueue", "email", "send-email", '{"to":"a@b.c","template":"welcome"}'],
    ],
)
def test_an_unreachable_server_exits_with_4(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(session, "CONNECT_TIMEOUT", 0.1)
    monkeypatch.setattr("jobs_cli.commands.enqueue.CONNECT_TIMEOUT", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("REDIS_URL", f"redis://ada:secret@127.0.0.1:{taken.getsockname()[1]}/0")
        ran = jobs(*arguments)
    assert (ran.code, ran.out) == (4, "")
    assert "Cannot reach the server at redis://127.0.0.1" in ran.err
    assert "secret" not in ran.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REDIS_URL", "http://x"), ("JOBS_PREFIX", "a{b}"), ("REDIS_URL", "redis://h:p0rt")],
)
def test_a_wrong_variable_exits_with_2_and_its_name(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    ran = jobs("queues")
    assert (ran.code, ran.out) == (2, "")
    assert variable in ran.err


@pytest.mark.parametrize("program", ["worker", "dashboard"])
def test_a_wrong_variable_of_a_feature_stops_a_program_at_its_start(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setenv("DOWNLOAD_SECRET", "too-short")
    ran = jobs(program)
    told = ran.err + ran.out
    assert (ran.code, "DOWNLOAD_SECRET" in told, "at least 16 characters" in told) == (2, True, True)
    assert "too-short" not in told


def test_a_refused_password_exits_with_2(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://nobody:secret@{jobs.url.removeprefix('unix://')}")
    ran = jobs("queues")
    assert ran.code == 2
    assert "secret" not in ran.err


def test_the_program_prints_one_document_and_no_traceback(jobs: Jobs) -> None:
    jobs.add("mail", "1")
    ran = jobs.program("queues", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert isinstance(ran.json, list)
    ran = jobs.program("show", "mail", "none", "--json")
    assert (ran.code, ran.out) == (3, "")
    assert "Traceback" not in ran.err


def test_ctrl_c_exits_with_130(jobs: Jobs) -> None:
    payload = '{"to":"ada@example.com","template":"welcome"}'
    arguments = [PROGRAM, "enqueue", "email", "send-email", payload, "--wait"]
    waiting = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: jobs("queues", "--json").json)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=WITHIN)
    assert (waiting.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_reader_that_has_enough_ends_the_program_quietly(jobs: Jobs) -> None:
    for start in range(0, 2000, 500):
        jobs.add("mail", *(f"{number:05}" for number in range(start, start + 500)))
    listing = subprocess.Popen(
        [PROGRAM, "list", "mail", "--limit", "500", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listing.stdout is not None
    listing.stdout.close()
    assert listing.stderr is not None
    assert listing.stderr.read() == b""
    listing.stderr.close()
    assert listing.wait(timeout=WITHIN) == 141


def test_a_terminal_gets_a_table(jobs: Jobs) -> None:
    jobs.add("mail", "1")
    ours, theirs = pty.openpty()
    with subprocess.Popen([PROGRAM, "queues"], stdout=theirs, env={**os.environ, "COLUMNS": "120"}) as shown:
        os.close(theirs)
        text = b""
        # The other end of a pseudo-terminal says by an error that it was closed.
        with suppress(OSError):
            while chunk := os.read(ours, 4096):
                text += chunk
    os.close(ours)
    assert shown.returncode == 0
    assert b"\x1b[1mqueue" in text
    assert b"mail" in text


def test_worker_flags_win_over_variables_and_change_none(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[WorkerSettings] = []

    def run(settings: WorkerSettings) -> int:
        got.append(settings)
        return 7

    monkeypatch.setattr(jobs_worker.main, "run", run)
    monkeypatch.setenv("WORKER_TYPE", "light")
    monkeypatch.setenv("WORKER_CONCURRENCY", "4")
    before = dict(os.environ)
    assert jobs("worker", "--type", "heavy", "--queues", "images", "--http-port", "0").code == 7
    assert os.environ == before
    assert (got[0].weights, got[0].queues, got[0].concurrency) == (("heavy",), ("images",), 4)
    assert (got[0].http_port, got[0].http_port_given) == (0, True)


def test_a_wrong_flag_is_told_by_its_own_name(jobs: Jobs) -> None:
    ran = jobs("worker", "--concurrency", "many")
    assert ran.code == 2
    assert "--concurrency='many'" in ran.err
    assert "--port" in jobs("dashboard", "--port", "x").err


def test_dashboard_takes_host_and_port(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[DashboardSettings] = []
    monkeypatch.setattr("jobs_dashboard.main.run", lambda settings: got.append(settings) or 0)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert jobs("dashboard", "--host", "::1", "--port", "0").code == 0
    assert (got[0].host, got[0].port) == ("::1", 0)


@pytest.mark.parametrize("command", ["worker", "dashboard"])
def test_a_program_that_is_not_installed_says_what_to_install(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, f"jobs_{command}.main", None)
    ran = jobs(command)
    assert ran.code == 2
    assert f"jobs-cli[{command}]" in ran.err


@pytest.mark.parametrize(
    "program", [[PROGRAM], [PROGRAM.with_name("jobsctl")], [sys.executable, "-P", "-m", "jobs_cli"]]
)
def test_the_command_has_names_that_no_shell_takes(program: list[str | Path]) -> None:
    done = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True, timeout=WITHIN)
    assert done.stdout.startswith("Usage: jobs")
    assert "`jobsctl …`" in done.stdout


@pytest.mark.parametrize(("safe", "told"), [("", "shop/queue.py"), ("1", "no such Python package")])
def test_packages_of_the_current_folder_are_found(tmp_path: Path, safe: str, told: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/queue.py").write_text("raise RuntimeError('imported')")
    done = subprocess.run(
        [PROGRAM, "enqueue", "orders", "pack"],
        cwd=tmp_path,
        env={**os.environ, "JOBS_FEATURES": "shop", "PYTHONSAFEPATH": safe},
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN,
    )
    assert done.returncode == 2
    assert told in done.stderr
