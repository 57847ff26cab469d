"""Run tools by their names: what the jobs of this queue carry and answer."""

from jobs_core.queues.tool_execution.queue import RUN_TOOL, TOOL_EXECUTION, RunTool, ToolResult

__all__ = ["RUN_TOOL", "TOOL_EXECUTION", "RunTool", "ToolResult"]
