"""What people tell running workers: a command over a channel, its answer over another; and numbers that hold.

A command is for now: it is sent to a worker that listens and answers, or it is an error. How many children serve a queue
is kept, since it holds for workers to come.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import msgspec

from jobs_core.errors import WorkerNotFound, WorkerSilent
from jobs_core.keys import system_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.connection.client import Client

__all__ = [
    "ChildStack",
    "CommandVerb",
    "WorkerAnswer",
    "WorkerCommand",
    "answer_worker",
    "command_worker",
    "decode_command",
    "every_worker",
    "read_scales",
    "worker_channel",
    "write_scale",
]

CommandVerb: TypeAlias = Literal["quiet", "resume", "stop", "concurrency", "stacks", "scale"]


class ChildStack(msgspec.Struct, frozen=True, kw_only=True):
    """What all threads of a worker's child were doing."""

    pid: int
    stack: str


class WorkerCommand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker is to do. `reply` is the channel that hears the answer."""

    verb: CommandVerb
    reply: str = ""
    queue: str = ""
    number: int = 0


class WorkerAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker did, or in `refused` why not."""

    state: str = ""
    refused: str = ""
    stacks: tuple[ChildStack, ...] = ()


_encode = msgspec.json.Encoder().encode
decode_command = msgspec.json.Decoder(WorkerCommand).decode
_decode_answer = msgspec.json.Decoder(WorkerAnswer).decode


def worker_channel(prefix: str, worker_id: str) -> str:
    """Return the channel on which a worker hears its commands."""
    return f"{system_prefix(prefix)}worker:{worker_id}"


def every_worker(prefix: str) -> str:
    """Return the channel on which all workers hear that a number of children was changed."""
    return f"{system_prefix(prefix)}workers"


async def command_worker(
    client: Client, prefix: str, worker_id: str, command: WorkerCommand, *, timeout: float
) -> WorkerAnswer:
    """Tell a worker something and return its answer. Raises WorkerNotFound, WorkerSilent or ConnectionFailed."""
    reply = f"{system_prefix(prefix)}reply:{secrets.token_hex(8)}"
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    client.subscribe(reply, lambda body: None if heard.done() else heard.set_result(body))
    sent = msgspec.structs.replace(command, reply=reply)
    try:
        async with asyncio.timeout(timeout):
            # On the connection that hears the answer, so behind the subscription to it.
            if not await client.call("SPUBLISH", worker_channel(prefix, worker_id), _encode(sent)):
                raise WorkerNotFound(worker_id)
            return _decode_answer(await heard)
    except TimeoutError:
        raise WorkerSilent(worker_id, timeout) from None
    finally:
        client.unsubscribe(reply)


async def answer_worker(client: Client, reply: str, answer: WorkerAnswer) -> None:
    """Answer a command."""
    await client.call("SPUBLISH", reply, _encode(answer))


async def write_scale(
    client: Client, prefix: str, queue: str, number: int | None, *, deadline: float | None = None
) -> bool:
    """Keep how many children of each worker serve a queue; None lets go of the number. Tells whether anything changed."""
    key = f"{system_prefix(prefix)}scale"
    if number is None:
        changed = bool(await client.call("HDEL", key, queue, deadline=deadline))
    else:
        before = await client.call("HGET", key, queue, deadline=deadline)
        changed = before != str(number).encode()
        await client.call("HSET", key, queue, number, deadline=deadline)
    await client.call(
        "SPUBLISH", every_worker(prefix), _encode(WorkerCommand(verb="scale")), deadline=deadline
    )
    return changed


async def read_scales(client: Client, prefix: str, *, deadline: float | None = None) -> Mapping[str, int]:
    """Read the numbers that hold, by queue."""
    raw = await client.call("HGETALL", f"{system_prefix(prefix)}scale", deadline=deadline)
    return {queue.decode(): int(number) for queue, number in cast("dict[bytes, bytes]", raw).items()}
