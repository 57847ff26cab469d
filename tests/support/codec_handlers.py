"""A queue whose payloads and results are compressed, encrypted and kept in files, and handlers in all three executors."""

from __future__ import annotations

from typing import TypeAlias

from jobs_core import Codec, Fixed, JobType, JsonValue, Queue
from jobs_worker import JobContext, processor

Job: TypeAlias = JobType[str, str]

VAULT = Queue(
    "vault",
    codec=Codec(compress=True, encrypt=True, offload=4096),
    default_job_options={"backoff": Fixed(0), "result_ttl": 60},
)
ON_LOOP = VAULT.job("on-loop", str, str)
IN_THREAD = VAULT.job("in-thread", str, str)
IN_PROCESS = VAULT.job("in-process", str, str)


@processor(ON_LOOP)
async def on_loop(payload: str, ctx: JobContext) -> str:
    return payload[::-1]


@processor(IN_THREAD, executor="thread")
def in_thread(payload: str, ctx: JobContext) -> str:
    return payload[::-1]


@processor(IN_PROCESS, executor="process")
def in_process(payload: str, ctx: JobContext) -> str:
    return payload[::-1]


@processor(VAULT)
async def anything(payload: JsonValue, ctx: JobContext) -> JsonValue:
    return payload
