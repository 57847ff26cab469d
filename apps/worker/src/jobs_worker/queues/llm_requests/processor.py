"""Ask a language model over an OpenAI-compatible HTTP endpoint."""

import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NoReturn

import aiohttp
import msgspec
from msgspec import Struct

from jobs_core.errors import JobsError, SettingsError
from jobs_core.payloads import JsonValue
from jobs_core.queues.llm_requests.queue import COMPLETE, Complete, Completion, Usage
from jobs_core.settings import FeatureSettings
from jobs_core.tracing import telemetry
from jobs_worker import Fail, JobContext, RateLimited, processor

_SUCCESS = 200
_RATE_LIMITED = 429
_RETRIED = frozenset({408, 409, 425})
_SERVER_ERROR = 500
_SHOWN = 300
_MAX_ANSWER = 16 * 1024 * 1024
_DEFAULT_WAIT = 5.0
_LONGEST_WAIT = 3600.0
# No wait gives an account its money back.
_FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


class RequestFailed(JobsError):
    """The endpoint gave no answer this time; another attempt can help. `status` is 0 where nothing came."""

    code = "llm_request_failed"

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


class _Text(Struct, frozen=True):
    content: str | None = None


class _Choice(Struct, frozen=True):
    message: _Text
    finish_reason: str | None = None


class _Answer(Struct, frozen=True):
    choices: list[_Choice]
    model: str = ""
    usage: Usage | None = None


class _Error(Struct, frozen=True):
    message: str = ""
    code: str | int | None = None
    type: str | None = None


class _Refusal(Struct, frozen=True):
    error: _Error | str


class Endpoint:
    """The endpoint of a worker child: its address, its key, and the connections to it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str | None) -> None:
        self.session = session
        self.url = url
        self._key = key

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def masked(self, text: str) -> str:
        """Return a text on one line, without the key, and not too long to be kept with the job."""
        if self._key:
            text = text.replace(self._key, "***")
        # Endpoints like to quote the head and the tail of a key that they refuse.
        text = re.sub(r"\b(sk|key)-[\w*-]{6,}", "***", text)
        return " ".join(text.split())[:_SHOWN]


@asynccontextmanager
async def open_endpoint() -> AsyncGenerator[Endpoint]:
    """Open the connections that all requests of a worker child share."""
    settings = FeatureSettings.from_env()
    if settings.llm_base_url is None:
        raise SettingsError("LLM_BASE_URL", "", "the URL of an OpenAI-compatible API, such as https://…/v1")
    url = f"{settings.llm_base_url.rstrip('/')}/chat/completions"
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Endpoint(session, url, settings.llm_api_key)


@processor(COMPLETE, requires=("LLM_BASE_URL",))
async def complete(payload: Complete, ctx: JobContext) -> Completion:
    """Ask once. A limit of the endpoint holds back the whole queue and spends no attempt."""
    endpoint = await ctx.shared(open_endpoint)
    started = time.monotonic()
    try:
        async with endpoint.session.post(
            endpoint.url,
            data=msgspec.json.encode(_body(payload)),
            headers={
                "Content-Type": "application/json",
                "User-Agent": "jobs-llm-requests/1",
                **endpoint.headers,
            },
            timeout=aiohttp.ClientTimeout(total=payload.timeout),
            # A redirect would take the key along.
            allow_redirects=False,
        ) as response:
            content = await _read(response)
            if response.status != _SUCCESS:
                _refuse(endpoint, response, content)
    except TimeoutError as error:
        raise RequestFailed(0, f"the endpoint did not answer within {payload.timeout:g} s") from error
    except aiohttp.ClientError as error:
        raise RequestFailed(0, endpoint.masked(f"the endpoint did not answer: {error}")) from error
    answer = _decoded(content)
    duration_ms = round((time.monotonic() - started) * 1000)
    usage = answer.usage or Usage()
    model = answer.model or payload.model
    ctx.log.info(
        "llm.completed",
        model=model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        duration_ms=duration_ms,
    )
    _measure(payload.model, model, usage)
    choice = answer.choices[0]
    return Completion(
        text=choice.message.content or "",
        model=model,
        finish_reason=choice.finish_reason or "",
        usage=usage,
        attempts=ctx.attempt,
        duration_ms=duration_ms,
    )


def _measure(asked: str, answered: str, usage: Usage) -> None:
    """Record the tokens where the program measures, so that they are known when the job is gone."""
    found = telemetry()
    if found is None:
        return
    for kind, tokens in (("input", usage.prompt_tokens), ("output", usage.completion_tokens)):
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": asked,
            "gen_ai.response.model": answered,
            "gen_ai.token.type": kind,
        }
        found.tokens.record(tokens, attributes)


def _body(payload: Complete) -> dict[str, JsonValue]:
    messages: list[JsonValue] = []
    if payload.system is not None:
        messages.append({"role": "system", "content": payload.system})
    messages += [{"role": message.role, "content": message.content} for message in payload.messages]
    if payload.prompt is not None:
        messages.append({"role": "user", "content": payload.prompt})
    body: dict[str, JsonValue] = {"model": payload.model, "messages": messages}
    if payload.max_tokens is not None:
        body["max_tokens"] = payload.max_tokens
    if payload.temperature is not None:
        body["temperature"] = payload.temperature
    if payload.stop:
        body["stop"] = list(payload.stop)
    if payload.response_format == "json":
        body["response_format"] = {"type": "json_object"}
    return body


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > _MAX_ANSWER:
            response.close()
            raise Fail(f"the endpoint answered with more than {_MAX_ANSWER} bytes")
    return bytes(content)


def _decoded(content: bytes) -> _Answer:
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except msgspec.MsgspecError as error:
        raise RequestFailed(
            _SUCCESS, f"the endpoint's answer is none of a chat completion: {error}"
        ) from error
    if not answer.choices:
        raise RequestFailed(_SUCCESS, "the endpoint's answer holds no choice")
    return answer


def _refuse(endpoint: Endpoint, response: aiohttp.ClientResponse, content: bytes) -> NoReturn:
    """Raise what the status means: later for the whole queue, another attempt, or none."""
    code, told = _told(content)
    reason = f"the endpoint answered {response.status}"
    told = endpoint.masked(told)
    reason = f"{reason}: {told}" if told else reason
    if response.status == _RATE_LIMITED and code not in _FINAL_CODES:
        raise RateLimited(_wait(response), scope="queue", reason=reason)
    if response.status in _RETRIED or response.status >= _SERVER_ERROR:
        raise RequestFailed(response.status, reason)
    raise Fail(reason)


def _told(content: bytes) -> tuple[str, str]:
    """Return the code and the message of a refusal, as far as it has them."""
    try:
        error = msgspec.json.decode(content, type=_Refusal).error
    except msgspec.MsgspecError:
        return "", content.decode(errors="replace")
    if isinstance(error, str):
        return "", error
    return str(error.code or error.type or ""), error.message


def _wait(response: aiohttp.ClientResponse) -> float:
    """Return how long to wait, in seconds, by whatever header the endpoint has for it."""
    headers = response.headers
    waits = (
        _number(headers.get("retry-after-ms", ""), 1000),
        _number(headers.get("Retry-After", ""), 1),
        _duration(headers.get("x-ratelimit-reset-requests", "")),
    )
    found = next((wait for wait in waits if wait), _DEFAULT_WAIT)
    return min(found, _LONGEST_WAIT)


def _number(text: str, unit: int) -> float | None:
    try:
        seconds = float(text) / unit
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


def _duration(text: str) -> float | None:
    """Read `1s`, `6m0s`, `120ms`, as endpoints write them."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return (hours * 60 + minutes) * 60 + seconds + milliseconds / 1000
