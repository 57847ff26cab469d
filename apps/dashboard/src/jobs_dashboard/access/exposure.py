"""Whether a dashboard may listen where its settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs_core.errors import ConfigurationError
from jobs_dashboard.access.addresses import is_loopback
from jobs_dashboard.access.oidc import check_libraries
from jobs_dashboard.access.tokens import Tokens

if TYPE_CHECKING:
    from jobs_core.settings import DashboardSettings

__all__ = ["check_exposure"]

_NEEDS = (
    ("DASHBOARD_PROXY_HEADER", "proxy_header", "proxy_trusted"),
    ("DASHBOARD_OIDC_ISSUER", "oidc_issuer", "oidc_client_id"),
    ("DASHBOARD_OIDC_ISSUER", "oidc_issuer", "oidc_client_secret"),
    ("DASHBOARD_OIDC_ISSUER", "oidc_issuer", "url"),
)


def check_exposure(settings: DashboardSettings) -> None:
    """Raise ConfigurationError where a way to sign in is set by half, or others could look and nobody is asked who they are."""
    for variable, given, needed in _NEEDS:
        if getattr(settings, given) and not getattr(settings, needed):
            missing = f"DASHBOARD_{needed.upper()}"
            raise ConfigurationError(f"{variable} is set, and {missing} is not. Set it too, or neither.")
    if (settings.proxy_header or settings.oidc_issuer) and not (
        settings.admins or settings.operators or settings.viewers
    ):
        lists = "DASHBOARD_ADMINS, DASHBOARD_OPERATORS and DASHBOARD_VIEWERS"
        raise ConfigurationError(
            f"Nobody is on the lists {lists}, so nobody could sign in. Name some, or * for all."
        )
    if settings.oidc_issuer:
        check_libraries()
        if not settings.oidc_issuer.startswith("https:") and not is_loopback(
            urlsplit(settings.oidc_issuer).hostname or ""
        ):
            raise ConfigurationError("DASHBOARD_OIDC_ISSUER must be https:// unless it is on this machine.")
    if is_loopback(settings.host) or Tokens(settings) or settings.proxy_header or settings.oidc_issuer:
        return
    tokens = "DASHBOARD_TOKEN, DASHBOARD_OPERATOR_TOKEN or DASHBOARD_VIEWER_TOKEN"
    message = (
        f"DASHBOARD_HOST={settings.host} lets other machines in, and no token is set. "
        f"Set {tokens}, or DASHBOARD_HOST=127.0.0.1."
    )
    raise ConfigurationError(message)
