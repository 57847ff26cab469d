"""Live events."""

from __future__ import annotations

from jobs_dashboard.call import Call
from jobs_dashboard.records import EventsQuery
from jobs_dashboard.roles import Identity
from jobs_dashboard.streams import EventStream, Subscription


async def stream_events(call: Call, query: EventsQuery) -> EventStream:
    """Tell what goes on, as server-sent events.

    `event` is what happened (as `jobs events` tells it), with an id: a connection that broke goes on behind `Last-Event-ID`, or hears
    `reset` where events were missed. `stats` comes each second: at first all queues and workers, then those that changed. `away`
    tells that the server does not answer. `end` is the last one: `slow` for who did not keep up, `stopped` where the dashboard
    stops, `signed_out` for who may look no more.
    """
    subscription = Subscription(
        queues=frozenset(query.queue), job=query.job, events=query.events, stats=query.stats
    )
    last_id = call.request.headers.get("last-event-id", "") or query.last_event_id
    hub = call.services.hub
    try:
        await hub.open(subscription, last_id)
    except BaseException:
        hub.close(subscription)
        raise

    async def may_look() -> bool:
        return isinstance(await call.services.access.identify(call.request), Identity)

    return EventStream(hub, subscription, may_look)
