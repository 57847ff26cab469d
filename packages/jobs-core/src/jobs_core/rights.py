"""What the ACL of a server must allow the user of a program: one rule for producers, workers, dashboards and the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.errors import NotPermitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.scripts import Scripts

__all__ = ["COMMANDS", "check_rights", "rule"]

# What scripts and programs send. A script runs with the rights of its caller: where they end amid a transition, half of
# it is written. So all programs need the rights of all scripts, and these are looked at before the first one runs.
COMMANDS = (
    *("BITCOUNT", "BITFIELD", "DEL", "EXISTS", "GET", "GETBIT", "GETRANGE", "HDEL", "HEXISTS"),
    *("HGET", "HGETALL", "HINCRBY", "HKEYS", "HLEN", "HMGET", "HRANDFIELD", "HSCAN", "HSET"),
    *("HSETNX", "HSTRLEN", "INFO", "LINDEX", "LLEN", "LPOP", "LRANGE", "LTRIM", "MGET", "MSET"),
    *("PERSIST", "PING", "RENAME", "RPUSH", "SCAN", "SET", "SETBIT", "SPUBLISH", "SSUBSCRIBE"),
    *("STRLEN", "SUNSUBSCRIBE", "TIME", "TTL", "TYPE", "UNLINK", "XADD", "XDEL", "XLEN", "XRANGE"),
    *("XREAD", "XREVRANGE", "XTRIM", "ZADD", "ZCARD", "ZCOUNT", "ZMSCORE", "ZPOPMAX", "ZPOPMIN"),
    *("ZRANGE", "ZRANGEBYSCORE", "ZRANK", "ZREM", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE"),
    *("ZREVRANGE", "ZREVRANGEBYSCORE", "ZSCAN", "ZSCORE"),
)
_ALLOWED = "-@all +@read +@write -@dangerous +evalsha +script|load +info +ping +time +spublish +ssubscribe +sunsubscribe"


def rule(prefix: str = "PREFIX", *, db: int = 0, cluster: bool = False) -> str:
    """Return the call of ACL SETUSER that gives a user what is needed for the keys and channels of a prefix."""
    more = (" +select" if db else "") + (" +cluster|slots" if cluster else "")
    return f"ACL SETUSER NAME ~{prefix}:* &{prefix}:* {_ALLOWED}{more}"


async def check_rights(scripts: Scripts, *, deadline: float | None = None) -> list[NotPermitted]:
    """Return what the user of a connection lacks, of a cluster at each primary: ACLs are each node's own."""
    address = scripts.client.address
    lacks = await scripts.rights(commands=COMMANDS, deadline=deadline)
    remedy = f"Grant all that is needed: {rule(scripts.prefix, db=address.db, cluster=address.cluster)}"
    if address.cluster:
        remedy += " (on every node, replicas too)"
    return [
        NotPermitted(
            f"the ACL of {node} does not let this user run {_few(commands)} on {scripts.prefix}:*", remedy
        )
        for node, commands in lacks.items()
        if commands
    ]


def _few(commands: Sequence[str]) -> str:
    shown = ", ".join(commands[:5])
    return shown if len(commands) <= 5 else f"{shown} and {len(commands) - 5} others"
