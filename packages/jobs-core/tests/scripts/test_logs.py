from tests.support.engine import Engine


async def test_nothing_is_known_of_a_job_that_logged_nothing(engine: Engine) -> None:
    found = await engine.scripts.logs(engine.queue, job_id="a", after="1-0", count=1)
    assert (found.kept, found.dropped, found.lines) == (0, 0, [])
