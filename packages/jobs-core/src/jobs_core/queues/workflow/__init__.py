"""Run declared workflows by name: what the jobs of this queue carry and answer."""

from jobs_core.queues.workflow.queue import RUN_WORKFLOW, WORKFLOW, RunWorkflow, WorkflowResult

__all__ = ["RUN_WORKFLOW", "WORKFLOW", "RunWorkflow", "WorkflowResult"]
