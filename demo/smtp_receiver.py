"""Take mail on a port of the loopback interface and append each message to a file.

Run as `python -m demo.smtp_receiver PORT FILE`. A line of FILE is the JSON of one `ReceivedMail`. It is with
the kernel before the sender hears 250, so what was accepted is on record even if this process is killed.
"""

import asyncio
import sys
import time
from pathlib import Path

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from demo.received import ReceivedMail

_MAX_BYTES = 32 * 1024 * 1024


class MailStore:
    """Append what arrives to a file; a handler of aiosmtpd."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store one message."""
        content = envelope.original_content or b""
        mail = ReceivedMail(time.time(), envelope.mail_from or "", list(envelope.rcpt_tos), content)
        self._file.write(msgspec.json.encode(mail) + b"\n")
        return "250 OK"


async def serve(port: int, path: Path) -> None:
    """Take mail until the process ends."""
    store = MailStore(path)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(store, hostname="localhost", data_size_limit=_MAX_BYTES, loop=loop), "127.0.0.1", port
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
