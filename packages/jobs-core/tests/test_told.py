"""What workers and scripts tell, as it is read back."""

import msgspec

from jobs_core.told import (
    Batch,
    More,
    SummaryRow,
    Told,
    pack_batches,
    pack_more,
    parse_events,
    parse_failures,
    parse_rows,
)

ROW = SummaryRow("a", "send@1", "completed", 1, 2, 3, 4, 1005, 1)
# Of two jobs that ended and one that did not.
BATCHES = pack_batches(
    "w",
    [
        Batch("completed", "send@1", ["a"], [1], [1000], [2000], [1005], [4]),
        Batch("failed", "send@1", ["b"], [2], [1000], [2000], [5], [4], ["0f"]),
        Batch("retrying", "other@1", ["c"], [3], [1000], [2000], [5], [4], ["ff"]),
    ],
)


def test_an_entry_says_where_it_begins() -> None:
    began, happened = parse_events(b"1000-0", [b"ms", b"7", b"added", b"send@1 0 \na\nb"])
    assert began == str(1000 - 64 - len("added") - len("send@1 0 \na\nb"))
    assert [(each.cursor, each.at_ms, each.told.kind, each.told.id) for each in happened] == [
        ("1000", 7, "added", "a"),
        ("1000", 7, "added", "b"),
    ]


def test_batches_are_rows_of_what_ended_and_events_of_all() -> None:
    failed = SummaryRow("b", "send@1", "failed", 1, 2, 2, 4, 5, 2, "0f")
    assert parse_rows([b"batches", BATCHES]) == [(ROW, "w"), (failed, "w")]
    more = pack_more([More("", b"{}", left_out=False), More("why", None, left_out=False), None])
    _, happened = parse_events(b"9-0", [b"ms", b"7", b"batches", BATCHES, b"more", more])
    assert [each.told for each in happened] == [
        Told("completed", "a", "send@1", 1, data=b"{}"),
        Told("failed", "b", "send@1", 2, "why"),
        Told("retrying", "c", "other@1", 3),
    ]


def test_what_was_refused_did_not_happen() -> None:
    _, happened = parse_events(b"9-0", [b"ms", b"7", b"batches", BATCHES, b"verdict", b"011"])
    assert [each.told.id for each in happened] == ["b", "c"]
    # One that was to stop ended as cancelled, which the script tells.
    assert [row.id for row, _ in parse_rows([b"batches", BATCHES, b"verdict", b"1c1"])] == ["a"]


def test_failures_are_what_the_rows_of_jobs_that_failed_tell() -> None:
    mixed = pack_batches(
        "w",
        [
            Batch("completed", "send@1", ["a"], [1], [1000], [9000], [1005], [4]),
            Batch(
                "failed",
                "send@1",
                ["b", "c", "d"],
                [2] * 3,
                [1000] * 3,
                [2000, 3000, 4000],
                [5] * 3,
                [4] * 3,
                ["0f", "ff", "0f"],
            ),
            Batch("retrying", "send@1", ["e"], [1], [1000], [99_000], [5], [4]),
        ],
    )
    told = msgspec.msgpack.encode(
        (
            "",
            [
                SummaryRow("f", "late@1", "expired", 1, 0, 7, 0, 0, 0),
                SummaryRow("g", "dead@1", "failed", 1, 0, 12, 0, 0, 1, "aa"),
            ],
        )
    )
    for verdict, ids in ((b"11111", "bcdg"), (b"0c101", "cg")):
        fields = [b"batches", mixed, b"verdict", verdict, b"rows", told]
        failed = [row for row, _ in parse_rows(fields) if row.outcome == "failed"]
        assert [row.id for row in failed] == [*ids]
        found, _, newest = parse_failures(fields)
        columns = [
            each for part in found for each in zip(part.errors, part.ids, part.finished_ms, strict=True)
        ]
        assert columns == [(row.error, row.id, row.finished_ms) for row in failed]
        assert [part.name for part in found] == ["send@1", "dead@1"]
        assert newest == 12
    assert parse_failures([b"batches", mixed])[1:] == (4, 10)


def test_a_script_tells_of_one_attempt_and_why() -> None:
    _, (one,) = parse_events(b"9-0", [b"ms", b"7", b"failed", b"send@1 2 poison\nan id"])
    assert one.told == Told("failed", "an id", "send@1", 2, "poison")


def test_a_pause_is_of_the_queue() -> None:
    said = msgspec.msgpack.encode(("", "ada", "to look\nat it"))
    _, (one,) = parse_events(b"9-0", [b"ms", b"7", b"paused", said])
    assert (one.told.id, one.told.data) == ("", b'{"by":"ada","reason":"to look\\nat it"}')


def test_a_row_is_bounded() -> None:
    most = 2**53
    number = [most]
    row = Batch(
        "cancelled",
        "n" * 255,
        ["\U0001f40d" * 32],
        number,
        number,
        number,
        number,
        number,
        ["\U0001f40d" * 120],
    )
    assert len(pack_batches("w", [row])) < 1024
