"""Flows over HTTP: the list, the graph, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.dashboards import sent

from jobs_core import Queue
from jobs_producer import Producer, Workflow

if TYPE_CHECKING:
    import httpx2

    from jobs_admin import Admin

TASK = Queue("near").job("task", payload=str, result=str)
REMOTE = Queue("far").job("remote", payload=str, result=str)


async def start(redis_url: str, prefix: str, flow_id: str) -> None:
    workflow = Workflow("pair", id=flow_id, metadata={"created_by": "ada"})
    first = workflow.add("first", TASK, "one", delay=60)
    workflow.add("second", REMOTE, "two", after=[first])
    async with Producer(redis_url, prefix=prefix) as producer:
        await workflow.start(producer)


async def test_a_flow_is_told_as_a_graph(ada: httpx2.AsyncClient, redis_url: str, prefix: str) -> None:
    await start(redis_url, prefix, "order/7")
    flow = await sent(ada, "GET", "/api/flows/order%2F7")
    assert (flow["id"], flow["kind"], flow["state"], flow["total"], flow["pending"]) == (
        *("order/7", "workflow", "running", 2, 2),
    )
    page = await sent(ada, "GET", "/api/flows/order%2F7/jobs")
    assert page["flow"] == flow
    assert [(job["label"], job["queue"], job["state"]) for job in page["jobs"]] == [
        ("first", "near", "delayed"),
        ("second", "far", "blocked"),
    ]
    assert page["jobs"][1]["after"] == [
        {"number": 0, "label": "first", "mode": "fail_parent", "child": False}
    ]
    (blocked,) = (await sent(ada, "GET", "/api/flows/order%2F7/jobs?state=blocked"))["jobs"]
    job = await sent(ada, "GET", f"/api/queues/far/jobs/{blocked['id'].replace('/', '%2F')}")
    assert [each["id"] for each in job["waits_for"]] == [page["jobs"][0]["id"]]
    # By the id of one of its jobs as well.
    assert await sent(ada, "GET", f"/api/flows/{blocked['id'].replace('/', '%2F')}") == flow


async def test_flows_are_listed_page_by_page(ada: httpx2.AsyncClient, redis_url: str, prefix: str) -> None:
    for flow_id in ("one", "two"):
        await start(redis_url, prefix, flow_id)
    first = await sent(ada, "GET", "/api/flows?limit=1")
    assert [each["id"] for each in first["flows"]] == ["two"]
    rest = await sent(ada, "GET", f"/api/flows?limit=1&cursor={first['cursor']}")
    assert [each["id"] for each in rest["flows"]] == ["one"]
    assert (await sent(ada, "GET", "/api/flows?state=failed"))["flows"] == []
    assert (await sent(ada, "GET", "/api/flows?queue=far"))["flows"] == []
    assert (await sent(ada, "GET", "/api/flows?state=done", status=422))["parameter"] == "state"


async def test_a_flow_is_cancelled_in_the_name_of_who_asked(
    ada: httpx2.AsyncClient, admin: Admin, redis_url: str, prefix: str
) -> None:
    await start(redis_url, prefix, "one")
    assert await sent(ada, "POST", "/api/flows/one/cancel", {"reason": "wrong day"}) == {"changed": True}
    assert await sent(ada, "POST", "/api/flows/one/cancel") == {"changed": False}
    assert (await admin.flow("one")).state == "cancelled"
    refused = await sent(ada, "POST", "/api/flows/one/retry", status=409)
    assert (refused["type"], "is cancelled" in refused["detail"]) == ("flow_not_failed", True)
    (_, entry) = (await admin.audit()).changes
    assert (entry.actor, entry.verb, entry.filter, entry.reason) == ("ada", "flow.cancel", "one", "wrong day")


async def test_a_flow_that_is_not_there(ada: httpx2.AsyncClient) -> None:
    for path in ("/api/flows/nobody", "/api/flows/nobody/jobs"):
        assert (await sent(ada, "GET", path, status=404))["type"] == "flow_not_found"
    for verb in ("cancel", "retry"):
        assert (await sent(ada, "POST", f"/api/flows/nobody/{verb}", status=404))["type"] == "flow_not_found"
    assert (await sent(ada, "GET", "/api/flows/x?queue=nope", status=404))["type"] == "unknown_queue"
