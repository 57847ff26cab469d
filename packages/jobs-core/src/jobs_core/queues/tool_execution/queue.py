"""Declare the queue that runs tools."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from jobs_core.flow import RateLimit
from jobs_core.payloads import JsonValue
from jobs_core.queue import MEDIUM, Queue

TOOL_EXECUTION = Queue("tool-execution", profile=MEDIUM, concurrency=10, rate_limit=RateLimit(100, per=1))


class RunTool(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Call a tool that the worker has by its name; the arguments must fit the tool's signature."""

    tool: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    arguments: Mapping[str, JsonValue] = {}


class ToolResult(Struct, frozen=True, kw_only=True):
    """What the tool returned, as JSON."""

    tool: str
    output: JsonValue
    duration_ms: int


RUN_TOOL = TOOL_EXECUTION.job("run", payload=RunTool, result=ToolResult, attempts=3, timeout=60)
