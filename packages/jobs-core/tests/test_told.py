"""What workers and scripts tell, as it is read back."""

import msgspec

from jobs_core.told import SummaryRow, Told, pack_rows, pack_told, parse_events, parse_rows

ROW = SummaryRow("a", "send@1", "completed", 1, 2, 3, 4, 5, 1)
DONE = Told("completed", "a", "send@1", 1, data=b"{}")


def test_an_entry_says_where_it_begins() -> None:
    began, happened = parse_events(b"1000-0", [b"ms", b"7", b"added", b"send@1 0 \na\nb"])
    assert began == str(1000 - 64 - len("added") - len("send@1 0 \na\nb"))
    assert [(each.cursor, each.at_ms, each.told.kind, each.told.id) for each in happened] == [
        ("1000", 7, "added", "a"),
        ("1000", 7, "added", "b"),
    ]


def test_what_was_refused_did_not_happen() -> None:
    told = pack_told([DONE, Told("failed", "b", "send@1", 2, "why"), None])
    _, happened = parse_events(b"9-0", [b"ms", b"7", b"told", told, b"verdict", b"011"])
    assert [each.told.id for each in happened] == ["b"]
    packed = pack_rows("w", [ROW, None])
    assert parse_rows([b"told", packed]) == [(ROW, "w")]
    assert parse_rows([b"told", packed, b"verdict", b"01"]) == []
    # One that was to stop ended as cancelled, which the script tells.
    assert parse_rows([b"told", packed, b"verdict", b"c1"]) == []


def test_a_script_tells_of_one_attempt_and_why() -> None:
    _, (one,) = parse_events(b"9-0", [b"ms", b"7", b"failed", b"send@1 2 poison\nan id"])
    assert one.told == Told("failed", "an id", "send@1", 2, "poison")


def test_a_pause_is_of_the_queue() -> None:
    said = msgspec.msgpack.encode(("", "ada", "to look\nat it"))
    _, (one,) = parse_events(b"9-0", [b"ms", b"7", b"paused", said])
    assert (one.told.id, one.told.data) == ("", b'{"by":"ada","reason":"to look\\nat it"}')


def test_a_row_is_bounded() -> None:
    most = 2**53
    row = SummaryRow(
        "\U0001f40d" * 32, "n" * 255, "cancelled", most, most, most, most, most, most, "\U0001f40d" * 120
    )
    assert len(pack_rows("w", [row])) < 1024
