"""What a settlement weighs, by which calls that settle are bounded."""

import pytest

from jobs_core import Queue
from jobs_core.options import Retention, resolve
from jobs_core.scripts import Claimed
from jobs_core.wire import BIG, Envelope, Header
from jobs_worker.delivery import Delivery
from jobs_worker.settlement import Settlement

KIB = 1024


@pytest.mark.parametrize(
    ("verb", "flags", "payload", "size"),
    [
        # The server reads the record of one that it puts back, or whose key it must know.
        ("complete", 0, 60 * KIB, 60 * KIB),
        ("retry", 0, 60 * KIB, 60 * KIB),
        # A large payload lies apart: it is only freed, or not touched at all.
        ("complete", BIG, 1024 * KIB, 16 * KIB),
        ("retry", BIG, 1024 * KIB, 16 * KIB),
        # What fails for good goes on to the dead letters whole.
        ("fail", 0, 60 * KIB, 60 * KIB),
        ("fail", BIG, 1024 * KIB, 1024 * KIB),
    ],
)
def test_what_a_settlement_weighs(verb: str, flags: int, payload: int, size: int) -> None:
    policy = resolve(Queue("mail").dynamic_job("send"), {}).policy
    header = Header(flags, 3, 1, 0, "send@1", 36)
    envelope = Envelope(policy, b"x" * payload)
    delivery = Delivery.of(Claimed("j", b"", 1, None), header, envelope, None, "owner")
    settlement = Settlement(delivery, (verb, "send@1", Retention(), 0), 0, b"info", 0, 0)
    assert settlement.size == size + len(b"info")
