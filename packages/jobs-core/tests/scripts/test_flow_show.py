"""What is told of a flow, and to whom it is told when it ends."""

from tests.support.flowing import Flowing
from tests.support.wakes import Wakes


async def test_nothing_is_told_of_what_is_not_there(flowing: Flowing) -> None:
    assert ((await flowing.told()).kind, await flowing.home.hash("waiters")) == ("", {})


async def test_who_awaits_it_hears_of_its_end(flowing: Flowing, wakes: Wakes) -> None:
    await flowing.open()
    await wakes.listen_inbox("me")
    await flowing.home.scripts.flow_show("mail", inbox="me", flow_id="f")
    await flowing.close()
    assert await wakes.heard() == ["me: completed \x01f"]
    assert await flowing.home.hash("waiters") == {}
