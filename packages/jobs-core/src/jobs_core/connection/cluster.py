"""A client of a cluster: one connection to each primary, each call to the one that has its keys.

The map of slots is read anew when a node says that it has a slot no more, and when a connection is lost. A slot that is on
its way to another node (ASK) is waited for: a script touches many keys of its queue, and half of them would be elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import hiredis

from jobs_core.connection.client import BACKOFF_CAP, BACKOFF_STEP, READ_DEADLINE, Client
from jobs_core.connection.node import Node
from jobs_core.connection.protocol import Disconnected
from jobs_core.connection.replies import to_error
from jobs_core.connection.slots import SLOTS, Place, SlotMap, parse_moved, parse_slots, slot_of
from jobs_core.errors import ConnectionFailed, JobsError, NotPermitted, ServerRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs_core.connection.address import Address
    from jobs_core.connection.protocol import Encodable, Protocol

_ASK_TIMEOUT = 2.0
_CONNECT_PATIENCE = 2.0
_log = logging.getLogger("jobs.connection")


class ClusterClient(Client):
    """Connections to all primaries of a cluster, made again whenever one is lost or another takes its place."""

    def __init__(self, address: Address, *, name: str = "jobs", read_deadline: float = READ_DEADLINE) -> None:
        """Prepare a client; `connect` finds the cluster by the nodes that its address names."""
        super().__init__(address)
        self._name = name
        self._read_deadline = read_deadline
        self._nodes: dict[Place, Node] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._replicas: frozenset[Place] = frozenset()
        self._channels: dict[str, tuple[Callable[[bytes], None], Node | None]] = {}
        self._known = False
        self._failure = "not connected yet"
        self._refusal: JobsError | None = None
        self._closing = False
        self._keeper: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        # Set when the map is to be read again; and what those wait for who lack a connection.
        self._stale = asyncio.Event()
        self._change = asyncio.Event()

    async def connect(self, *, timeout: float | None = None) -> None:
        """Connect to all primaries, and stay connected until `close`. Raises as the base says.

        One that is away for 2 s is not waited for where others are there: their queues have nothing to do with it.
        """
        if self._keeper is None and not self._closing:
            self._stale.set()
            self._keeper = asyncio.create_task(self._keep(), name="jobs-cluster")
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        await self._wait_at(None, deadline, sent=False)
        patience = asyncio.get_running_loop().time() + _CONNECT_PATIENCE
        for node in self.nodes():
            # One that is replaced meanwhile is nobody's any more.
            while node.protocol is None and node in self._nodes.values():
                if node.refusal is not None:
                    raise node.refusal.with_traceback(None)
                try:
                    await self._changed(min(patience, deadline or patience), node.failure, sent=False)
                except ConnectionFailed:
                    _log.warning("%s is away, and goes on being tried: %s", node.display, node.failure)
                    break

    async def close(self) -> None:
        """Close all connections for good."""
        self._closing = True
        self._failure = "the client is closed"
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        nodes, self._nodes = list(self._nodes.values()), {}
        self._slots = [None] * SLOTS
        self._pulse()
        await asyncio.gather(*(node.close() for node in nodes), *self._leaving)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to each primary."""
        return self._known and all(node.protocol is not None for node in self._nodes.values())

    @property
    def failure(self) -> str:
        """Why there is none to one of them."""
        lost = next((node for node in self._nodes.values() if node.protocol is None), None)
        return self._failure if lost is None or self._closing else f"{lost.display}: {lost.failure}"

    def nodes(self) -> list[Node]:
        """Return the connections to the primaries."""
        return list(self._nodes.values())

    def subscribe(self, channel: str, handler: Callable[[bytes], None]) -> None:
        """Hear what is published on a shard channel, at the node that has its slot."""
        node = self._slots[slot_of(channel)]
        self._channels[channel] = (handler, node)
        if node is not None:
            node.subscribe(channel.encode(), handler)

    def unsubscribe(self, channel: str) -> None:
        """Hear no more of a shard channel."""
        _, node = self._channels.pop(channel, (None, None))
        if node is not None:
            node.unsubscribe(channel.encode())

    def together(self, keys: Sequence[Encodable]) -> list[list[int]]:
        """Put the keys of one slot together: a call may name no others."""
        found: dict[int, list[int]] = {}
        for position, key in enumerate(keys):
            found.setdefault(slot_of(key), []).append(position)
        return list(found.values())

    def _at(self, where: Node | Encodable | None) -> Protocol | None:
        node = self._node_at(where)
        return None if node is None else node.protocol

    def _node_at(self, where: Node | Encodable | None) -> Node | None:
        if isinstance(where, Node):
            return where
        if where is not None:
            return self._slots[slot_of(where)]
        # What has no key is the first node's, as long as that one is there.
        return next(
            (node for node in self._nodes.values() if node.protocol is not None),
            next(iter(self._nodes.values()), None),
        )

    async def _wait_at(
        self, where: Node | Encodable | None, deadline: float | None, *, sent: bool
    ) -> Protocol:
        while True:
            node = self._node_at(where)
            if node is not None and node.protocol is not None:
                return node.protocol
            refusal = self._refusal or (None if node is None else node.refusal)
            if refusal is not None and not sent:
                raise refusal.with_traceback(None)
            if node is None:
                reason = "the cluster serves no slot of this key" if self._known else self._failure
            else:
                reason = f"{node.display}: {node.failure}"
            if isinstance(where, Node) and where not in self._nodes.values():
                reason = f"{where.display} is no primary of the cluster any more"
            elif refusal is None and not self._closing:
                if node is None:
                    self._stale.set()
                await self._changed(deadline, reason, sent=sent)
                continue
            raise self._given_up(self._failure if self._closing else reason, sent=sent)

    async def _changed(self, deadline: float | None, reason: str, *, sent: bool) -> None:
        """Wait until a connection or the map changed. Raises what `_given_up` returns."""
        change = self._change
        try:
            async with asyncio.timeout_at(deadline):
                await change.wait()
        except TimeoutError:
            raise self._given_up(reason, sent=sent) from None

    def _elsewhere(self, protocol: Protocol, text: str) -> None:
        if text.startswith("ASK "):
            return
        self._stale.set()
        node = next((each for each in self._nodes.values() if each.protocol is protocol), None)
        if not text.startswith("MOVED ") or node is None:
            return
        with suppress(ValueError):
            slot, place = parse_moved(text, node.address.host)
            # The others may not know of it yet, so this is taken at its word; the map follows.
            self._slots[slot] = self._node_for(place)

    def _pulse(self) -> None:
        """Let all look again who wait for a connection."""
        change, self._change = self._change, asyncio.Event()
        change.set()

    def _node_for(self, place: Place) -> Node:
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = self._new_node(place)
            node.start()
        return node

    def _new_node(self, place: Place) -> Node:
        return Node(
            self.address.at(*place),
            name=self._name,
            read_deadline=self._read_deadline,
            patient=self._known,
            on_connect=self._node_connected,
            on_failure=self._node_failed,
            on_moved=self._channel_moved,
        )

    def _node_connected(self) -> None:
        self._pulse()
        self._connected()

    def _node_failed(self) -> None:
        self._stale.set()
        self._pulse()

    def _channel_moved(self, channel: str) -> None:
        handler, _ = self._channels.get(channel, (None, None))
        if handler is not None:
            self._channels[channel] = (handler, None)
            self._stale.set()

    async def _keep(self) -> None:
        """Read the map whenever it is said to be out of date: at once, then after 50 ms, 100 ms, … at most 2 s."""
        loop = asyncio.get_running_loop()
        pause, ended = BACKOFF_STEP, 0.0
        while True:
            await self._stale.wait()
            pause = BACKOFF_STEP if loop.time() - ended > 2 * BACKOFF_CAP else min(pause * 2, BACKOFF_CAP)
            self._stale.clear()
            try:
                found = await self._map()
            except JobsError as error:
                self._refusal, self._failure = error, str(error)
                self._pulse()
                return
            except Exception as error:  # noqa: BLE001 - who waits for a connection would wait for ever without this loop
                _log.exception("the map of the cluster is read again after an error that nobody foresaw")
                self._failure, found = f"{type(error).__name__}: {error}", None
            if found is None:
                self._stale.set()
                self._pulse()
            else:
                self._take(found)
            ended = loop.time()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _map(self) -> SlotMap | None:
        """Ask one node after the other for the map, those that are connected first; None where nobody tells it.

        Raises what refuses a client that never was connected.
        """
        connected = [node for node in self._nodes.values() if node.protocol is not None]
        random.shuffle(connected)
        for node in connected:
            found = await self._map_of(node)
            if found is not None:
                return found
        for place in dict.fromkeys((*self.address.hosts, *self._nodes, *self._replicas)):
            if any(node is self._nodes.get(place) for node in connected):
                continue
            found = await self._map_at(place)
            if found is not None:
                return found
        return None

    async def _map_at(self, place: Place) -> SlotMap | None:
        """Ask by a connection that is tried once and closed again: it may be a replica."""
        node = Node(
            self.address.at(*place),
            name=self._name,
            read_deadline=self._read_deadline,
            patient=self._known,
            on_failure=lambda: node.ready.set(),  # noqa: PLW0108 - there is no node yet
        )
        node.start()
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                await node.ready.wait()
            return await self._map_of(node)
        except TimeoutError:
            self._failure = f"{node.display}: {node.failure}"
            return None
        finally:
            await node.close()

    async def _map_of(self, node: Node) -> SlotMap | None:
        if node.refusal is not None and not self._known:
            raise node.refusal
        protocol = node.protocol
        if protocol is None:
            self._failure = f"{node.display}: {node.failure}"
            return None
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                reply = await protocol.call(("CLUSTER", "SLOTS"))
        except (Disconnected, TimeoutError) as error:
            self._failure = f"{node.display}: {error or 'no answer'}"
            return None
        if isinstance(reply, hiredis.ReplyError):
            if "cluster support disabled" in str(reply) and not self._known:
                raise ServerRefused(
                    reason=f"{node.display} is no node of a cluster",
                    remedy="Set REDIS_URL to redis://… for one server.",
                )
            if isinstance(error := to_error(str(reply)), NotPermitted) and not self._known:
                raise error
            self._failure = f"{node.display}: {reply}"
            return None
        found = parse_slots(reply, node.address.host)
        if not found.places():
            self._failure = f"{node.display}: it knows of no node that serves slots; is the cluster made?"
            return None
        return found

    def _take(self, found: SlotMap) -> None:
        """Go by a new map: connect to primaries that are new, leave those that are none any more."""
        nodes = {place: self._node_for(place) for place in found.places()}
        for place in [each for each in self._nodes if each not in nodes]:
            leaving = asyncio.create_task(self._nodes.pop(place).close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        slots = [None if place is None else nodes[place] for place in found.primaries]
        moved = self._known and slots != self._slots
        self._nodes, self._slots, self._replicas = nodes, slots, found.replicas
        self._known = True
        for channel, (handler, before) in self._channels.items():
            node = slots[slot_of(channel)]
            if node is before:
                continue
            if before is not None:
                before.unsubscribe(channel.encode())
            if node is not None:
                node.subscribe(channel.encode(), handler)
            self._channels[channel] = (handler, node)
        self._pulse()
        if moved:
            # What was told on a channel that moved may have been missed.
            self._connected()
