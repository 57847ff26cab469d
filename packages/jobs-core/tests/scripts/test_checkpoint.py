from tests.support.engine import Engine, group


async def test_a_checkpoint_is_written_over_and_seen_until_the_job_ends(engine: Engine) -> None:
    await engine.add("a", "b")
    a, b = (await engine.claim()).jobs
    write = engine.scripts.checkpoint
    assert await write(engine.queue, owner="w1", items=["a", a.fence, b"1", "b", b.fence, b"2"]) == b"11"
    assert await write(engine.queue, owner="w1", items=["a", a.fence, b"3"]) == b"1"
    await engine.settle(group("retry", a, arg=0), group("complete", b))
    assert await engine.hash("checkpoint") == {"a": b"3"}
    (a,) = (await engine.claim()).jobs
    await engine.settle(group("fail", a, keep_count=-1))
    assert await engine.hash("checkpoint") == {}
    assert await engine.state("a") == "failed"


async def test_a_stale_fence_is_refused(engine: Engine) -> None:
    await engine.add("a")
    (old,) = (await engine.claim()).jobs
    await engine.scripts.release(engine.queue, owner="w1")
    (new,) = (await engine.claim(owner="w2")).jobs
    for owner, fence in (("w1", old.fence), ("w2", old.fence), ("w1", new.fence), ("w3", new.fence)):
        assert await engine.scripts.checkpoint(engine.queue, owner=owner, items=["a", fence, b"1"]) == b"0"
    assert await engine.hash("checkpoint") == {}
