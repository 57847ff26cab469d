"""Where everything of a queue lives: one hash tag a queue, so that each transition is one script on one slot.

`docs/engine.md` has the table of the keys and who writes each. Only names are made here; only scripts write.
"""

from __future__ import annotations


def queue_prefix(prefix: str, queue: str) -> str:
    """Return `PREFIX:{queue}:`, the one key that scripts are given and from which they derive the others."""
    return f"{prefix}:{{{queue}}}:"


def system_prefix(prefix: str) -> str:
    """Return the prefix of what is kept for listing only; correctness never reads it.

    No queue can be named `~`.
    """
    return f"{prefix}:{{~}}:"


def wake_channel(queue_key: str, owner: str) -> str:
    """Return the shard channel on which an idle owner is woken."""
    return f"{queue_key}wake:{owner}"


def inbox_channel(queue_key: str, inbox: str) -> str:
    """Return the shard channel on which a producer hears that jobs it awaits have ended."""
    return f"{queue_key}inbox:{inbox}"


def big_key(queue_key: str, job_id: str) -> str:
    """Return the key of an envelope over 64 KiB."""
    return f"{queue_key}big:{job_id}"
