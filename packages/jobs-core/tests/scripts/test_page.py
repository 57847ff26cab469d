import pytest
from tests.support.engine import Engine


async def walk(engine: Engine, *, newest: bool = False, limit: int = 3, name: str = "") -> list[str]:
    seen: list[str] = []
    score = job_id = ""
    while True:
        page = await engine.scripts.page(
            engine.queue, home="waiting", newest=newest, score=score, job_id=job_id, limit=limit, name=name
        )
        seen += page.ids
        score, job_id = page.score, page.id
        if not score:
            return seen


@pytest.mark.parametrize("newest", [False, True])
async def test_pages_follow_one_another(engine: Engine, newest: bool) -> None:  # noqa: FBT001
    ids = [f"j{i}" for i in range(10)]
    await engine.add(*ids)
    assert await walk(engine, newest=newest) == (ids[::-1] if newest else ids)


async def test_only_jobs_of_a_name(engine: Engine) -> None:
    for i in range(40):
        await engine.add(f"a{i:02}", name="a@1")
        await engine.add(f"b{i:02}", name=f"b@{i % 2}")
    assert await walk(engine, name="b", limit=7) == [f"b{i:02}" for i in range(40)]
    assert await walk(engine, name="b@1", limit=50) == [f"b{i:02}" for i in range(1, 40, 2)]


async def test_a_page_goes_on_where_a_job_has_left(engine: Engine) -> None:
    await engine.add(*"abcdef")
    page = await engine.scripts.page(engine.queue, home="waiting", newest=False, limit=2)
    await engine.scripts.remove(engine.queue, ids=["b"])
    page = await engine.scripts.page(
        engine.queue, home="waiting", newest=False, score=page.score, job_id=page.id, limit=2
    )
    assert page.ids == ["c", "d"]


@pytest.mark.parametrize("newest", [True, False])
async def test_a_page_goes_on_within_an_instant(engine: Engine, *, newest: bool) -> None:
    await engine.add("earlier")
    await engine.advance(1)
    ids = ["A", "B", "C", "Z", "_", "a", "aa", "b", "é"]
    await engine.add(*ids)
    seen: list[str] = []
    score = job_id = ""
    while True:
        page = await engine.scripts.page(
            engine.queue, home="waiting", newest=newest, score=score, job_id=job_id, limit=1
        )
        seen += page.ids
        await engine.scripts.remove(engine.queue, ids=page.ids)
        if not page.score:
            break
        score, job_id = page.score, page.id
    assert seen == (["earlier", *ids] if not newest else [*ids[::-1], "earlier"])


async def test_some_can_be_skipped(engine: Engine) -> None:
    await engine.add(*"abc")
    page = await engine.scripts.page(engine.queue, home="waiting", newest=False, skip=2, limit=5)
    assert (page.ids, page.skipped, page.score) == (["c"], 2, "")
    page = await engine.scripts.page(engine.queue, home="waiting", newest=False, skip=9, limit=5)
    assert (page.ids, page.skipped) == ([], 3)
