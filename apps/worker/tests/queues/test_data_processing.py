"""Large files, mapped and reduced in parts: compared with what plain Python makes of them."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path

import duckdb
import pytest
from tests.support.dying_parts import dying_part
from tests.support.runtime import InProcess, Run
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_core.errors import JobFailed
from jobs_core.queues.data_processing import (
    DATA_PROCESSING,
    MAP_FILE,
    PROCESS_PART,
    REDUCE_FILE,
    TIDY_PARTS,
    Condition,
    FilePart,
    MapFile,
    Measure,
    ReducedFile,
    ReduceFile,
    TidyParts,
)
from jobs_worker import Fail, JobContext
from jobs_worker.processors import marks_of
from jobs_worker.queues.data_processing.processor import map_file, process_part, reduce_file, tidy_parts
from jobs_worker.queues.data_processing.splitting import copy_records, read_header, split_csv

HANDLERS = (map_file, reduce_file, process_part, tidy_parts)
ROWS = 200_000
PART = 1 << 20
MEASURES = (
    Measure(op="count"),
    Measure(op="sum", column="amount"),
    Measure(op="min", column="amount", name="least"),
    Measure(op="mean", column="amount"),
    Measure(op="sum", column="id"),
)
TYPES = {"amount": "decimal(2)", "id": "integer"}


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[tuple[int, Decimal]]]]:
    """Write sales with notes that have commas, quotation marks and line breaks; and return them by shop."""
    folder = tmp_path_factory.mktemp("files")
    by_shop: dict[str, list[tuple[int, Decimal]]] = defaultdict(list)
    made = random.Random(7)
    with (folder / "sales.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "shop", "amount", "note"])
        for number in range(ROWS):
            shop, amount = f"s{made.randrange(5)}", Decimal(made.randrange(-9999, 99999)) / 100
            by_shop[shop].append((number, amount))
            note = f'he said "{number}"\r\nand left,\nat once' if number % 3 == 0 else "-"
            rows.writerow([number, shop, amount, note])
    return folder, dict(sorted(by_shop.items()))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, sales: tuple[Path, object]) -> Path:
    monkeypatch.setenv("FILES_URL", str(sales[0]))
    return sales[0]


def check_sums(result: ReducedFile, by_shop: dict[str, list[tuple[int, Decimal]]]) -> None:
    assert (result.groups, result.rows) == (len(by_shop), ROWS)
    assert result.columns == ["shop", "count", "sum_amount", "least", "mean_amount", "sum_id"]
    for row, (shop, its) in zip(result.first, by_shop.items(), strict=True):
        amounts = [amount for _, amount in its]
        assert row == {
            "shop": shop,
            "count": len(its),
            "sum_amount": str(sum(amounts)),
            "least": str(min(amounts)),
            "mean_amount": pytest.approx(float(sum(amounts)) / len(its)),
            "sum_id": sum(number for number, _ in its),
        }


async def total(place: InProcess, what: str) -> int:
    return (await place.scripts.tally(["data-processing"]))["data-processing"].totals.get(what, 0)


async def test_groups_of_a_large_csv_though_a_worker_dies(
    run: Run, folder: Path, sales: tuple[Path, dict[str, list[tuple[int, Decimal]]]]
) -> None:
    task = ReduceFile(
        source="sales.csv",
        group_by=["shop"],
        measures=MEASURES,
        types=TYPES,
        part_bytes=PART,
        output="by-shop.csv",
    )
    async with run(map_file, reduce_file, dying_part, tidy_parts) as place:
        job = await place.producer.enqueue(REDUCE_FILE, task)
        result = await job.result(120)
        assert result.parts > 5
        check_sums(result, sales[1])
        # One part ran twice, and wrote twice.
        assert await total(place, "retried:part@1") == 1
        with (folder / "by-shop.csv").open(newline="", encoding="utf-8") as file:
            written = list(csv.DictReader(file))
        assert [row["sum_amount"] for row in written] == [row["sum_amount"] for row in result.first]
        await until(lambda: not list((folder / "data/parts").rglob("*.*")))


async def test_rows_are_chosen_converted_and_stay_in_order(run: Run, folder: Path) -> None:
    task = MapFile(
        source="sales.csv",
        output="out/some.parquet",
        columns=["id", "note", "amount"],
        rename={"amount": "price"},
        types=TYPES,
        where=[
            Condition(column="amount", op="lt", value=0),
            Condition(column="shop", op="in", value=["s1", "s2"]),
        ],
        part_bytes=PART,
    )
    async with run(*HANDLERS) as place:
        mapped = await (await place.producer.enqueue(MAP_FILE, task)).result(120)
        with (folder / "sales.csv").open(newline="", encoding="utf-8") as file:
            expected = [
                (int(row["id"]), row["note"], Decimal(row["amount"]))
                for row in csv.DictReader(file)
                if row["shop"] in {"s1", "s2"} and Decimal(row["amount"]) < 0
            ]
        assert (mapped.columns, mapped.rows) == (["id", "note", "price"], len(expected))
        found = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(folder / "out/some.parquet")])
        assert found.fetchall() == expected
        # A Parquet file is split by its row groups.
        with duckdb.connect() as other:
            other.execute(
                f"COPY (SELECT range AS n, range % 3 AS k FROM range(50000)) TO '{folder}/n.parquet' (ROW_GROUP_SIZE 2048)"
            )
        again = ReduceFile(
            source="n.parquet",
            group_by=["k"],
            measures=[Measure(op="sum", column="n"), Measure(op="max", column="n")],
            part_bytes=65_536,
        )
        reduced = await (await place.producer.enqueue(REDUCE_FILE, again)).result(120)
        assert reduced.parts > 1
        assert [tuple(row.values()) for row in reduced.first] == [
            (k, sum(range(k, 50000, 3)), max(range(k, 50000, 3))) for k in range(3)
        ]


async def test_a_part_that_failed_is_done_again_when_the_job_is_retried(
    run: Run, folder: Path, redis_url: str, prefix: str
) -> None:
    lines = [f"{number}\n" for number in range(40_000)]
    lines[39_000] = "many\n"
    path = folder / "n.csv"
    path.write_text("n\n" + "".join(lines))
    task = ReduceFile(
        source="n.csv", measures=[Measure(op="sum", column="n")], types={"n": "integer"}, part_bytes=65_536
    )
    async with run(*HANDLERS) as place, Admin(redis_url, prefix=prefix) as admin:
        job = await place.producer.enqueue(REDUCE_FILE, task)
        with pytest.raises(
            JobFailed,
            match=r"1 of its parts did not complete: .*column 'n' holds 'many', which is no integer",
        ):
            await job.result(120)
        # As long as it was.
        lines[39_000] = "0007\n"
        path.write_text("n\n" + "".join(lines))
        ran = await total(place, "completed:part@1")
        await admin.retry("data-processing", job.id)
        reduced = await job.result(120)
        assert reduced.first == [{"sum_n": sum(range(40_000)) - 39_000 + 7}]
        assert await total(place, "completed:part@1") - ran == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "gone.csv"}, "no file 'gone.csv'"),
        ({"source": "../sales.csv"}, "leaves the folder"),
        ({"source": "sales.txt"}, "says no format"),
        ({"output": "/etc/passwd.csv"}, "is absolute"),
        ({"output": "sales.csv"}, "source itself"),
        ({"output": "out.xlsx"}, "says no format"),
        ({"group_by": ["shp"]}, "'sales.csv' has no column 'shp'; did you mean 'shop'"),
        ({"types": {}}, "sum: column 'amount' is text; say what it holds"),
        ({"types": TYPES | {"price": "float"}}, "no column 'price'"),
        ({"where": [Condition(column="shop", op="eq", value=3)]}, "column 'shop' is text"),
        ({"where": [Condition(column="id", op="eq", value="x")]}, "Could not convert string 'x'"),
        ({"measures": [Measure(op="count"), Measure(op="count")]}, "the columns 'count' and 'count'"),
        ({"source": "no.parquet"}, "no.parquet.* too small to be a Parquet file"),
        ({"source": "twins.csv"}, "'a' and 'A'"),
        (
            {"source": "stray.csv", "group_by": [], "measures": [Measure(op="count")], "types": {}},
            "a quotation mark stands",
        ),
        ({"source": "empty.csv"}, "it is empty"),
    ],
    ids=repr,
)
def test_what_will_not_do_fails_before_anything_is_read(
    folder: Path, changes: dict[str, object], reason: str
) -> None:
    for name, text in (
        ("no.parquet", "x"),
        ("twins.csv", "a,A\n"),
        ("stray.csv", 'a\n5" pipe\n'),
        ("empty.csv", ""),
    ):
        (folder / name).write_text(text)
    given = {"source": "sales.csv", "group_by": ["shop"], "measures": MEASURES, "types": TYPES} | changes
    ctx = JobContext.for_test("data-processing", "reduce")
    with pytest.raises(Fail, match=reason) as failed:
        reduce_file(ReduceFile(**given), ctx)  # pyright: ignore[reportArgumentType]
    assert str(folder) not in str(failed.value)
    assert ctx.enqueued == ()


def test_a_part_reads_and_deletes_nothing_else(folder: Path) -> None:
    ctx = JobContext.for_test("data-processing", "part")
    (folder / "plan.json").write_text(json.dumps({"size": 1, "spans": [], "columns": {}}))
    for plan in ("sales.csv", "../x", "gone.json", "plan.json"):
        with pytest.raises(Fail):
            process_part(FilePart(plan=plan, number=0), ctx)
    for kept in ("data", "data/parts/../../..", "."):
        with pytest.raises(Fail):
            tidy_parts(TidyParts(folder=kept), ctx)
    assert (folder / "sales.csv").exists()


def test_records_are_never_cut_apart() -> None:
    for seed in range(150):
        made = random.Random(seed)
        end = made.choice(["\n", "\r\n"])
        rows = [
            [
                "".join(made.choices(["a", '"', ",", "\n", "\r\n", "é", ""], k=made.randrange(6)))
                for _ in range(3)
            ]
            for _ in range(made.randrange(1, 60))
        ]
        text = StringIO(newline="")
        csv.writer(text, lineterminator=end, quoting=made.choice([0, 1])).writerows([["x", "y", "z"], *rows])
        data = text.getvalue().encode()
        file = BytesIO(data)
        header, begin = read_header(file, ",", quoted=True)
        spans = split_csv(file, begin, len(data), made.choice([1, 7, 40]), ",", quoted=True)
        parts: list[bytes] = []
        for span in spans:
            copy = BytesIO()
            copy_records(file, span, copy, quoted=True)
            parts.append(copy.getvalue())
        assert header == ["x", "y", "z"]
        assert [row for part in parts for row in csv.reader(StringIO(part.decode(), newline=""))] == rows


_PEAK = """
import resource, sys
from jobs_worker.queues.data_processing.splitting import split_csv
from jobs_worker.queues.data_processing.tables import csv_relation, tables
from jobs_worker.files import store

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

files = store()
with tables(files) as opened:
    opened.run("SELECT 1")
    before = peak()
    size = files.size("large.csv")
    with files.open("large.csv") as file:
        spans = split_csv(file, 4, size, 16 << 20, ",", quoted=True)
    print(len(spans), peak() - before)
"""


def test_a_file_is_split_in_constant_memory(folder: Path) -> None:
    block = b'12345,"a text\nof two lines"\n' * 40_000
    with (folder / "large.csv").open("wb") as file:
        file.write(b"a,b\n")
        for _ in range(96):
            file.write(block)
    size = (folder / "large.csv").stat().st_size >> 20
    done = subprocess.run([sys.executable, "-c", _PEAK], check=True, capture_output=True, text=True)
    (folder / "large.csv").unlink()
    parts, grown = map(int, done.stdout.split())
    assert size > 90
    assert parts == -(-size // 16)
    assert grown < 24


def test_the_queue_is_as_it_is_told() -> None:
    assert (DATA_PROCESSING.weight, DATA_PROCESSING.concurrency) == ("heavy", 3)
    assert {job.name for job in (MAP_FILE, REDUCE_FILE, PROCESS_PART, TIDY_PARTS)} <= set(
        DATA_PROCESSING.jobs
    )
    for handler in (map_file, reduce_file, process_part):
        (spec,) = marks_of(handler)
        assert spec.executor == "process"
