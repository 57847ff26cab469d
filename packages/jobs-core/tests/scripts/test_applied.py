"""A source asks whether what it sent is still known."""

from collections.abc import Sequence

from tests.support.engine import Engine


async def test_what_was_applied_is_known_by_all_its_parts(engine: Engine) -> None:
    async def apply(entry: int, part: int = 0, mark: int = 0) -> None:
        await engine.scripts.apply(
            engine.queue, source="src", epoch="1", entry=entry, part=part, mark=mark, effects=[]
        )

    async def known(*entries: tuple[int, int], source: str = "src", epoch: str = "1") -> Sequence[bool]:
        return await engine.scripts.applied(engine.queue, source=source, epoch=epoch, entries=entries)

    assert await known() == []
    assert await known((5, 1)) == [False]
    await apply(5)
    await apply(6, 0)
    await apply(6, 1)
    assert await known((5, 1), (6, 2), (6, 3), (7, 1)) == [True, True, False, False]
    assert await known((5, 1), source="other") == await known((5, 1), epoch="2") == [False]
    # What its outbox has no more was applied, and is not remembered one by one.
    await apply(9, mark=8)
    assert await known((5, 1), (6, 3), (7, 1), (8, 1), (9, 1)) == [True, True, True, False, True]
