"""A real cluster on free ports of the loopback interface: primaries with equal parts of the slots, and replicas of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, cast

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from tests.support.ports import HOST, free_port
from tests.support.waiting import WITHIN, wait_until

from jobs_core.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType


class Peer:
    """Whatever answers commands at a port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, *command: str | int) -> object:
        """Send a command and return its reply, with text for bytes."""
        with redis.Redis(host=HOST, port=self.port, decode_responses=True) as client:
            return cast("object", client.execute_command(*command))  # pyright: ignore[reportUnknownMemberType]


class Member(Peer):
    """A server that tests command; it keeps its address when it is killed and started again."""

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__(int(server.url.rpartition(":")[2].partition("/")[0]))
        self.server = server

    @property
    def role(self) -> str:
        """What the server says of itself: master or slave."""
        return cast("list[str]", self.ask("ROLE"))[0]

    @property
    def id(self) -> str:
        """The id that a node of a cluster gave itself."""
        return cast("str", self.ask("CLUSTER", "MYID"))


class Cluster:
    """`primaries` nodes with equal parts of the slots, and so many replicas: the first for the first of them, and so on.

    With `data_dir` every write goes to an append-only file there, and a node that is started again knows who it was.
    `node_timeout_ms` is for how long a node may be silent before the others hold it for down. With `tls`, settings of
    servers, each listens for TLS as well, at the port of `tls_url`.
    """

    def __init__(
        self,
        *,
        primaries: int = 3,
        replicas: int = 0,
        data_dir: Path | None = None,
        node_timeout_ms: int = 1000,
        tls: Mapping[str, str] | None = None,
    ) -> None:
        self._primaries, self._replicas = primaries, replicas
        self._node_timeout_ms = node_timeout_ms
        self._data_dir = data_dir
        self._tls = tls
        self._tls_ports: list[int] = []
        self._stack = ExitStack()
        self.nodes: list[Member] = []

    @property
    def url(self) -> str:
        """Return what to set REDIS_URL to: it names all nodes, so that any of them may be away."""
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    @property
    def tls_url(self) -> str:
        """Return the same for connections by TLS."""
        return "rediss+cluster://" + ",".join(f"{HOST}:{port}" for port in self._tls_ports)

    def __enter__(self) -> Self:
        """Start the nodes, join them, and wait until each says that the cluster works and is whole."""
        with ExitStack() as stack:
            buses = [self._start(number, stack) for number in range(self._primaries + self._replicas)]
            first, *others = self.nodes
            for node, bus in zip(others, buses[1:], strict=True):
                first.ask("CLUSTER", "MEET", HOST, node.port, bus)
            for number, node in enumerate(self.nodes[self._primaries :]):
                primary = self.nodes[number].id
                wait_until(lambda node=node, primary=primary: primary in str(node.ask("CLUSTER", "NODES")))
                node.ask("CLUSTER", "REPLICATE", primary)
            wait_until(self.whole, within=2 * WITHIN, what="the cluster is whole")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def whole(self) -> bool:
        """Tell whether all nodes run, know each other, serve all slots, and whether the replicas have what they replicate."""
        return all(node.server.running and self._sound(node) for node in self.nodes)

    def names(self, stem: str = "queue") -> list[str]:
        """Return a name of a queue for each primary, in their order, as the slots were given out first."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < self._primaries:
            name = f"{stem}-{number}"
            slot = key_slot(f"{{{name}}}".encode())
            found.setdefault(slot * self._primaries // REDIS_CLUSTER_HASH_SLOTS, name)
            number += 1
        return [found[index] for index in sorted(found)]

    def begin_move(self, slot: int, source: Member, target: Member) -> None:
        """Begin to move a slot: from now on its node says ASK of what it does not have."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def end_move(self, slot: int, source: Member, target: Member) -> None:
        """Move what is in a slot, and tell both nodes whose it is now; the others hear it from them."""
        with redis.Redis(host=HOST, port=source.port) as client:
            while keys := cast("list[bytes]", client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)):  # pyright: ignore[reportUnknownMemberType]
                client.execute_command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)  # pyright: ignore[reportUnknownMemberType]
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def move_whole(self, slot: int, source: Member, target: Member) -> None:
        """Have a server move a slot by itself (Valkey 9 or newer). Raises ResponseError where it cannot."""
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)

    def has_slot(self, slot: int, node: Member) -> bool:
        """Tell whether all nodes know that a slot is a node's."""
        return all(self._owner(slot, asked) == node.id for asked in self.nodes)

    def _owner(self, slot: int, asked: Member) -> str:
        for first, last, primary, *_ in cast(
            "list[tuple[int, int, list[str]]]", asked.ask("CLUSTER", "SLOTS")
        ):
            if first <= slot <= last:
                return primary[2]
        return ""

    def _start(self, number: int, stack: ExitStack) -> int:
        """Start a node that knows its slots and no other node; return the port on which it talks to others."""
        bus = free_port()
        options = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(self._node_timeout_ms),
            "cluster-port": str(bus),
            # The slots that are there are served also while others are away.
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": "0",
            # Written before it is answered: `everysec` holds writes back while the disk is busy, and a kill loses them.
            "appendfsync": "no",
        }
        if self._tls is not None:
            self._tls_ports.append(free_port())
            options |= {**self._tls, "tls-port": str(self._tls_ports[-1]), "tls-cluster": "yes"}
        directory = None if self._data_dir is None else self._data_dir / str(number)
        server = stack.enter_context(EmbeddedServer(data_dir=directory, port=0, options=options))
        node = Member(server)
        self.nodes.append(node)
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if number < self._primaries:
            first, last = (
                -(-at * REDIS_CLUSTER_HASH_SLOTS // self._primaries) for at in (number, number + 1)
            )
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        return bus

    def _sound(self, node: Member) -> bool:
        try:
            info = str(node.ask("CLUSTER", "INFO"))
            # Of a replica, whether its link to the primary is there and the first copy is done.
            role = cast("list[object]", node.ask("ROLE"))
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False
        known = f"cluster_known_nodes:{len(self.nodes)}\r"
        copied = role[0] == "master" or role[3] == "connected"
        return copied and known in info and "cluster_state:ok" in info and "cluster_slots_fail:0\r" in info
