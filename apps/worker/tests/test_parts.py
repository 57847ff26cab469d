"""A very large job in parts, as the page on flows shows it."""

from pathlib import Path
from typing import Any

from tests.support.documents import ROOT, blocks
from tests.support.runtime import Run
from tests.support.waiting import until


def example(name: str) -> dict[str, Any]:
    """Run the example of the page that declares a name, and return all its names."""
    (text,) = [
        block.text for block in blocks(ROOT / "docs/flows.md", "python") if f"\n{name} = " in block.text
    ]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(text, "flows.md", "exec"), names)
    return names


async def test_the_parts_of_a_very_large_job_run_for_themselves(run: Run, tmp_path: Path) -> None:
    names = example("COUNT_SPAN")
    names["PART"] = 100
    large, empty = tmp_path / "large", tmp_path / "empty"
    large.write_text("a line\n" * 100)
    empty.touch()
    async with run(names["count_lines"], names["count_span"]) as place:
        job = await place.producer.enqueue(names["COUNT_LINES"], str(large))
        assert await job.result(40) == 100
        assert await (await place.producer.enqueue(names["COUNT_LINES"], str(empty))).result(40) == 0
        # Seven parts, the job before and after them, and the one of the empty file.
        await until(lambda: place.lane("files").stats.completed == 7 + 1 + 1)
        assert place.lane("files").stats.set_aside == 1
        assert (await job.status()).attempts_made == 1
