from tests.support.engine import Engine, group

from jobs_core.measures import measure_items, parse_histograms
from jobs_core.scripts import Group


async def test_histograms_of_several_queues_are_read_by_the_order_of_their_names(engine: Engine) -> None:
    for name in ("send@1", "a@1"):
        await engine.add(name, name=name)
        measured = Group("measure", name, measure_items([1, 2], [3, 4]))
        await engine.settle(group("complete", *(await engine.claim()).jobs), measured)
        await engine.advance(1)
    found = await engine.scripts.durations([engine.queue, "nobody"])
    assert found["nobody"] == {}
    told = {name: parse_histograms(packed) for name, packed in found[engine.queue].items()}
    assert [*told] == ["send@1", "a@1"]
    assert [(run.total, run.sum_us, wait.sum_us) for run, wait in told.values()] == [(2, 3, 7)] * 2
