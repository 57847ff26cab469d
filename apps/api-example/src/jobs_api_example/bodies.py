"""Read request bodies."""

from collections.abc import Sequence

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_ITEMS = 10_000


async def read_body(request: Request) -> bytes:
    """Return the body. Raises HTTPException (413) as soon as it is over 32 MiB, before the rest is read."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, f"A body holds at most {MAX_BODY_BYTES:,} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def is_array(body: bytes) -> bool:
    """Tell whether a JSON text is an array."""
    return body.lstrip(b" \t\r\n")[:1] == b"["


def split_array(body: bytes) -> Sequence[msgspec.Raw]:
    """Return the items of an array, each still JSON. Raises HTTPException (400, 413)."""
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"The body is no JSON array: {error}.") from error
    except RecursionError:
        raise HTTPException(400, "The body is nested too deep to be read.") from None
    if len(items) > MAX_ITEMS:
        raise HTTPException(413, f"An array holds at most {MAX_ITEMS:,} payloads.")
    return items
