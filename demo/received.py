"""What the receivers write down, one JSON object a line."""

import msgspec

BUSY_EVERY = 25
"""Of so many bookings one is turned away once."""


class ReceivedMail(msgspec.Struct, frozen=True):
    """One message as it came; `received_at` is in unix seconds."""

    received_at: float
    sender: str
    recipients: list[str]
    content: bytes


class ReceivedHook(msgspec.Struct, frozen=True):
    """One request as it came, and the `status` it was answered with; `received_at` is in unix seconds."""

    received_at: float
    webhook_id: str
    event: str
    signed: bool
    status: int
    body: msgspec.Raw


class Booking(msgspec.Struct, frozen=True):
    """The body of a webhook; `number` counts from 1."""

    number: int
