"""Declare the queue of requests to a language model."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from jobs_core.flow import RateLimit
from jobs_core.queue import MEDIUM, Queue

LLM_REQUESTS = Queue("llm-requests", profile=MEDIUM, concurrency=3, rate_limit=RateLimit(10, per=1))


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class Complete(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ask a model to go on: after one prompt, or after the messages of a conversation.

    `system` goes before either. `response_format` json asks for a JSON object. `timeout` is in seconds and holds for one
    attempt.

    Raises ValueError unless exactly one of `prompt` and `messages` is given.
    """

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    prompt: Annotated[str, Meta(min_length=1)] | None = None
    messages: Sequence[Message] = ()
    system: str | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    stop: Annotated[Sequence[str], Meta(max_length=4)] = ()
    response_format: Literal["text", "json"] = "text"
    timeout: Annotated[float, Meta(gt=0, le=600)] = 120.0

    def __post_init__(self) -> None:
        """Refuse a request that asks nothing, or two things."""
        if (self.prompt is None) == (not self.messages):
            raise ValueError("give either `prompt` or `messages`")


class Usage(Struct, frozen=True, kw_only=True):
    """What an answer cost, in tokens, as the endpoint counts them; 0 where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Completion(Struct, frozen=True, kw_only=True):
    """What the model answered. `finish_reason` is `stop`, `length` or whatever else the endpoint says."""

    text: str
    model: str
    finish_reason: str
    usage: Usage
    attempts: int
    duration_ms: int


COMPLETE = LLM_REQUESTS.job("complete", payload=Complete, result=Completion, attempts=4, timeout=660)
