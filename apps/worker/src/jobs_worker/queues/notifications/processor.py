"""Tell people: choose the channel, and let the queue of that channel carry it there."""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from jobs_core.payloads import JsonValue
from jobs_core.queues.email.queue import SEND_EMAIL, SendEmail
from jobs_core.queues.notifications.contacts import Contact, load_contact
from jobs_core.queues.notifications.queue import (
    ALERT_ADMIN,
    NOTIFY,
    AlertAdmin,
    Channel,
    NotificationReceipt,
    Notify,
)
from jobs_core.queues.webhooks.queue import DELIVER, Deliver
from jobs_core.settings import FeatureSettings
from jobs_worker import Fail, JobContext, processor

_SUBJECT = "Notification"
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING}
_SUBJECT_LENGTH = 200


@processor(NOTIFY)
async def notify(payload: Notify, ctx: JobContext) -> NotificationReceipt:
    """Tell one user; the mail or webhook is enqueued as an effect of this job's success."""
    channel, address = payload.channel, payload.to
    if channel is None or (channel != "log" and address is None):
        contact = await asyncio.to_thread(_stored, payload)
        channel = channel or (contact.channel if contact is not None else "log")
        address = contact.address(channel) if contact is not None else None
    match channel:
        case "log":
            ctx.log.info(
                "notification", user_id=payload.user_id, text=payload.message, subject=payload.subject
            )
            return NotificationReceipt(notified=True, channels=("log",))
        case "email":
            job = _mail(ctx, _needed(address, channel, payload), payload.subject or _SUBJECT, payload.message)
        case "webhook":
            body: dict[str, JsonValue] = {"user_id": payload.user_id, "message": payload.message}
            if payload.subject is not None:
                body["subject"] = payload.subject
            if payload.data:
                body["data"] = dict(payload.data)
            job = _webhook(ctx, _needed(address, channel, payload), "notification", body)
    return NotificationReceipt(notified=True, channels=(channel,), jobs=(job,))


@processor(ALERT_ADMIN)
async def alert_admin(payload: AlertAdmin, ctx: JobContext) -> NotificationReceipt:
    """Tell the administrators by all ways that are set; the log always hears of it."""
    settings = FeatureSettings.from_env()
    channels: list[Channel] = ["log"]
    jobs: list[str] = []
    told = {"user_id": payload.user_id, "severity": payload.severity, **payload.details}
    level = _LEVELS.get(payload.severity, logging.ERROR)
    ctx.log.log(level, "alert", error=payload.error, text=payload.message, details=told)
    if settings.alert_email is not None:
        channels.append("email")
        context: dict[str, JsonValue] = {
            "title": payload.error,
            "message": payload.message or payload.error,
            "severity": payload.severity,
            "details": {name: _plain(value) for name, value in told.items() if value is not None},
        }
        mail = SendEmail(to=settings.alert_email, template="alert", context=context)
        jobs.append(f"email/{ctx.enqueue(SEND_EMAIL, mail)}")
    if settings.alert_webhook is not None:
        channels.append("webhook")
        body: dict[str, JsonValue] = {"error": payload.error, "message": payload.message, **told}
        jobs.append(_webhook(ctx, settings.alert_webhook, "alert", body))
    return NotificationReceipt(notified=True, channels=tuple(channels), jobs=tuple(jobs))


def _stored(payload: Notify) -> Contact | None:
    try:
        return load_contact(payload.user_id)
    except msgspec.MsgspecError as error:
        raise Fail(f"the stored choice of user {payload.user_id} cannot be read: {error}") from error


def _needed(address: str | None, channel: Channel, payload: Notify) -> str:
    if address is None:
        raise Fail(f"user {payload.user_id} has no address for {channel}: give `to`, or save_contact one")
    return address


def _mail(ctx: JobContext, address: str, subject: str, text: str) -> str:
    # A subject is one line; whatever else is in it is for the mail's own checks.
    subject = " ".join(subject.split())[:_SUBJECT_LENGTH] or _SUBJECT
    return f"email/{ctx.enqueue(SEND_EMAIL, SendEmail(to=address, subject=subject, text=text))}"


def _webhook(ctx: JobContext, url: str, event: str, body: Mapping[str, JsonValue]) -> str:
    return f"webhooks/{ctx.enqueue(DELIVER, Deliver(url=url, event=event, body=dict(body)))}"


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
