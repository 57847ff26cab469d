"""What `import jobs_core` promises."""

import jobs_core
from jobs_core import errors


def test_public_names_are_these() -> None:
    others = set(jobs_core.__all__) - set(errors.__all__)
    assert others == {
        "HEAVY",
        "LIGHT",
        "MEDIUM",
        "Backoff",
        "Call",
        "Chain",
        "Codec",
        "Codecs",
        "Debounce",
        "CancelOutcome",
        "Custom",
        "DefaultJobOptions",
        "Delays",
        "Duration",
        "Executor",
        "Exponential",
        "Fixed",
        "Format",
        "JobOptions",
        "JobType",
        "JsonValue",
        "Keep",
        "KeyLimits",
        "KeyRing",
        "Linear",
        "MetaValue",
        "Priority",
        "Profile",
        "Queue",
        "QueueOptions",
        "RateLimit",
        "RunAll",
        "ScheduleOptions",
        "SchedulePage",
        "ScheduleRecord",
        "ScheduledJobOptions",
        "State",
        "Throttle",
        "Unique",
        "redact",
        "upcast",
    }


def test_public_names_exist_and_hold_all_errors() -> None:
    assert all(hasattr(jobs_core, name) for name in jobs_core.__all__)
    assert set(errors.__all__) <= set(jobs_core.__all__)
    assert len(jobs_core.__all__) == len(set(jobs_core.__all__))


def test_final_states_are_the_ends_of_a_job() -> None:
    final = {state.value for state in jobs_core.State if state.final}
    assert final == {"completed", "failed", "cancelled", "expired"}
