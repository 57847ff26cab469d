"""Commands that tell workers what to do, on a worker that is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from tests.support.shop import shop
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, write_package

if TYPE_CHECKING:
    from conftest import Jobs


def test_a_worker_is_told_what_to_do(jobs: Jobs, tmp_path: Path) -> None:
    write_package(tmp_path, "shop", shop(mail="concurrency=1"))
    with WorkerProcess(
        url=jobs.url, prefix=jobs.prefix, path=tmp_path, package="shop", WORKER_HTTP_PORT="0"
    ) as worker:
        worker.ready()
        (known,) = cast("list[dict[str, str]]", wait_until(lambda: jobs("workers", "list", "--json").json))
        name = known["id"]
        assert jobs("workers", "quiet", name, "--reason", "deploy").out == f"{name} is quiet\n"
        assert jobs("workers", "resume", name, "--json").json == {"worker": name, "state": "running"}
        assert jobs("workers", "concurrency", name, "mail", "5").out == f"{name} is running\n"
        refused = jobs("workers", "concurrency", name, "other", "5")
        assert (refused.code, "does not serve queue 'other'" in refused.err) == (2, True)
        shown = jobs("workers", "stacks", name).out
        assert shown.startswith(f"child {worker.child}:\n")
        assert "Thread" in shown
        assert jobs("workers", "stop", name).out == f"{name} is stopping\n"
        assert worker.wait() == 0
    gone = jobs("workers", "stop", name)
    assert (gone.code, name in gone.err) == (3, True)
    assert "deploy" in jobs("audit").out


def test_a_number_of_children_is_set_listed_and_released(jobs: Jobs) -> None:
    jobs.add("mail", "a")
    assert jobs("workers", "scale").out == "no queue has a number of its own\n"
    assert jobs("workers", "scale", "mail", "4").code == 0
    assert jobs("workers", "scale", "--json").json == [{"queue": "mail", "number": 4}]
    assert jobs("workers", "scale").out.split() == ["QUEUE", "NUMBER", "mail", "4"]
    assert jobs("workers", "scale", "mail", "auto", "--json").json == {
        "queue": "mail",
        "number": None,
        "changed": True,
    }
    assert "had no number" in jobs("workers", "scale", "mail", "auto").out
    assert jobs("workers", "scale", "mail", "many").code == 2
    assert jobs("workers", "scale", "mail").code == 2
    assert jobs("workers", "scale", "mial", "1").code == 2


def test_the_scale_signal_is_told(jobs: Jobs) -> None:
    jobs.add("mail", "a", "b")
    ran = jobs("scaler", "light")
    assert ran.out.splitlines()[-1].startswith("light: 1 workers wanted, 0 run; oldest waiting ")
    ran = jobs("scaler", "light", "--within", "10m", "--json")
    assert isinstance(ran.json, dict)
    assert (ran.json["replicas"], ran.json["waiting"]) == (1, 2)
    assert jobs("scaler", "fat").code == 2
