"""Take webhooks on a port of the loopback interface, check who signed them, and append each to a file.

Run as `python -m demo.webhook_receiver PORT FILE`, with the secret in WEBHOOK_SECRET. A line of FILE is
the JSON of one `ReceivedHook`. The first delivery of every 25th booking is answered with 503, so that retries
can be seen; every other one of these says after how long to come again.
"""

import os
import sys
import time
from pathlib import Path

import msgspec
from aiohttp import web

from demo.received import BUSY_EVERY, Booking, ReceivedHook
from jobs_core.queues.webhooks.signature import verify_signature

_RETRY_AFTER = {"Retry-After": "1"}


class HookStore:
    """Judge and store requests."""

    def __init__(self, path: Path, secret: str) -> None:
        self._file = path.open("ab", buffering=0)
        self._secret = secret
        self._turned_away: set[str] = set()

    async def receive(self, request: web.Request) -> web.Response:
        """Take one delivery: 204, 401 for a wrong signature, 400 for a body that is no booking, or 503."""
        body = await request.read()
        webhook_id = request.headers.get("Webhook-Id", "")
        signed = verify_signature(self._secret, headers=request.headers, body=body)
        status = self._status(webhook_id, body) if signed else 401
        hook = ReceivedHook(
            time.time(),
            webhook_id,
            request.headers.get("Webhook-Event", ""),
            signed,
            status,
            msgspec.Raw(body if status in {204, 503} else b"null"),
        )
        self._file.write(msgspec.json.encode(hook) + b"\n")
        late = status == 503 and len(self._turned_away) % 2 == 0
        return web.Response(status=status, headers=_RETRY_AFTER if late else None)

    def _status(self, webhook_id: str, body: bytes) -> int:
        try:
            booking = msgspec.json.decode(body, type=Booking)
        except msgspec.DecodeError:
            return 400
        if booking.number % BUSY_EVERY == 0 and webhook_id not in self._turned_away:
            self._turned_away.add(webhook_id)
            return 503
        return 204


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


def serve(port: int, path: Path, secret: str) -> None:
    """Take webhooks until the process ends."""
    app = web.Application()
    app.add_routes([web.post("/bookings", HookStore(path, secret).receive), web.get("/healthz", _health)])
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), os.environ["WEBHOOK_SECRET"])
