"""Files under FILES_URL, for whoever holds a signed link to one; no token is asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response, StreamingResponse

from jobs_core.downloads import open_download

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["UNDER", "serve"]

UNDER: Final = "/download/"


async def serve(request: Request) -> Response:
    """Send the file that a link names: 403 for a link that was not signed, 410 for one that expired, 404 for a file that is gone."""
    found = await asyncio.to_thread(open_download, request.path_params["path"], request.query_params)
    if request.method == "HEAD":
        return Response(None, headers=found.headers, media_type=found.media_type)
    return StreamingResponse(found.chunks(), headers=found.headers, media_type=found.media_type)
