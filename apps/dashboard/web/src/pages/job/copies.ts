// A job as a command, and as a test, to be pasted elsewhere.

import { moment } from "../../lib/format";
import type { JobDetail } from "../../lib/schema";
import { FINAL } from "../../lib/terms";

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
/** One line of JSON in quotes is a text of Python, too. */
const literal = (value: unknown): string => JSON.stringify(value);

/** What enqueues a job that ended once more, or shows one that has not. */
export const asCommand = (job: JobDetail): string =>
  FINAL.has(job.state)
    ? `jobsctl enqueue ${job.queue} ${job.name} ${quoted(JSON.stringify(job.payload))}`
    : `jobsctl show ${job.queue} ${quoted(job.id)}`;

/** What runs its payload once through its handler, on a server of its own. */
export const asTest = (job: JobDetail): string => `"""${job.queue} ${job.name}, ${job.state} ${moment(job.finished_at ?? job.created_at)}. What is hidden stands as ***."""

import json

from jobs_core.server import EmbeddedServer
from jobs_producer import Producer
from jobs_worker import Worker

PAYLOAD = json.loads(${literal(JSON.stringify(job.payload))})


async def test_${job.name.replace(/\W/g, "_")}() -> None:
    # The handler is found as a worker finds it: by JOBS_FEATURES and JOBS_PROCESSORS.
    with EmbeddedServer() as server:
        async with Worker(queues=[${literal(job.queue)}], url=server.url), Producer(server.url) as producer:
            job = await producer.queue(${literal(job.queue)}).enqueue(${literal(job.name)}, PAYLOAD, attempts=1, result_ttl=60)
            # Raises what the handler raises.
            await job.result(timeout=60)
`;
