"""How users want to be told: one small file for each of them, under FILES_URL.

An API service writes what a user chose, a worker reads it:

    save_contact(7, Contact(channel="email", email="ada@example.com"))
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from jobs_core.files import FileStore, store
from jobs_core.queues.notifications.queue import Channel, UserId


class Contact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a user chose: the channel, and the addresses by which mails and webhooks reach them.

    Raises ValueError for a channel without its address.
    """

    channel: Channel = "email"
    email: Annotated[str, Meta(min_length=3, max_length=320)] | None = None
    webhook: Annotated[str, Meta(min_length=1, max_length=8192)] | None = None

    def __post_init__(self) -> None:
        """Refuse a choice that leads nowhere."""
        if self.channel != "log" and self.address(self.channel) is None:
            raise ValueError(f"channel {self.channel} needs `{self.channel}`, the address to use")

    def address(self, channel: Channel) -> str | None:
        """Return the address of a channel, None where there is none."""
        return {"email": self.email, "webhook": self.webhook, "log": None}[channel]


def save_contact(user_id: UserId, contact: Contact, *, files: Callable[[], FileStore] = store) -> None:
    """Store what a user chose; it replaces an earlier choice. Blocks."""
    files().write_bytes(_path(user_id), msgspec.json.encode(contact))


def load_contact(user_id: UserId, *, files: Callable[[], FileStore] = store) -> Contact | None:
    """Return what a user chose, None where nothing is stored. Blocks."""
    try:
        return msgspec.json.decode(files().read_bytes(_path(user_id)), type=Contact)
    except FileNotFoundError:
        return None


def forget_contact(user_id: UserId, *, files: Callable[[], FileStore] = store) -> bool:
    """Remove what a user chose, and tell whether anything was stored. Blocks."""
    return files().delete(_path(user_id))


def _path(user_id: UserId) -> str:
    # A digest: an id is other people's text, and names nobody in a listing of files. 7 and "7" are one user.
    return f"notifications/contacts/{sha256(str(user_id).encode()).hexdigest()}.json"
