"""Run one tool: look it up, check the arguments, call it in a process of its own."""

import time
from functools import lru_cache

from jobs_core.queues.tool_execution.queue import RUN_TOOL, RunTool, ToolResult
from jobs_core.settings import CommonSettings
from jobs_worker import Fail, JobContext, processor
from jobs_worker.tools import Tool, ToolAnswerError, ToolArgumentError, UnknownTool, find_tool, load_tools


@processor(RUN_TOOL, executor="process")
def run_tool(payload: RunTool, ctx: JobContext) -> ToolResult:
    """Call the tool; a job can name one and give it arguments, and nothing else."""
    started = time.monotonic()
    try:
        tool = find_tool(_tools(), payload.tool)
        output = tool.call(payload.arguments, ctx)
    except (UnknownTool, ToolArgumentError, ToolAnswerError) as error:
        raise Fail(str(error)) from error
    duration_ms = round((time.monotonic() - started) * 1000)
    ctx.log.info("tool.called", tool=payload.tool, duration_ms=duration_ms)
    return ToolResult(tool=payload.tool, output=output, duration_ms=duration_ms)


@lru_cache(maxsize=1)
def _tools() -> dict[str, Tool]:
    # Once in each process: what is imported stays.
    return load_tools(CommonSettings.from_env().processors)
