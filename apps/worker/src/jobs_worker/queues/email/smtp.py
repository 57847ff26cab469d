"""A few SMTP connections that a worker child keeps open."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

import aiosmtplib
from msgspec import Struct

from jobs_core.errors import JobsError, SettingsError

Security = Literal["plain", "tls", "starttls"]

_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp": ("plain", 25),
    "smtps": ("tls", 465),
    "smtp+starttls": ("starttls", 587),
}
_ALLOWED = "smtp://, smtps:// or smtp+starttls:// followed by [user:password@]host[:port]"
_TIMEOUT = 30.0
_GOODBYE = 2.0
# Relays commonly close a connection after about a hundred mails, so it is given up before.
_MAILS_PER_CONNECTION = 100
_CLOSING = 421
_PERMANENT = 500
# The server wants a login or encryption first: the setup is wrong, not the mail, so it waits for the mend.
_SETUP = frozenset({530, 534, 535, 538})


class MailDeferred(JobsError):
    """The mail was not sent this time; another attempt can help. `reply` is 0 where no answer came."""

    code = "mail_deferred"

    def __init__(self, reply: int, reason: str) -> None:
        self.reply = reply
        self.reason = reason
        super().__init__(reason)


class MailRefused(JobsError):
    """The server refused the mail for good. Nobody got it."""

    code = "mail_refused"

    def __init__(self, reply: int, reason: str) -> None:
        self.reply = reply
        self.reason = reason
        super().__init__(reason)


class SmtpServer(Struct, frozen=True, kw_only=True):
    """Where mails go out, and how."""

    host: str
    port: int
    security: Security = "plain"
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        """Show the address alone: this ends up in logs."""
        return f"SmtpServer({self.address})"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read the value of SMTP_URL.

        Raises SettingsError, whose value holds no credentials.
        """
        try:
            parsed = urlsplit(url)
            security, default_port = _SCHEMES[parsed.scheme]
            port = default_port if parsed.port is None else parsed.port
        except (KeyError, ValueError):
            parsed, security, port = None, "plain", 0
        if (
            parsed is None
            or not parsed.hostname
            or not port
            or parsed.path not in {"", "/"}
            or parsed.query
            or parsed.fragment
        ):
            raise SettingsError("SMTP_URL", _masked(url), _ALLOWED)
        return cls(
            host=parsed.hostname,
            port=port,
            security=security,
            user=unquote(parsed.username) if parsed.username else None,
            password=unquote(parsed.password) if parsed.password else None,
        )


def _masked(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if not rest:
        # Without a scheme there is no telling which part is the password.
        return "***"
    credentials, at, host = rest.rpartition("@")
    return f"{scheme}://{'***@' if credentials else ''}{re.split('[/?#]', host)[0] if at else host}"


class _Connection:
    """One connection and how many mails it has carried."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.mails = 0


class SmtpPool:
    """Send mails over at most `size` connections, each used again for the next mail.

    A connection that the server closed while it was idle is replaced without spending an attempt. Once the
    content is on its way nothing is repeated here: the job's retry does it, under the same Message-ID.
    """

    def __init__(self, server: SmtpServer, *, size: int = 5) -> None:
        self._server = server
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Connection] = []
        # Looking up the own name can take seconds, so what the first connection found serves the others.
        self._own_name: str | None = None

    async def __aenter__(self) -> Self:
        """Open nothing yet: the first mail does."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Say goodbye on every connection, without waiting long for an answer."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_quit(connection.client) for connection in idle))

    async def send(self, sender: str, recipients: Sequence[str], message: bytes) -> None:
        """Hand one mail to the server, for all recipients or, where one is refused, for none.

        Raises MailRefused when another attempt cannot help, MailDeferred when it can.
        """
        async with self._slots:
            try:
                connection = await self._begin(sender, len(message))
                await self._deliver(connection, recipients, message)
            except aiosmtplib.SMTPResponseException as error:
                raise _judged(error, self._server) from error
            except (aiosmtplib.SMTPException, OSError) as error:
                raise MailDeferred(0, f"no delivery through {self._server.address}: {error}") from error

    async def _begin(self, sender: str, size: int) -> _Connection:
        """Return a connection on which MAIL FROM was accepted, an idle one if any is still alive."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await self._mail_from(connection, sender, size)
            except aiosmtplib.SMTPServerDisconnected:
                connection.client.close()
            except aiosmtplib.SMTPResponseException as error:
                if error.code != _CLOSING:
                    raise
                connection.client.close()
            else:
                return connection
        connection = _Connection(await self._connect())
        await self._mail_from(connection, sender, size)
        return connection

    async def _connect(self) -> aiosmtplib.SMTP:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            local_hostname=self._own_name,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            timeout=_TIMEOUT,
        )
        try:
            await client.connect()
        except aiosmtplib.SMTPResponseException as error:
            # A refused greeting or login says nothing about the mail, whatever its code.
            reason = f"{server.address} does not let us in: {error.code} {error.message}"
            raise MailDeferred(error.code, reason) from error
        self._own_name = client.local_hostname
        return client

    async def _mail_from(self, connection: _Connection, sender: str, size: int) -> None:
        client = connection.client
        try:
            # The extensions are known only after the greeting, which a login or STARTTLS has already sent.
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            options = [f"SIZE={size}"] if client.supports_extension("size") else []
            await client.mail(sender, options=options)
        except aiosmtplib.SMTPResponseException:
            await self._reset(connection)
            raise
        except BaseException:
            client.close()
            raise

    async def _deliver(self, connection: _Connection, recipients: Sequence[str], message: bytes) -> None:
        client = connection.client
        try:
            refused: list[aiosmtplib.SMTPRecipientRefused] = []
            for recipient in recipients:
                try:
                    await client.rcpt(recipient)
                except aiosmtplib.SMTPRecipientRefused as error:
                    refused.append(error)
            if refused:
                await self._reset(connection)
                raise _refusal(refused)
            await client.data(message)
        except aiosmtplib.SMTPDataError:
            await self._reset(connection)
            raise
        except (MailDeferred, MailRefused):
            raise
        except BaseException:
            # Cancelled or broken in the middle of a transaction: what comes next on the line is unknown.
            client.close()
            raise
        self._keep(connection)

    async def _reset(self, connection: _Connection) -> None:
        """Forget the transaction, and keep the connection if it still answers."""
        try:
            await connection.client.rset()
        except (aiosmtplib.SMTPException, OSError):
            connection.client.close()
        except BaseException:
            connection.client.close()
            raise
        else:
            self._keep(connection)

    def _keep(self, connection: _Connection) -> None:
        connection.mails += 1
        if connection.mails < _MAILS_PER_CONNECTION and connection.client.is_connected:
            self._idle.append(connection)
        else:
            connection.client.close()


def _refusal(refused: Sequence[aiosmtplib.SMTPRecipientRefused]) -> MailDeferred | MailRefused:
    permanent = [error for error in refused if error.code >= _PERMANENT]
    told = "; ".join(f"{error.recipient}: {error.code} {error.message}" for error in permanent or refused)
    reason = f"refused by the server, so nobody got the mail: {told}"
    if permanent and not any(error.code in _SETUP for error in permanent):
        return MailRefused(permanent[0].code, reason)
    return MailDeferred(refused[0].code, reason)


def _judged(error: aiosmtplib.SMTPResponseException, server: SmtpServer) -> MailDeferred | MailRefused:
    reason = f"{server.address} answered {error.code} {error.message}"
    if error.code >= _PERMANENT and error.code not in _SETUP:
        return MailRefused(error.code, reason)
    return MailDeferred(error.code, reason)


async def _quit(client: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=_GOODBYE)
    client.close()
