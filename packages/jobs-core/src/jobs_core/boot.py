"""What a server must be before jobs are trusted to it: checked at every start, told by `jobs doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.errors import NotPermitted, ServerRefused
from jobs_core.rights import check_rights
from jobs_core.scripts import Scripts
from jobs_core.settings import read_flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.connection.client import Client

REDIS_FLOOR = (7, 0)
VALKEY_FLOOR = (7, 2)


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of a server. `eviction` is its maxmemory-policy, `persistence` aof, rdb or none."""

    server: str
    version: str
    eviction: str
    persistence: str
    role: str
    maxmemory: int
    used_memory: int


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a server, and what was found wrong: refusals stop a program, warnings are logged.

    `facts` are by the address of each server, of which only a cluster has several.
    """

    facts: dict[str, ServerFacts]
    refusals: list[ServerRefused | NotPermitted]
    warnings: list[str]


async def audit_server(
    client: Client, prefix: str, *, env: Mapping[str, str] | None = None, deadline: float | None = None
) -> Audit:
    """Look at the server, of a cluster at each primary. Nothing is changed, and CONFIG is not needed: INFO tells all.

    What the ACL of the server lacks for the keys of `prefix` is a refusal. Raises `SettingsError` where
    JOBS_ALLOW_EVICTION would matter and is no switch, `NotPermitted` where the user may not even ask.
    """
    replies = await client.call_each("INFO", "everything", deadline=deadline)
    audit = Audit(facts={}, refusals=[], warnings=[])
    for node, raw in replies.items():
        one = _audit(cast("bytes", raw), env, node=node, cluster=client.address.cluster)
        audit.facts.update(one.facts)
        audit.refusals.extend(one.refusals)
        audit.warnings.extend(one.warnings)
    for node in client.nodes():
        if node.display not in replies:
            audit.warnings.append(
                f"the node {node.display} does not answer: its queues wait ({node.failure})"
            )
    if not audit.refusals:
        audit.refusals.extend(await check_rights(Scripts(client, prefix), deadline=deadline))
    return audit


def _audit(raw: bytes, env: Mapping[str, str] | None, *, node: str, cluster: bool) -> Audit:
    """Judge one server; `cluster` tells whether it is to be a node of one."""
    which, it, its = (
        (f"the server {node}", f"the node {node}", f"of the node {node} the")
        if cluster
        else ("the server", "it", "its")
    )
    info = dict(line.split(":", 1) for line in raw.decode(errors="replace").splitlines() if ":" in line)
    valkey = info.get("server_name") == "valkey" or "valkey_version" in info
    version = info.get("valkey_version") if valkey else info.get("redis_version")
    aof, rdb = info.get("aof_enabled") == "1", info.get("rdb_last_save_time", "0") != "0" and _saves(info)
    facts = ServerFacts(
        server="valkey" if valkey else "redis",
        version=version or "0",
        eviction=info.get("maxmemory_policy", "noeviction"),
        persistence="aof" if aof else "rdb" if rdb else "none",
        role=info.get("role", ""),
        maxmemory=int(info.get("maxmemory", "0")),
        used_memory=int(info.get("used_memory", "0")),
    )
    refusals: list[ServerRefused | NotPermitted] = []
    warnings: list[str] = []
    floor = VALKEY_FLOOR if valkey else REDIS_FLOOR
    if _version(facts.version) < floor:
        refusals.append(
            ServerRefused(
                reason=f"{it} is {facts.server} {facts.version}, which is too old",
                remedy="Run Redis 7.0 or newer, or Valkey 7.2 or newer.",
            )
        )
    if facts.eviction != "noeviction":
        if read_flag("JOBS_ALLOW_EVICTION", env):
            warnings.append(
                f"maxmemory-policy is {facts.eviction}: {which} may DELETE JOBS when memory is full "
                "(JOBS_ALLOW_EVICTION=1)"
            )
        else:
            refusals.append(
                ServerRefused(
                    reason=f"{its} maxmemory-policy is {facts.eviction}, so it deletes jobs if memory is full",
                    remedy="Set maxmemory-policy noeviction, or JOBS_ALLOW_EVICTION=1 to run at that risk.",
                )
            )
    if facts.persistence == "none":
        warnings.append(
            f"{which} keeps no append-only file: jobs are lost when it stops (set appendonly yes)"
        )
    if info.get("cluster_enabled") == "1" and not cluster:
        refusals.append(
            ServerRefused(
                reason="it is a node of a cluster and has a part of the queues alone",
                remedy="Set REDIS_URL to redis+cluster://HOST:PORT,HOST:PORT with some nodes of the cluster.",
            )
        )
    if facts.role == "slave" and not cluster:
        refusals.append(
            ServerRefused(reason="it is a read-only replica", remedy="Point REDIS_URL at the primary.")
        )
    return Audit(facts={node: facts}, refusals=refusals, warnings=warnings)


def _version(text: str) -> tuple[int, int]:
    parts = [int("".join(c for c in part if c.isdigit()) or 0) for part in text.split(".")[:2]]
    return (parts[0], parts[1] if len(parts) > 1 else 0)


def _saves(info: Mapping[str, str]) -> bool:
    # INFO does not tell the save rules; a server that ever counted changes towards a save has some.
    return info.get("rdb_bgsave_in_progress") == "1" or int(info.get("rdb_saves", "0")) > 0
