"""Requests to a language model, over real HTTP to an endpoint of the test."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import cast

import msgspec
import pytest
from aiohttp import web
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from tests.support.http_server import HttpServer, serving

from jobs_core.payloads import JsonValue
from jobs_core.queues.llm_requests import LLM_REQUESTS, Complete, Completion, Message, Usage
from jobs_core.telemetry import Telemetry
from jobs_worker import Fail, JobContext, RateLimited
from jobs_worker.queues.llm_requests.processor import RequestFailed, complete
from jobs_worker.testing import Kit

KEY = "sk-canary-123456"
ANSWER = {
    "id": "c-1",
    "object": "chat.completion",
    "model": "small-2026",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Because."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}
ASKED = Complete(model="small", prompt="Why?")


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpServer]:
    async with serving() as server:
        monkeypatch.setenv("LLM_BASE_URL", f"{server.url}/v1/")
        monkeypatch.setenv("LLM_API_KEY", KEY)
        yield server


def answer(endpoint: HttpServer, content: object = ANSWER) -> None:
    endpoint.reply(200, msgspec.json.encode(content), Content_Type="application/json")


async def ask(payload: Complete = ASKED) -> Completion:
    async with JobContext.for_test("llm-requests", "complete") as ctx:
        return await complete(payload, ctx)


def sent(endpoint: HttpServer) -> JsonValue:
    return msgspec.json.decode(endpoint.bodies[-1])


async def test_tokens_are_measured_where_the_program_measures(
    endpoint: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr("jobs_core.telemetry.metrics.get_meter", provider.get_meter)
    made = Telemetry()
    monkeypatch.setattr("jobs_worker.queues.llm_requests.processor.telemetry", lambda: made)
    for _ in range(2):
        answer(endpoint)
        await ask()
    told = msgspec.json.decode(cast("MetricsData", reader.get_metrics_data()).to_json())
    metrics = {each["name"]: each for each in told["resource_metrics"][0]["scope_metrics"][0]["metrics"]}
    points = metrics["gen_ai.client.token.usage"]["data"]["data_points"]
    assert {
        (each["attributes"]["gen_ai.token.type"], each["attributes"]["gen_ai.response.model"], each["sum"])
        for each in points
    } == {("input", "small-2026", 18), ("output", "small-2026", 4)}
    provider.shutdown()


async def test_a_prompt_is_answered_and_its_tokens_counted(endpoint: HttpServer) -> None:
    answer(endpoint)
    completion = await ask()
    assert (completion.text, completion.model, completion.finish_reason) == ("Because.", "small-2026", "stop")
    assert completion.usage == Usage(prompt_tokens=9, completion_tokens=2, total_tokens=11)
    (request,) = endpoint.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert sent(endpoint) == {"model": "small", "messages": [{"role": "user", "content": "Why?"}]}


async def test_all_that_is_asked_is_sent(endpoint: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_API_KEY")
    answer(endpoint, ANSWER | {"usage": None, "model": ""})
    completion = await ask(
        Complete(
            model="small",
            system="Be short.",
            messages=[Message(role="user", content="Hi"), Message(role="assistant", content="Hello")],
            max_tokens=5,
            temperature=0.5,
            stop=["."],
            response_format="json",
        )
    )
    assert (completion.model, completion.usage) == ("small", Usage())
    assert "Authorization" not in endpoint.requests[0].headers
    assert sent(endpoint) == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
        ],
        "max_tokens": 5,
        "temperature": 0.5,
        "stop": ["."],
        "response_format": {"type": "json_object"},
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"retry_after_ms": "250", "Retry_After": "7"}, 0.25),
        ({"x_ratelimit_reset_requests": "6m0s"}, 360.0),
        ({"x_ratelimit_reset_requests": "1h2m3.5s"}, 3600.0),
        ({"x_ratelimit_reset_requests": "120ms"}, 0.12),
        ({"Retry_After": "soon"}, 5.0),
        ({"Retry_After": "-1"}, 5.0),
        ({}, 5.0),
    ],
    ids=repr,
)
async def test_a_limit_holds_back_the_queue(
    endpoint: HttpServer, headers: dict[str, str], expected: float
) -> None:
    endpoint.reply(429, '{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}', **headers)
    with pytest.raises(RateLimited, match="answered 429: slow down") as caught:
        await ask()
    assert (caught.value.after_ms, caught.value.scope) == (expected * 1000, "queue")


async def test_an_empty_account_fails_for_good(endpoint: HttpServer) -> None:
    endpoint.reply(429, '{"error": {"message": "You have no credit", "code": "insufficient_quota"}}')
    with pytest.raises(Fail, match="no credit"):
        await ask()


@pytest.mark.parametrize("status", [408, 500, 502, 503, 529])
async def test_passing_trouble_is_retried(endpoint: HttpServer, status: int) -> None:
    endpoint.reply(status, "overloaded")
    with pytest.raises(RequestFailed, match=f"{status}: overloaded") as caught:
        await ask()
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, '{"error": "wrong"}'),
        (401, '{"error": {"message": "wrong"}}'),
        (404, "wrong"),
        (307, "wrong"),
    ],
)
async def test_a_refusal_fails_for_good(endpoint: HttpServer, status: int, body: str) -> None:
    endpoint.reply(status, body, Location="https://elsewhere.example/")
    with pytest.raises(Fail, match=f"{status}: wrong"):
        await ask()


async def test_the_key_is_never_told(endpoint: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.reply(401, f'{{"error": {{"message": "bad {KEY} or sk-abc***456{"x" * 500}"}}}}')
    answer(endpoint)
    with pytest.raises(Fail) as caught:
        await ask()
    await ask()
    told = str(caught.value) + caplog.text
    assert "canary" not in told
    assert "456" not in told
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", [{"choices": []}, {"object": "list"}, "no JSON"], ids=repr)
async def test_an_answer_that_is_none_is_retried(endpoint: HttpServer, content: object) -> None:
    answer(endpoint, content)
    with pytest.raises(RequestFailed, match="answer"):
        await ask()


async def test_an_endpoint_that_does_not_answer_is_retried(
    endpoint: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    endpoint.answers.append(hang)
    with pytest.raises(RequestFailed, match=r"within 0\.05 s"):
        await ask(Complete(model="small", prompt="Why?", timeout=0.05))
    release.set()
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(RequestFailed, match="did not answer"):
        await ask()


def test_a_request_asks_one_thing() -> None:
    with pytest.raises(ValueError, match="either"):
        Complete(model="small")
    with pytest.raises(ValueError, match="either"):
        Complete(model="small", prompt="a", messages=[Message(role="user", content="b")])


async def test_a_limit_spends_no_attempt(endpoint: HttpServer, redis_url: str) -> None:
    assert (LLM_REQUESTS.weight, LLM_REQUESTS.concurrency) == ("medium", 3)
    endpoint.reply(429, "", Retry_After="90")
    answer(endpoint)
    answer(endpoint)
    async with Kit(complete, url=redis_url) as kit:
        job = await kit.producer.enqueue_llm_request("small", "Why?", attempts=1)
        await kit.advance(60)
        other = await kit.producer.enqueue_llm_request("small", "How?")
        await kit.advance(29)
        # Both wait for as long as the endpoint said.
        assert len(endpoint.requests) == 1
        await kit.advance(1)
        assert (await job.result(40)).text == (await other.result(40)).text == "Because."
        assert (await job.status()).attempts_made == 1
    assert len(endpoint.requests) == 3
