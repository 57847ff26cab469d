"""The one place that talks to the server: an address, a wire, and a client that outlives its connections."""

from jobs_core.connection.address import Address, parse_address
from jobs_core.connection.client import Client, ConnectionInfo

__all__ = ["Address", "Client", "ConnectionInfo", "parse_address"]
