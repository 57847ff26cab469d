"""Connections by TLS: what their addresses ask for, and what it means when there comes none about."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from jobs_core.errors import TlsFailed

if TYPE_CHECKING:
    from jobs_core.connection.address import Address

# What a server says (alerts of TLS) that does not accept the certificate of its client, or misses it.
_OF_CLIENT = (
    "CERTIFICATE_REQUIRED",
    "UNKNOWN_CA",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "HANDSHAKE_FAILURE",
)


def tls_context(address: Address) -> ssl.SSLContext | None:
    """Return the context for an address, None where it is not by TLS: verification is on unless it says `ssl_cert_reqs=none`.

    Raises TlsFailed for files that cannot be read.
    """
    if not address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca_file or None)
    except OSError as error:
        raise _unreadable(address, "ssl_ca_certs", address.ca_file, error) from None
    if address.cert_file:
        try:
            # Without a password: OpenSSL would ask the terminal for it.
            context.load_cert_chain(address.cert_file, address.key_file or None, password="")
        except OSError as error:
            files = " and ".join(filter(None, (address.cert_file, address.key_file)))
            raise _unreadable(address, "ssl_certfile and ssl_keyfile", files, error) from None
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def tls_failure(address: Address, error: BaseException) -> TlsFailed | None:
    """Return what a failed connection has to do with certificates; None where it has nothing to do with them."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TlsFailed(
            address.display,
            f"its certificate is not accepted: {cause.verify_message.rstrip('.')}",
            "Set ssl_ca_certs in the URL to the file of the CA that signed it, and connect by a name that it holds.",
        )
    said = "" if cause is None else cause.reason or ""
    if said in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}:
        return TlsFailed(
            address.display, "whatever listens there speaks no TLS", "Check the port, or use redis://."
        )
    if any(each in said for each in _OF_CLIENT):
        return TlsFailed(
            address.display,
            f"it does not accept the certificate of this client ({said.lower().replace('_', ' ')})",
            "Set ssl_certfile and ssl_keyfile in the URL to a certificate that its CA signed, and its key.",
        )
    return None


def _unreadable(address: Address, parameters: str, files: str, error: OSError) -> TlsFailed:
    # The texts of OpenSSL tell what is wrong, those of the system which file.
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return TlsFailed(
        address.display,
        f"{files} cannot be read: {reason}",
        f"Check {parameters} of the URL: PEM files that this user may read.",
    )
