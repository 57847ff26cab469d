"""Error replies, classified by their first word, or where a server wrapped it (ERR …) by a word within.

| class | tokens | what the client does |
|---|---|---|
| reload | NOSCRIPT | SCRIPT LOAD on that connection, then the same call; paused if that does not help |
| again | LOADING, BUSY, TRYAGAIN, CLUSTERDOWN, MASTERDOWN | the same call after a pause |
| rediscover | READONLY, UNBLOCKED, MOVED, ASK | a new connection, then the same call |
| refuse | OOM, MISCONF, NOREPLICAS | the caller gets the error: nothing was written |
| fatal | NOAUTH, NOPERM, WRONGPASS, WRONGTYPE, our own words, everything else | the caller gets the error |
"""

from __future__ import annotations

import re
from typing import Literal

from jobs_core.connection.protocol import Disconnected
from jobs_core.errors import (
    ConfigurationError,
    JobsError,
    NotPermitted,
    OwnerGone,
    PayloadTooLarge,
    SchemaMismatch,
    ServerError,
    ServerFull,
    ServerRefused,
)
from jobs_core.rights import rule

Kind = Literal["reload", "again", "rediscover", "refuse", "fatal"]

_KINDS: dict[str, Kind] = {
    "NOSCRIPT": "reload",
    "LOADING": "again",
    "BUSY": "again",
    "TRYAGAIN": "again",
    "CLUSTERDOWN": "again",
    "MASTERDOWN": "again",
    "READONLY": "rediscover",
    "UNBLOCKED": "rediscover",
    "MOVED": "rediscover",
    "ASK": "rediscover",
    "OOM": "refuse",
    "MISCONF": "refuse",
    "NOREPLICAS": "refuse",
}
# Of a script Redis 7.0 says no NOPERM, and no command.
_ACL = re.compile(r"ACL failure in script|user executing the script can't")
_COMMAND = re.compile(r"run the '([a-zA-Z|]+)' command")
_LOGIN = {
    "NOAUTH": "wants a password",
    "WRONGPASS": "does not know this user with this password",
    "DENIED": "takes no connections from elsewhere without a password",
}
_WORD = re.compile(r"\b[A-Z][A-Z_]{2,}\b")
_FULL_HOUSE = "max number of clients"
_TOO_OLD = ("unknown command", "NOPROTO")


def classify(text: str) -> Kind:
    """Return what is to be done about an error reply."""
    first = text.partition(" ")[0]
    if first != "ERR" and _WORD.fullmatch(first):
        # What follows the word may be a name that somebody chose: a queue called BUSY is not busy.
        return _KINDS.get(first, "fatal")
    for found in _WORD.finditer(text):
        if found[0] in _KINDS:
            return _KINDS[found[0]]
    return "fatal"


def to_error(text: str, *, queue: str = "") -> JobsError:
    """Turn an error reply into the typed error for it."""
    words = text.split()
    first = words[0] if words else ""
    rest = text.partition(" ")[2]
    if first == "OWNER_GONE":
        return OwnerGone(queue=queue, owner=rest)
    if first == "SCHEMA":
        return SchemaMismatch(found=rest, supported="1")
    if first == "TOO_LARGE":
        return PayloadTooLarge(queue=queue, job=rest, size=0, limit=1310720)
    if classify(text) == "refuse":
        return ServerFull(reply=text)
    return _refused_user(first, text) or ServerError(reply=text)


def _refused_user(first: str, text: str) -> ConfigurationError | None:
    if first in _LOGIN:
        return ConfigurationError(
            f"the server {_LOGIN[first]} ({first}): check user and password of REDIS_URL"
        )
    return _not_permitted(text) if first == "NOPERM" or _ACL.search(text) else None


def _not_permitted(text: str) -> NotPermitted:
    command = _COMMAND.search(text)
    if command is not None:
        reason = f"its ACL does not let this user run {command[1].upper()}"
        return NotPermitted(reason, f"Grant +{command[1].lower()}, or all that is needed: {rule()}")
    what = "use a channel" if "channel" in text else "use a key" if "key" in text else "run a command"
    reason = f"its ACL does not let this user {what} of this program"
    return NotPermitted(reason, f"Grant all that is needed: {rule()}")


def greeting_error(text: str) -> JobsError | Disconnected:
    """Turn the error reply to a greeting into a refusal, or Disconnected where another try may succeed."""
    if classify(text) != "fatal" or _FULL_HOUSE in text:
        return Disconnected(text, sent=False)
    if any(word in text for word in _TOO_OLD):
        return ServerRefused(
            reason="it does not speak RESP3, so it is older than Redis 6",
            remedy="Run Redis 7.0 or newer, or Valkey 7.2 or newer.",
        )
    if "DB index" in text:
        return ConfigurationError("the server has no database of the number in its URL")
    return to_error(text)
