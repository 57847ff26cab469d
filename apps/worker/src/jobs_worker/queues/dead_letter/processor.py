"""Tell of what failed for good: a log line for each dead letter, which then stays until it is replayed or removed.

A processor of your own takes this one's place: `@processor(DEAD_LETTER)` in a package of JOBS_PROCESSORS.
"""

import msgspec

from jobs_core.payloads import JsonValue
from jobs_core.queues.dead_letter.queue import DEAD_LETTER, DEAD_LETTERS
from jobs_worker import JobContext, processor


# For the queue as a whole, so that a processor of the job itself, which users may have, goes before it.
@processor(DEAD_LETTERS)
async def tell(payload: JsonValue, ctx: JobContext) -> None:
    """Write down what failed, and by which kind of error."""
    letter = DEAD_LETTER.decode(msgspec.json.encode(payload))
    ctx.log.error(
        "dead_letter",
        dead_queue=letter.queue,
        dead_job_id=letter.id,
        dead_job=letter.name,
        # Not the reason: nobody here knows what of it is to be hidden. The letter has it, and so has the line of the failure.
        group=letter.group,
        attempts=len(letter.attempts),
        stalled=letter.stalled,
        trace_id=letter.trace_id or None,
    )
