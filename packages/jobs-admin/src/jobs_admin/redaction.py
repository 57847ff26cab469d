"""What is shown of jobs whose payload or result holds what is marked by `redact`: a mask, wherever it would be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from msgspec.structs import replace

from jobs_admin._events import Event
from jobs_admin.records import JobDetail
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.errors import OptionError
from jobs_core.options import MetaValue
from jobs_core.records import AttemptRecord, JobRecord, LogRecord, job_name
from jobs_core.redaction import MASK, Mask
from jobs_core.wire import Progress

if TYPE_CHECKING:
    from jobs_core.discovery import Catalog
    from jobs_core.payloads import JsonValue
    from jobs_core.schedules.records import ScheduleRecord

__all__ = ["Redaction"]

R = TypeVar("R", bound=JobRecord)
_NOTHING = Mask()
_EDITED = "edited_original"
# What a dead letter holds of its job besides the payload, in a form of its own.
_PACKED = ("payload_base64", "head", "envelope")


class Redaction:
    """Masks records by what code declares of their jobs, in all versions."""

    def __init__(self, catalog: Catalog) -> None:
        """Gather the masks of declared jobs."""
        self._payloads: dict[tuple[str, str], Mask] = {}
        self._results: dict[tuple[str, str], Mask] = {}
        for queue in catalog.queues.values():
            for name in queue.jobs:
                kinds = [each for each in queue.versions.values() if each.name == name]
                payload = Mask.of(*(each.payload_type for each in kinds))
                result = Mask.of(*(each.result_type for each in kinds if each.declares_result))
                if payload.hides:
                    self._payloads[queue.name, name] = payload
                if result.hides:
                    self._results[queue.name, name] = result

    def hides(self, queue: str, name: str) -> bool:
        """Whether anything of a job is not shown."""
        return (queue, name) in self._payloads or (queue, name) in self._results

    def job(self, record: R) -> R:
        """Return a record as it is shown."""
        if record.queue == DEAD_LETTER_QUEUE:
            return self._letter(record)
        if not self.hides(record.queue, record.name):
            return record
        payload, result = self._masks(record.queue, record.name)
        scrub = _Scrub(payload, record.payload, result, record.result)
        shown = replace(
            record,
            payload=payload.apply(record.payload),
            result=scrub.value(result.apply(record.result)),
            progress=scrub.progress(record.progress),
            failed_reason=scrub.reason(record.failed_reason),
            metadata=scrub.metadata(record.metadata),
            tags=tuple(scrub.text(tag) for tag in record.tags),
        )
        if isinstance(shown, JobDetail):
            history = tuple(scrub.attempt(each) for each in shown.history)
            return cast("R", replace(shown, history=history))
        return shown

    def logs(self, record: JobRecord, lines: Sequence[LogRecord]) -> tuple[LogRecord, ...]:
        """Return the lines of a job (its record as it is, not as it is shown) as they are shown."""
        payload, result = self._masks(record.queue, record.name)
        scrub = _Scrub(payload, record.payload, result, record.result)
        return tuple(replace(line, message=scrub.reason(line.message) or "") for line in lines)

    def schedule(self, record: ScheduleRecord) -> ScheduleRecord:
        """Return a schedule as it is shown."""
        payload, result = self._masks(record.queue, record.name)
        if not payload.hides:
            return record
        scrub = _Scrub(payload, record.payload, result, None)
        return replace(
            record,
            payload=payload.apply(record.payload),
            note=scrub.text(record.note),
            metadata=scrub.metadata(record.metadata),
            tags=tuple(scrub.text(tag) for tag in record.tags),
        )

    def event(self, event: Event) -> Event:
        """Return an event as it is shown: of what it says of such a job only a number, since the payload is not at hand."""
        if event.data is None or isinstance(event.data, (int, float)):
            return event
        # The result and the errors of the queue of dead letters tell of any job.
        if event.queue != DEAD_LETTER_QUEUE and not self.hides(event.queue, event.name):
            return event
        return replace(event, data=None, left_out=True)

    def restore(self, record: JobRecord, edited: JsonValue) -> JsonValue:
        """Return a payload that somebody edited, with what stood behind the masks in it; `record` is not as it is shown.

        Raises OptionError where that cannot be known.
        """
        queue, name, original = record.queue, record.name, record.payload
        if queue == DEAD_LETTER_QUEUE and isinstance(original, Mapping):
            queue, name = str(original.get("queue", "")), job_name(str(original.get("name", "")))
            original = original.get("payload")
        mask, _ = self._masks(queue, name)
        restored = mask.restore(edited, original)
        if mask.has_mask(restored):
            reason = f"a mask ({MASK}) stands in it for what is not known; give the value itself"
            raise OptionError("payload", MASK, reason)
        return restored

    def _masks(self, queue: str, name: str) -> tuple[Mask, Mask]:
        return self._payloads.get((queue, name), _NOTHING), self._results.get((queue, name), _NOTHING)

    def _letter(self, record: R) -> R:
        """Return the job that is a dead letter as it is shown: what it tells of is another job."""
        letter = record.payload
        if not isinstance(letter, Mapping):
            return record
        mask, _ = self._masks(str(letter.get("queue", "")), job_name(str(letter.get("name", ""))))
        if not mask.hides:
            return record
        original = letter.get("payload")
        scrub = _Scrub(mask, original, _NOTHING, None)
        shown: dict[str, JsonValue] = {
            key: MASK if key in _PACKED and value else scrub.letter(key, value)
            for key, value in letter.items()
            if key != "payload"
        }
        if "payload" in letter:
            shown["payload"] = mask.apply(original)
        reason = scrub.reason(record.failed_reason)
        metadata = scrub.metadata(record.metadata)
        return replace(
            record, payload=shown, result=scrub.value(record.result), failed_reason=reason, metadata=metadata
        )


class _Scrub:
    """Takes out of texts what is hidden in the payload and the result of one job."""

    def __init__(self, payload: Mask, given: JsonValue, result: Mask, made: JsonValue) -> None:
        found = payload.secrets(given) | result.secrets(made)
        # The longest first: one may be a part of another.
        self._secrets = sorted(found, key=len, reverse=True)
        # Without the payload nobody can tell what of a text is to be hidden.
        self._blind = payload.hides and (given is None or _unreadable(given))
        self._payload = payload

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def reason(self, text: str | None) -> str | None:
        """Return the text of an error, of which only the type is left where nothing is known of what is hidden."""
        if text is None or not self._blind:
            return None if text is None else self.text(text)
        kind, colon, _ = text.partition(": ")
        return f"{kind}: {MASK}" if colon and kind.replace(".", "_").isidentifier() else MASK

    def value(self, value: JsonValue) -> JsonValue:
        """Return JSON with all of its texts scrubbed."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self.value(each) for key, each in value.items()}
        if isinstance(value, Sequence):
            return [self.value(each) for each in value]
        return value

    def letter(self, key: str, value: JsonValue) -> JsonValue:
        """Return a field of a dead letter."""
        if key == "reason" and isinstance(value, str):
            return self.reason(value)
        if key == "metadata" and isinstance(value, Mapping):
            return cast("JsonValue", self.metadata(cast("Mapping[str, MetaValue]", value)))
        if key == "attempts" and self._blind and isinstance(value, Sequence):
            hidden = {"error": MASK, "stack": MASK}
            return [{**each, **hidden} if isinstance(each, Mapping) else MASK for each in value]
        return self.value(value)

    def metadata(self, metadata: Mapping[str, MetaValue]) -> dict[str, MetaValue]:
        """Return metadata; of a replay that was edited they hold the payload before."""
        shown = {
            key: self.text(value) if isinstance(value, str) else value for key, value in metadata.items()
        }
        before = metadata.get(_EDITED)
        if isinstance(before, str) and not before.startswith("sha256:"):
            shown[_EDITED] = self._before(before)
        return shown

    def progress(self, progress: float | Progress | None) -> float | Progress | None:
        if isinstance(progress, Progress) and progress.message is not None:
            return replace(progress, message=self.reason(progress.message))
        return progress

    def attempt(self, attempt: AttemptRecord) -> AttemptRecord:
        if self._blind:
            return replace(attempt, error=MASK, stack=MASK)
        return replace(attempt, error=self.text(attempt.error), stack=self.text(attempt.stack))

    def _before(self, text: str) -> str:
        try:
            payload = cast("JsonValue", msgspec.json.decode(text))
        except msgspec.DecodeError:
            return MASK
        return msgspec.json.encode(self._payload.apply(payload)).decode()


def _unreadable(payload: JsonValue) -> bool:
    """Tell whether a mark stands for a payload that could not be opened."""
    return isinstance(payload, Mapping) and any(key.startswith("$") for key in payload)
