"""Look at queues, jobs and workers over HTTP, and change them; of its own, or as a part of another application."""

from __future__ import annotations

from jobs_dashboard.access import Authenticate
from jobs_dashboard.app import create_app, dashboard_app
from jobs_dashboard.roles import Identity, Role

__all__ = ["Authenticate", "Identity", "Role", "create_app", "dashboard_app"]
