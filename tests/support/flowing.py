"""Two queues on a real server, jobs of one that flows of the other follow, and what carries their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from tests.support.engine import Engine, draft, group

from jobs_core.flows.children import encode_children
from jobs_core.flows.edges import Edge
from jobs_core.flows.ends import read_ended
from jobs_core.flows.modes import Mode
from jobs_core.outbox import Relay
from jobs_core.wire import EFFECTS, OWN_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Encodable
    from jobs_core.flows.graph import NodeInfo
    from jobs_core.scripts.flows import Added, FlowTold


class Flowing:
    """Flows of the queue `mail`, whose jobs run in the queue `kids`."""

    def __init__(self, engine: Engine) -> None:
        self.home = engine
        self.kids = Engine(engine.client, engine.scripts.prefix, "kids")
        self.kids.us = engine.us
        self.relay = Relay(engine.scripts, hold=0)
        self.holds = False

    async def settle_all(self) -> None:
        """Carry whatever lies in an outbox, and what comes of it; while it `holds`, nothing of it leaves the outbox."""
        moved = 1
        while moved:
            moved = await self.relay.relay(self.home.queue) + await self.relay.relay(self.kids.queue)
            if not self.holds:
                await self.relay.confirm()

    async def parent(self, job_id: str, children: int, *, options: str = "", delay_ms: int = 0) -> bytes:
        """Add a job that waits for so many others."""
        text = f"blocks={children}" + (f",{options}" if options else "")
        return await self.home.add(job_id, flags=OWN_ID, options=text, delay_ms=delay_ms)

    async def child(self, job_id: str, flow: str, ordinal: int = 0, mode: Mode = Mode.FAIL_PARENT) -> bytes:
        """Add a job that a flow follows."""
        edge = Edge(self.home.queue, flow, ordinal, mode)
        return await self.kids.add(job_id, flags=OWN_ID | EFFECTS, options=f"edges={edge}")

    async def run(self, count: int = 100) -> list[str]:
        """Complete so many of the jobs that flows follow, and carry what follows. Returns their ids."""
        jobs = (await self.kids.claim(count)).jobs
        done = await self.kids.settle(group("complete", *jobs, arg=OWN_ID | EFFECTS, info=b""))
        assert done == b"1" * len(jobs)
        await self.settle_all()
        return [job.id for job in jobs]

    async def open(self, flow: str = "f", state: str = "open", **callbacks: bytes) -> str:
        """Open a flow without a job of its own."""
        flat: list[Encodable] = [part for each in callbacks.items() for part in each]
        return await self.home.scripts.flow_open(
            self.home.queue, flow_id=flow, state=state, timeout_ms=60_000, info=b"about", callbacks=flat
        )

    async def fill(
        self,
        count: int,
        flow: str = "f",
        chunk: str = "1",
        mode: Mode = Mode.COUNTED,
        nodes: Sequence[NodeInfo] = (),
    ) -> Added:
        """Add jobs to it that get their ids by their places, and what it keeps of them."""
        jobs = encode_children([draft("", flags=OWN_ID | EFFECTS) for _ in range(count)], mode)
        parts: list[Encodable] = [self.kids.queue, "children", count, jobs]
        for node in nodes:
            parts += [self.kids.queue, "node", 0, msgspec.msgpack.encode(node)]
        return await self.home.scripts.flow_add(self.home.queue, flow_id=flow, chunk=chunk, parts=parts)

    async def close(self, flow: str = "f") -> str:
        """Close it, and send all that it kept back."""
        left = 1
        state = ""
        while left:
            closed = await self.home.scripts.flow_close(self.home.queue, flow_id=flow)
            state, left = closed.state, closed.left
        return state

    async def told(self, flow: str = "f") -> FlowTold:
        """Tell what is known of it."""
        return await self.home.scripts.flow_show(self.home.queue, flow_id=flow)

    async def ends(self, flow: str) -> dict[int, str]:
        """Tell how its jobs ended that something is told of, by ordinal."""
        page = await self.home.scripts.flow_jobs(self.home.queue, flow_id=flow)
        return {i: read_ended(job.told)[0].value for i, job in enumerate(page.jobs) if job.told}
