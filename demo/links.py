"""Get every report by the link that its job answered with."""

import asyncio

import aiohttp
import msgspec

from demo.check import Check
from demo.stage import Stage
from demo.watch import Tracker

_OK, _REFUSED = 200, 403


class _Result(msgspec.Struct):
    file: str
    download_url: str


class _Answer(msgspec.Struct):
    result: _Result


async def check_links(stage: Stage, tracker: Tracker) -> Check:
    """Download each report that was written: it has to be the file on the disk, and nothing without its signature."""
    jobs = [job_id for job_id, sent in tracker.sent.items() if sent.kind == "reports"]
    async with aiohttp.ClientSession(stage.api) as session:
        problems = await asyncio.gather(*(_problem(session, stage, job_id) for job_id in jobs))
    wrong = [
        f"that of {job_id} {problem}"
        for job_id, problem in zip(jobs, problems, strict=True)
        if problem is not None
    ]
    return Check(
        name="links to reports", expected=len(jobs), right=len(jobs) - len(wrong), wrong=tuple(wrong)
    )


async def _problem(session: aiohttp.ClientSession, stage: Stage, job_id: str) -> str | None:
    status, body = await _get(session, f"/jobs/reports/{job_id}/result")
    try:
        result = msgspec.json.decode(body, type=_Answer).result
    except msgspec.MsgspecError as error:
        return f"is not in the result, which was answered with {status}: {error}"
    status, body = await _get(session, result.download_url)
    if status != _OK:
        return f"is answered with {status}"
    if body != await asyncio.to_thread((stage.files / result.file).read_bytes):
        return "gives another file"
    status, _ = await _get(session, result.download_url.partition("&signature=")[0])
    return None if status == _REFUSED else f"is answered with {status} without its signature"


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    async with session.get(url) as response:
        return response.status, await response.read()
