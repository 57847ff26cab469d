"""Ask language models: what the jobs of this queue carry and answer."""

from jobs_core.queues.llm_requests.queue import COMPLETE, LLM_REQUESTS, Complete, Completion, Message, Usage

__all__ = ["COMPLETE", "LLM_REQUESTS", "Complete", "Completion", "Message", "Usage"]
