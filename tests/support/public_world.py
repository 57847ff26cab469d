"""Producer, admin and a worker's own code beside the model of them: what happens next, and what must agree."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import cast

from tests.support.public_callers import Callers
from tests.support.public_moves import MOVES, MOVING, NAMES, STEADY, WEIGHTS
from tests.support.public_people import People
from tests.support.public_workers import Workers

from jobs_core.connection.protocol import Reply


def pairs(reply: Reply) -> list[tuple[bytes, bytes]]:
    return [*cast("dict[bytes, bytes]", reply).items()]


class World(Callers, Workers, People):
    """Drives all with the same calls, and holds what is there against the model."""

    def same_states(self) -> None:
        if not self.seen:
            return
        found = self.run(self.scripts.lookup("mail", ids=self.seen))
        states = ["removed" if each.state == "finished" else each.state for each in found]
        assert dict(zip(self.seen, states, strict=True)) == {
            each: self.model.where(each) for each in self.seen
        }
        page = self.run(self.scripts.page("mail", home="waiting", newest=False, limit=500))
        waiting = self.model.of("waiting")
        assert page.ids == [job.id for job in waiting]
        # Dead letters take stamps too, of which the model knows nothing: so to the millisecond.
        for score, job in zip(page.scores, waiting, strict=True):
            assert abs(float(score) - job.place[0]) < 1000, job

    def same_keys(self) -> None:
        """Who holds a unique key, and who waits behind."""
        if hasattr(self, "relay"):
            holders, behind = (
                {
                    key.decode().removeprefix("send:"): job_id.decode()
                    for key, job_id in pairs(self.run(self.client.call("HGETALL", f"jobs:{{mail}}:{name}")))
                }
                for name in ("uniq", "uniq.next")
            )
            model = self.model.unique
            assert holders == {key: each.id for key, each in model.items()}
            assert behind == {key: each.behind for key, each in model.items() if each.behind}

    def same_letters(self) -> None:
        if hasattr(self, "relay"):
            page = self.run(self.scripts.page("dead-letter", home="waiting", newest=False))
            assert sorted(page.ids) == sorted(each for each, _ in self.letters())

    def same_batches(self) -> None:
        """Where each batch is, how its jobs ended, and the callbacks that it sent."""
        for batch in self.kept:
            told = self.run(self.scripts.flow_show("mail", flow_id=batch.id))
            ends = Counter("x" if end == "cancelled" else end[0] for end in batch.ends.values())
            assert (told.state, told.total, told.resolved) == (batch.state, batch.total, len(batch.ends))
            assert Counter({sign: n for sign, n in told.counts.items() if n}) == ends
        if self.batches:
            page = self.run(self.admin.jobs("callbacks", limit=100))
            sent = Counter(str(job.payload) for job in page.jobs)
            assert sent == Counter(
                f"{batch.id} {moment}" for batch in self.batches.values() for moment in batch.sent
            )

    def sound(self) -> None:
        # All that there is to judge takes as long as ten of the calls.
        self.steps += 1
        if self.steps % 10 == 0:
            self.judge()

    def check(self) -> None:
        """Hold what is there against the model."""
        if hasattr(self, "relay"):
            for same in (self.same_states, self.same_keys, self.same_letters, self.same_batches):
                same()
            self.model.turns.can(self.model.may_turn())
            self.sound()

    def choose(self, rng: Random) -> tuple[str, dict[str, object]]:
        """Choose what happens next, of what can."""
        needs = {
            "settle": self.deliveries,
            "replay": self.model.letters,
            "look": self.model.jobs,
            "limit": self.seen if self.kind != "plain" else [],
            "fill": self.kept,
            "flood": self.seen if self.model.keyed and len(self.model.of("waiting")) < 60 else [],
        }
        free = {"enqueue", "time_passes", "claim", "die", "know_more_names", "trim", "batch"}
        if not self.weights:
            # What disturbs is rare in some lives, so that the others come far.
            rare = rng.choice((0.2, 0.6, 1))
            self.weights = [
                weight * (1 if name in STEADY else rare) for name, weight in zip(NAMES, WEIGHTS, strict=True)
            ]
        while True:
            (what,) = rng.choices(NAMES, self.weights)
            if what in free or needs.get(what, self.seen):
                return what, {name: rng.choice(values) for name, values in MOVES[what][1].items()}

    def do(self, what: str, chosen: dict[str, object]) -> None:
        """Let it happen, here and in the model."""
        self.hits[what] += 1
        getattr(self, what)(**chosen)
        self.relay_all()
        if what in MOVING or chosen.get("asked"):
            # It may have taken the last job of a key, and brought another: a key that comes back has a later turn.
            self.model.turns.ahead.clear()
