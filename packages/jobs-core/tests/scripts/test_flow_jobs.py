"""What a flow knows of its jobs, page by page."""

from tests.support.flowing import Flowing


async def test_pages_are_of_ordinals(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.fill(100)
    await flowing.fill(50, chunk="2")
    await flowing.settle_all()
    await flowing.run(1)
    page = await flowing.home.scripts.flow_jobs("mail", flow_id="f")
    assert (page.total, page.next, len(page.jobs)) == (150, 128, 128)
    assert [job.ended for job in page.jobs[:3]] == [True, False, False]
    rest = await flowing.home.scripts.flow_jobs("mail", flow_id="f", from_=128)
    assert (rest.next, len(rest.jobs)) == (None, 22)
    assert (await flowing.home.scripts.flow_jobs("mail", flow_id="nobody")).total == 0
