"""Deliver webhooks: what the jobs of this queue carry and answer, and how a receiver checks them."""

from jobs_core.queues.webhooks.queue import DELIVER, WEBHOOKS, Deliver, WebhookReceipt
from jobs_core.queues.webhooks.signature import verify_signature

__all__ = ["DELIVER", "WEBHOOKS", "Deliver", "WebhookReceipt", "verify_signature"]
