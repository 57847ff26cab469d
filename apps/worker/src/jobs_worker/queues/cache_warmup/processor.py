"""Fetch pages into the cache."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager

import aiohttp

from jobs_core.errors import JobsError
from jobs_core.queues.cache_warmup.pages import Page, PageCache
from jobs_core.queues.cache_warmup.queue import WARM, NotWarmed, Warm, WarmResult
from jobs_core.settings import FeatureSettings
from jobs_worker import Fail, JobContext, processor
from jobs_worker.http import AddressRefused, AllowedHosts, GuardedSession, guarded_session

_AT_ONCE = 5
_OK = 200
_NOT_MODIFIED = 304
_SERVER_ERROR = 500
_RETRIED = frozenset({408, 425, 429})
_NO_TYPE = "application/octet-stream"


class WarmupFailed(JobsError):
    """None of the pages could be fetched this time; another attempt can help."""

    code = "warmup_failed"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class _Refused(Exception):
    """A page cannot be cached; `passing` tells that another attempt may go well."""

    def __init__(self, reason: str, *, passing: bool) -> None:
        self.passing = passing
        super().__init__(reason)


@processor(WARM, requires=("CACHE_URL",))
async def warm(payload: Warm, ctx: JobContext) -> WarmResult:
    """Fetch the pages, a few at once, and store what changed; one page that fails does not hold up the others."""
    cache = await ctx.shared(open_cache)
    session = await ctx.shared(open_session)
    urls = list(dict.fromkeys(payload.urls or FeatureSettings.from_env().cache_warmup_urls))
    if not urls:
        raise Fail("no pages are named: give `urls`, or set CACHE_WARMUP_URLS")
    turns = asyncio.Semaphore(_AT_ONCE)
    failed: list[NotWarmed] = []
    warmed = unchanged = size = done = 0
    passing = False

    async def one(url: str) -> None:
        nonlocal warmed, unchanged, size, done, passing
        async with turns:
            try:
                page, new = await _fetch(url, payload, cache, session)
                await cache.put(page)
            except _Refused as error:
                passing = passing or error.passing
                failed.append(NotWarmed(url=url, reason=str(error)))
            else:
                warmed, unchanged, size = warmed + new, unchanged + (not new), size + len(page.body)
            done += 1
            ctx.progress(current=done, total=len(urls))

    async with asyncio.TaskGroup() as group:
        for url in urls:
            group.create_task(one(url))
    if not warmed + unchanged:
        reason = f"none of {len(urls)} pages could be fetched; {failed[0].reason}"
        raise WarmupFailed(reason) if passing else Fail(reason)
    order = {url: place for place, url in enumerate(urls)}
    failed.sort(key=lambda page: order[page.url])
    return WarmResult(warmed=warmed, unchanged=unchanged, bytes=size, failed=failed)


def open_cache() -> PageCache:
    """Open the cache that all jobs of a worker child share."""
    return PageCache.from_env()


def open_session() -> AbstractAsyncContextManager[GuardedSession]:
    """Open the HTTP session that all jobs of a worker child share."""
    return guarded_session(AllowedHosts(FeatureSettings.from_env().cache_allow_hosts))


async def _fetch(url: str, payload: Warm, cache: PageCache, session: GuardedSession) -> tuple[Page, bool]:
    """Return the page as it is to be stored, and whether it is another than the cached one."""
    cached = await cache.get(url)
    conditional = {"If-None-Match": cached.etag} if cached is not None and cached.etag else {}
    try:
        reply = await session.request(
            "GET",
            url,
            headers={"User-Agent": "jobs-cache-warmup/1", "Accept": "*/*"},
            origin_headers=conditional,
            timeout=payload.timeout,
            max_body=payload.max_bytes,
        )
    except AddressRefused as error:
        raise _Refused(f"{error} (CACHE_ALLOW_HOSTS)", passing=False) from error
    except TimeoutError as error:
        raise _Refused(f"no answer within {payload.timeout:g} s", passing=True) from error
    except aiohttp.ClientError as error:
        raise _Refused(f"no answer: {error}", passing=True) from error
    now = round(time.time() * 1000)
    until = now + round(payload.ttl * 1000)
    if reply.status == _NOT_MODIFIED and cached is not None:
        return _renewed(cached, now, until), False
    if reply.status != _OK:
        passing = reply.status in _RETRIED or reply.status >= _SERVER_ERROR
        raise _Refused(f"the server answered {reply.status}", passing=passing)
    if reply.truncated:
        raise _Refused(f"the page has more than {payload.max_bytes} bytes", passing=False)
    page = Page(
        url=url,
        body=reply.body,
        content_type=reply.headers.get("Content-Type", _NO_TYPE),
        etag=reply.headers.get("ETag", ""),
        fetched_at_ms=now,
        expires_at_ms=until,
    )
    return page, cached is None or cached.body != page.body


def _renewed(page: Page, now: int, until: int) -> Page:
    return Page(
        url=page.url,
        body=page.body,
        content_type=page.content_type,
        etag=page.etag,
        fetched_at_ms=now,
        expires_at_ms=until,
    )
