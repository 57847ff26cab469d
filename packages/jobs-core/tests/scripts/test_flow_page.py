"""Flows of a queue, the newest first."""

from tests.support.flowing import Flowing


async def test_those_that_go_on_and_those_that_ended(flowing: Flowing) -> None:
    for name in ("one", "two", "three"):
        await flowing.open(name)
        await flowing.home.advance(1)
    await flowing.close("two")
    scripts = flowing.home.scripts
    total, live = await scripts.flow_page("mail", which="live")
    assert (total, [each for each, _ in live]) == (2, ["three", "one"])
    assert (await scripts.flow_page("mail", which="live", before=str(live[0][1])))[1] == live[1:]
    assert [each for each, _ in (await scripts.flow_page("mail", which="ended"))[1]] == ["two"]


async def test_those_that_ended_are_forgotten_after_a_week(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.close()
    await flowing.home.advance(7 * 86_400 + 1)
    await flowing.home.scripts.trim("mail")
    assert (
        (await flowing.told()).kind,
        (await flowing.home.scripts.flow_page("mail", which="ended"))[0],
    ) == ("", 0)
