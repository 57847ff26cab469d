"""What all requests share, from the start of the application to its end."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs_admin import Admin
    from jobs_core.discovery import Catalog
    from jobs_core.payloads import JsonValue
    from jobs_producer import Producer

__all__ = ["Services"]


class Services:
    """The admin, the producer and what code declares; `openapi` is the document of the API."""

    openapi: dict[str, JsonValue]

    def __init__(self, admin: Admin, producer: Producer, catalog: Catalog) -> None:
        """Bind them together; who made them connects and closes them."""
        self.admin = admin
        self.producer = producer
        self.catalog = catalog
        self.openapi = {}
        self.version = version("jobs-dashboard")
