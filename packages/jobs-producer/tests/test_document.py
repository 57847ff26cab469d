"""What docs/producer.md shows runs as it stands there."""

import ast
import asyncio
import importlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from textwrap import indent
from types import ModuleType

import pytest
from starlette.testclient import TestClient
from tests.support.documents import ROOT, Block, blocks, files_of
from tests.support.mail import Settler

from jobs_core.scripts import Scripts
from jobs_producer import Producer

PAGE = ROOT / "docs/producer.md"
START = ROOT / "docs/getting-started.md"
FILES = files_of(PAGE)
FRAGMENTS = [block for block in blocks(PAGE, "python") if block.text not in FILES.values()]


@pytest.fixture
def shop(tmp_path: Path, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder with the files of the page, which may be imported, and set the environment."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("JOBS_PREFIX", prefix)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    queue = "shop/invoices/queue.py"
    for name, text in {**FILES, queue: files_of(START)[queue]}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"shop", "service", "flask_app"}:
            del sys.modules[name]


@pytest.fixture
async def worker(shop: Path, scripts: Scripts) -> AsyncIterator[None]:
    """Complete the jobs that come."""
    settler = Settler(scripts, "invoices")

    async def work() -> None:
        while True:
            await settler.complete(result=b'{"number":7,"total":50.0}')
            await asyncio.sleep(0.02)

    task = asyncio.create_task(work())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_page_has_files_and_fragments() -> None:
    assert FILES.keys() == {"send.py", "service.py", "flask_app.py", "shop/jobs.py", "shop/views.py"}
    assert len(FRAGMENTS) >= 10


async def run(block: Block, names: dict[str, object]) -> dict[str, object]:
    """Run a block as if it stood in a function, and return its variables."""
    tree = ast.parse(f"async def block():\n{indent(block.text, '    ')}\n    return locals()")
    exec(compile(tree, f"{PAGE.name}:{block.line}", "exec"), names)
    return await names["block"]()  # pyright: ignore[reportCallIssue, reportUnknownVariableType, reportGeneralTypeIssues]


def _say_nothing(*_: object) -> None:
    pass


@pytest.mark.usefixtures("worker")
async def test_fragments_run_one_after_the_other(redis_url: str, prefix: str) -> None:
    names: dict[str, object] = dict(vars(importlib.import_module("shop.invoices.queue")))
    names["print"] = _say_nothing
    order = importlib.import_module("shop.invoices.queue").Order(number=7, amounts=[19.5, 30.5])
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        for block in FRAGMENTS:
            names |= {"producer": producer, "order": order}
            # A hundred thousand are for readers.
            shown = block._replace(text=block.text.replace("100_000", "300"))
            names |= await run(shown, names)
            if "delay=" in block.text:
                # The blocks that follow wait for it.
                names["job"] = await producer.enqueue(names["RENDER_INVOICE"], order)  # pyright: ignore[reportArgumentType, reportUnknownVariableType]


@pytest.mark.usefixtures("worker")
async def test_the_program_runs(shop: Path, redis_url: str, prefix: str) -> None:
    environment = {**os.environ, "REDIS_URL": redis_url, "JOBS_PREFIX": prefix}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "send.py"],
        cwd=shop,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (0, "Invoice(number=7, total=50.0)\n")


@pytest.mark.usefixtures("shop")
def test_the_asyncio_service_runs() -> None:
    service = importlib.import_module("service")
    with TestClient(service.app) as client:
        response = client.post("/invoices/7")
    assert (response.status_code, len(response.json()["id"])) == (202, 24)


@pytest.mark.usefixtures("shop")
def test_the_flask_application_runs() -> None:
    pytest.importorskip("flask", reason="flask is not installed")
    application = importlib.import_module("flask_app")
    client = application.app.test_client()
    response = client.post("/invoices/7")
    assert response.status_code == 202
    assert client.get(f"/invoices/{response.get_json()['id']}").get_json() == {"state": "waiting"}
    application.producer.close()


@pytest.mark.usefixtures("shop")
def test_the_django_view_runs() -> None:
    django = pytest.importorskip("django", reason="django is not installed")
    settings = importlib.import_module("django.conf").settings
    if not settings.configured:
        engine = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        settings.configure(DATABASES={"default": engine})
        django.setup()
    views: ModuleType = importlib.import_module("shop.views")
    request = importlib.import_module("django.test").RequestFactory().post("/invoices/7")
    assert views.render(request, 7).status_code == 202
    assert views.producer.status("invoices", "invoice-7").state == "waiting"
    views.producer.close()
