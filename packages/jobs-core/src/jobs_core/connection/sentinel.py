"""Which server is the primary of a service: asked of the sentinels before every connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from jobs_core.connection.protocol import Disconnected
from jobs_core.connection.tls import tls_failure
from jobs_core.errors import ConfigurationError

if TYPE_CHECKING:
    from jobs_core.connection.address import Address

# One that does not answer is passed over; all of them fit into the time that a connection may take.
_PATIENCE = 0.5


class PrimaryFinder:
    """Asks the sentinels of an address for the primary of its service."""

    def __init__(self, address: Address) -> None:
        """Prepare to ask."""
        self._address = address

    async def find(self) -> Address:
        """Return the address of the primary.

        Raises Disconnected where none is known now, ConfigurationError where the sentinels know no such service or refuse
        who asks, or TlsFailed.
        """
        address = self._address
        options: dict[str, object] = {
            "socket_timeout": _PATIENCE,
            "socket_connect_timeout": _PATIENCE,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
        }
        if address.sentinel_password:
            options |= {"username": address.sentinel_username or None, "password": address.sentinel_password}
        if address.tls:
            options |= {
                "ssl": True,
                "ssl_cert_reqs": "required" if address.verify else "none",
                "ssl_check_hostname": address.verify,
                "ssl_ca_certs": address.ca_file or None,
                "ssl_certfile": address.cert_file or None,
                "ssl_keyfile": address.key_file or None,
            }
        sentinel = Sentinel(address.hosts, sentinel_kwargs=options)
        try:
            found = cast("tuple[str, int]", await sentinel.discover_master(address.service))
        except (AuthenticationError, NoPermissionError):
            raise ConfigurationError(
                "the sentinels refuse who asks: give sentinel_username and sentinel_password in the URL, of a user with "
                "+sentinel|masters"
            ) from None
        except MasterNotFoundError:
            raise await self._why_not(sentinel) from None
        except RedisError as error:
            raise Disconnected(f"a sentinel answered: {error}", sent=False) from None
        finally:
            await _closed(sentinel)
        return address.at(*found)

    async def _why_not(self, sentinel: Sentinel) -> Exception:
        answered, known, failed = 0, False, None
        for each in sentinel.sentinels:
            try:
                services = await each.sentinel_masters()
            except (RedisError, OSError) as error:
                failed = failed or tls_failure(self._address, error)
                continue
            answered += 1
            known = known or self._address.service in services
        if not answered:
            if failed is not None:
                return failed
            return Disconnected(f"no sentinel answers ({self._address.display})", sent=False)
        if known:
            return Disconnected(
                f"the sentinels hold the primary of {self._address.service} for down", sent=False
            )
        return ConfigurationError(f"the sentinels know no service {self._address.service!r}")


async def _closed(sentinel: Sentinel) -> None:
    """Close all connections, also where who asked is cancelled meanwhile: they would stay open until they are collected."""
    closing = asyncio.create_task(_close(sentinel), name="jobs-sentinel-close")
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await asyncio.wait({closing})
        raise


async def _close(sentinel: Sentinel) -> None:
    # One that does not go in time has nothing to do with what the others answered.
    with suppress(RedisError, OSError):
        await sentinel.aclose()
