import msgspec
import pytest

from jobs_core.errors import SchemaMismatch
from jobs_core.wire import (
    BIG,
    OWN_ID,
    AttemptInfo,
    Envelope,
    ErrorInfo,
    FinishInfo,
    JobStateEntry,
    Progress,
    RecordHead,
    decode_envelope,
    decode_progress,
    encode_envelope,
    encode_finish,
    encode_progress,
    pack_history_entry,
    parse_finish,
    parse_header,
    parse_history,
    parse_state,
    poison_counts,
)

ENVELOPE = Envelope(b"policy", b"{}", {"user": 7}, ("a",), {"traceparent": "00-1"})


@pytest.mark.parametrize("flags", [0, OWN_ID, OWN_ID | BIG])
def test_a_record_is_a_header_and_an_envelope(flags: int) -> None:
    head = RecordHead("send-email@12")
    for _ in range(2):
        record = head.alike(flags, 2)[0] + bytes(16) + head.body(encode_envelope(ENVELOPE))
        header = parse_header(record)
        assert (header.flags, header.priority, header.name) == (flags, 2, "send-email@12")
        assert (header.stamp_us, header.due_ms) == (0, 0)
        assert decode_envelope(record[header.size :]) == ENVELOPE


def test_the_bytes_of_a_record_stay_what_they_are() -> None:
    head = RecordHead("a@1")
    assert head.alike(OWN_ID, 5)[0] == b"\x01\x01\x00\x05"
    assert head.body(b"envelope") == (b"\x03\x00\x00\x00" + bytes(8) + b"\x00\x00\x00\x08" + b"a@1envelope")


def test_a_record_of_another_version_is_refused() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        parse_header(b"\x02" + bytes(19) + RecordHead("a@1").body(b""))
    assert caught.value.found == "2"


def test_a_job_without_a_history_has_spent_nothing() -> None:
    assert parse_state(None) == parse_state(b"") == JobStateEntry()
    packed = b"\0\0\0\1\0\0\0\2\0\0\0\3\1\0\0\1\2\3\4\5\6"
    assert parse_state(packed) == JobStateEntry(1, 2, 3, 1, 0x010203040506)


def test_history_is_appended() -> None:
    attempts = [AttemptInfo(n, 5, 6, "w1", ErrorInfo("ValueError", "x" * n)) for n in (1, 2, 300)]
    assert parse_history(b"".join(map(pack_history_entry, attempts))) == attempts
    assert parse_history(b"") == []


def test_an_attempt_of_an_earlier_release_is_read() -> None:
    packed = msgspec.msgpack.encode((1, 5, 6, "w1", ("ValueError", "no", "")))
    (attempt,) = parse_history(len(packed).to_bytes(4, "big") + packed)
    assert (attempt.wait_us, attempt.first_ms) == (0, 0)


def test_what_is_told_of_a_job_that_ended() -> None:
    info = FinishInfo("completed", "a@1", 3, 1, 2, 3, 4, 5, 1, 3, 0, "w1", b"{}", None, {"a": 1}, ("t",))
    assert parse_finish(encode_finish(info)) == info
    assert parse_finish(b"") is None
    assert parse_finish(b"poison 4 2") is None
    assert poison_counts(b"poison 4 2") == (4, 2)


def test_progress() -> None:
    progress = Progress(percent=50.0, message="half")
    assert decode_progress(encode_progress(progress)) == progress
