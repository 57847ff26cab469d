"""The one place that talks to the server: an address, a wire, and clients that outlive their connections."""

from jobs_core.connection.address import Address, parse_address
from jobs_core.connection.choice import client_for
from jobs_core.connection.client import Client, ConnectionInfo
from jobs_core.connection.single import SingleClient

__all__ = ["Address", "Client", "ConnectionInfo", "SingleClient", "client_for", "parse_address"]
