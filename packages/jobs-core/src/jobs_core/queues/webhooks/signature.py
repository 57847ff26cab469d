"""Sign webhooks and verify them.

A delivery carries

    Webhook-Id: <idempotency key or job id>
    Webhook-Timestamp: <unix seconds>
    Webhook-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]

where <hex> is the HMAC-SHA256 of `<t>.<id>.<body>` under the shared secret, the body being the bytes as
received. While a secret is rotated the sender signs with the old and the new one, and each is a `v1`.

Nothing but the standard library is used, so that a receiver can copy this module.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence

_MAX_HEADER = 2048
_HEADER = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64})+)", re.ASCII)


def sign(secret: str, *, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of one delivery; `timestamp` is in unix seconds."""
    signed = b"%d.%s.%s" % (timestamp, webhook_id.encode(), body)
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signature_header(secrets: Sequence[str], *, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `Webhook-Signature`, with one signature per secret."""
    signatures = [sign(secret, webhook_id=webhook_id, timestamp=timestamp, body=body) for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={signature}" for signature in signatures)])


def verify_signature(
    secret: str | Sequence[str],
    *,
    headers: Mapping[str, str],
    body: bytes,
    tolerance: float = 300.0,
    now: float | None = None,
) -> bool:
    """Tell whether a request was signed with the secret, or one of the secrets, and is fresh.

    `headers` are those of the request, their names in any case; `body` are its bytes before any parsing.
    A delivery signed more than `tolerance` seconds before or after `now` (unix seconds, default: the
    clock) is refused, which bounds a replay; within that time only the remembered `Webhook-Id` tells a
    repeat.
    """
    named = {name.lower(): value for name, value in headers.items()}
    webhook_id = named.get("webhook-id")
    header = named.get("webhook-signature", "")
    found = _HEADER.fullmatch(header) if len(header) <= _MAX_HEADER else None
    if found is None or webhook_id is None:
        return False
    timestamp = int(found[1])
    if abs((time.time() if now is None else now) - timestamp) > tolerance:
        return False
    secrets = [secret] if isinstance(secret, str) else secret
    expected = [sign(each, webhook_id=webhook_id, timestamp=timestamp, body=body) for each in secrets if each]
    given = [part.removeprefix("v1=") for part in found[2].split(",")[1:]]
    # Every pair is compared, so that the time taken does not tell which one fits.
    return sum(hmac.compare_digest(mine, theirs) for mine in expected for theirs in given) > 0
