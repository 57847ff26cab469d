from tests.support.engine import Engine


async def test_progress_is_written_over(engine: Engine) -> None:
    await engine.add("a", "b")
    a, b = (await engine.claim()).jobs
    write = engine.scripts.progress
    assert await write(engine.queue, owner="w1", items=["a", a.fence, b"1", "b", b.fence, b"2"]) == b"11"
    assert await write(engine.queue, owner="w1", items=["a", a.fence, b"3"]) == b"1"
    assert await engine.hash("progress") == {"a": b"3", "b": b"2"}


async def test_a_stale_fence_is_refused(engine: Engine) -> None:
    await engine.add("a")
    (old,) = (await engine.claim()).jobs
    await engine.scripts.release(engine.queue, owner="w1")
    (new,) = (await engine.claim(owner="w2")).jobs
    for owner, fence in (("w1", old.fence), ("w2", old.fence), ("w1", new.fence), ("w3", new.fence)):
        assert await engine.scripts.progress(engine.queue, owner=owner, items=["a", fence, b"1"]) == b"0"
    assert await engine.hash("progress") == {}
