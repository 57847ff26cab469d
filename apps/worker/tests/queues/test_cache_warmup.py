"""A cache of pages, filled from a real HTTP server into a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.support.http_server import HttpServer, serving
from tests.support.waiting import until

from jobs_core.errors import SettingsError
from jobs_core.queues.cache_warmup import CACHE_WARMUP, NotWarmed, Warm, WarmResult
from jobs_core.queues.cache_warmup.pages import Page, PageCache
from jobs_worker import Fail, JobContext
from jobs_worker.queues.cache_warmup.processor import WarmupFailed, warm


@pytest.fixture
async def site(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpServer]:
    async with serving() as server:
        monkeypatch.setenv("CACHE_URL", redis_url)
        monkeypatch.setenv("CACHE_ALLOW_HOSTS", f"127.0.0.1:{server.port}")
        yield server


async def run(payload: Warm) -> WarmResult:
    async with JobContext.for_test("cache-warmup", "warm") as ctx:
        return await warm(payload, ctx)


async def cached(url: str) -> Page | None:
    async with PageCache.from_env() as cache:
        return await cache.get(url)


async def test_pages_are_fetched_and_served_while_their_time_lasts(site: HttpServer) -> None:
    site.reply(200, "<p>Grüße</p>", Content_Type="text/html; charset=utf-8")
    url = f"{site.url}/start?a=b"
    result = await run(Warm(urls=[url], ttl=60))
    assert result == WarmResult(warmed=1, unchanged=0, bytes=14, failed=[])
    page = await cached(url)
    assert page is not None
    assert page.body.decode() == "<p>Grüße</p>"
    assert page.content_type == "text/html; charset=utf-8"
    assert 0 <= page.age < 30
    assert 30 < page.ttl <= 60
    assert await cached(f"{site.url}/other") is None


async def test_without_pages_those_of_the_environment_are_fetched(
    site: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Fail, match="CACHE_WARMUP_URLS"):
        await run(Warm())
    monkeypatch.setenv("CACHE_WARMUP_URLS", f"{site.url}/a, {site.url}/b")
    site.reply(200, "here")
    site.reply(200, "there")
    assert (await run(Warm())).warmed == 2
    assert await cached(f"{site.url}/b") is not None


async def test_the_time_of_a_page_ends(site: HttpServer) -> None:
    async with PageCache.from_env() as cache:
        now = round(time.time() * 1000)
        page = Page(url="u", body=b"b", content_type="t", fetched_at_ms=now, expires_at_ms=now + 30)
        await cache.put(page)
        assert await until(lambda: _gone(cache))


async def _gone(cache: PageCache) -> bool:
    return await cache.get("u") is None


async def test_what_is_unchanged_is_asked_for_and_lives_on(site: HttpServer) -> None:
    site.reply(200, "v1", ETag='"1"')
    site.reply(304)
    site.reply(200, "v2", ETag='"2"')
    first = await run(Warm(urls=[site.url], ttl=60))
    second = await run(Warm(urls=[site.url], ttl=600))
    page = await cached(site.url)
    third = await run(Warm(urls=[site.url]))
    assert [(each.warmed, each.unchanged) for each in (first, second, third)] == [(1, 0), (0, 1), (1, 0)]
    assert page is not None
    assert (page.body, page.ttl > 100) == (b"v1", True)
    assert [request.headers.get("If-None-Match") for request in site.requests] == [None, '"1"', '"1"']


async def test_a_page_that_fails_does_not_hold_up_the_others(site: HttpServer) -> None:
    async def by_path(request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.path[1:4]), text="x" * int(request.query.get("size", 1)))

    site.answers = [by_path] * 5
    urls = [f"{site.url}/{path}" for path in ("200", "404", "503", "200?size=9", "200?size=9")]
    result = await run(Warm(urls=urls, max_bytes=5))
    assert result.warmed == 1
    assert result.failed == [
        NotWarmed(url=urls[1], reason="the server answered 404"),
        NotWarmed(url=urls[2], reason="the server answered 503"),
        NotWarmed(url=urls[3], reason="the page has more than 5 bytes"),
    ]
    assert len(site.requests) == 4


@pytest.mark.parametrize(("status", "error"), [(503, WarmupFailed), (429, WarmupFailed), (404, Fail)])
async def test_none_at_all_is_a_failure(site: HttpServer, status: int, error: type[Exception]) -> None:
    site.reply(status)
    with pytest.raises(error, match=f"none of 1 pages could be fetched; the server answered {status}"):
        await run(Warm(urls=[site.url]))


async def test_redirects_are_followed_and_private_addresses_refused(
    site: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.reply(302, Location="/there")
    site.reply(200, "there")
    await run(Warm(urls=[f"{site.url}/here"]))
    page = await cached(f"{site.url}/here")
    assert page is not None
    assert page.body == b"there"

    async with serving() as other:
        site.reply(302, Location=other.url)
        with pytest.raises(Fail, match="CACHE_ALLOW_HOSTS"):
            await run(Warm(urls=[f"{site.url}/away"]))
        assert other.requests == []
    monkeypatch.delenv("CACHE_ALLOW_HOSTS")
    with pytest.raises(Fail, match="not a public address"):
        await run(Warm(urls=[site.url]))


async def test_a_slow_page_is_given_up(site: HttpServer) -> None:
    release = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    site.answers.append(hang)
    with pytest.raises(WarmupFailed, match=r"no answer within 0\.05 s"):
        await run(Warm(urls=[site.url], timeout=0.05))
    release.set()


async def test_the_cache_needs_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_URL", raising=False)
    with pytest.raises(SettingsError, match="CACHE_URL"):
        PageCache.from_env()


async def test_what_is_no_page_is_forgotten(site: HttpServer, redis_url: str) -> None:
    async with PageCache(redis_url) as cache:
        key = cache._key("u")  # pyright: ignore[reportPrivateUsage]
        await cache._client.call("SET", key, "something else")  # pyright: ignore[reportPrivateUsage]
        assert await cache.get("u") is None


def test_the_queue_is_a_light_one() -> None:
    assert (CACHE_WARMUP.weight, CACHE_WARMUP.concurrency) == ("light", 2)
