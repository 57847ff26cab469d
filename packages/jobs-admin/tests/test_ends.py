"""What an operator ends is told at once to who waits for it, also where no worker serves the queue."""

import pytest
from tests.support.engine import draft
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.flows.edges import Edge, Mode
from jobs_core.options import resolve
from jobs_core.queue import Queue
from jobs_core.wire import EFFECTS, OWN_ID, Envelope, encode_envelope, pack_drafts

ENVELOPE = encode_envelope(Envelope(resolve(Queue("mail").dynamic_job("send"), {}).policy, b"{}"))


@pytest.mark.parametrize("verb", ["cancel", "remove", "drain", "obliterate", "bulk cancel", "bulk remove"])
async def test_who_waits_for_it_runs(admin: Admin, mail: Seeder, verb: str) -> None:
    edge = Edge("reports", "p", 0, Mode.IGNORE)
    for queue, options in (("reports", "blocks=1"), ("mail", f"edges={edge}")):
        job_id, flags = ("p", OWN_ID) if queue == "reports" else ("k", OWN_ID | EFFECTS)
        job = draft(job_id, flags=flags, envelope=ENVELOPE, options=options)
        await mail.scripts.enqueue(queue, session=queue, seq=1, jobs=pack_drafts([job]))
    if verb.startswith("bulk"):
        word = "cancel" if verb == "bulk cancel" else "remove"
        assert (await admin.bulk(word, "mail", "id:k")).count == 1
    elif verb in {"cancel", "remove"}:
        await getattr(admin, verb)("mail", "k")
    else:
        assert await getattr(admin, verb)("mail") == 1
    (found,) = await mail.scripts.lookup("reports", ids=["p"])
    assert found.state == "waiting"
