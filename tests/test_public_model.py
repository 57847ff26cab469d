"""The public API against a model of it in plain Python: random lives of jobs on a real server whose time stands still between calls."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

pytest.register_assert_rewrite(
    *(f"tests.support.public_{each}" for each in ("callers", "workers", "people", "world"))
)
from tests.support.public_queues import QUEUES  # noqa: E402 - their asserts tell what differs
from tests.support.public_world import World  # noqa: E402


class Machine(RuleBasedStateMachine):
    """Lives of which Hypothesis finds the shortest that goes wrong."""

    url = ""
    kind = "plain"

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.url, self.kind)
        self.drawn: Counter[int] = Counter()

    @initialize()
    def begin(self) -> None:
        self.world.begin()

    # One rule with all that can happen: many rules would be switched off in most lives, and values drawn one by one are too
    # much alike.

    @rule(seed=st.integers(0, 2**64 - 1))
    def live(self, seed: int) -> None:
        # Lives of the same few numbers are the first that are tried: what comes again means something else.
        self.drawn[seed] += 1
        what, chosen = self.world.choose(Random(f"{seed} {self.drawn[seed]}"))
        note(f"{what} {chosen}")
        self.world.do(what, chosen)

    @invariant()
    def same(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.end()


# A few long lives, for in those that Hypothesis makes little happens before it has made many. What the test below finds it makes short.
@pytest.mark.parametrize("life", range(int(os.environ.get("JOBS_MODEL_LIVES", "2"))))
@pytest.mark.parametrize("kind", QUEUES)
def test_the_public_api_does_what_its_model_says(redis_url: str, kind: str, life: int) -> None:
    world, rng, calls = World(redis_url, kind), Random(life), list[str]()
    world.begin()
    try:
        for _ in range(MOVES):
            what, chosen = world.choose(rng)
            calls.append(f"{what} {chosen}")
            world.do(what, chosen)
            world.check()
    except BaseException as error:
        error.add_note("\n".join(calls[-60:]))
        raise
    finally:
        world.end()
    for what, times in world.hits.most_common():
        print(f"{kind} {life}: {times} x {what}")  # noqa: T201 - shown under -s


MOVES = int(os.environ.get("JOBS_MODEL_MOVES", "140"))


@pytest.mark.chaos
@pytest.mark.parametrize("kind", QUEUES)
def test_no_life_of_the_public_api_is_another_than_its_model_says(redis_url: str, kind: str) -> None:
    examples = int(os.environ.get("JOBS_MODEL_EXAMPLES", "400"))
    run_state_machine_as_test(
        type("Machine", (Machine,), {"url": redis_url, "kind": kind}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=100,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
            ],
            print_blob=True,
            phases=[each for each in Phase if "JOBS_MODEL_RAW" not in os.environ or each is Phase.generate],
        ),
    )
