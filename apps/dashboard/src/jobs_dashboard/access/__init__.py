"""Who may ask what: tokens, sessions, proxies, OpenID Connect, or on this machine nobody at all."""

from __future__ import annotations

from jobs_dashboard.access.access import Access, Authenticate
from jobs_dashboard.access.addresses import is_loopback
from jobs_dashboard.access.exposure import check_exposure
from jobs_dashboard.access.gate import Gate

__all__ = ["Access", "Authenticate", "Gate", "check_exposure", "is_loopback"]
