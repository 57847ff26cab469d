"""Takes the client that an address asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.connection.client import READ_DEADLINE
from jobs_core.connection.single import SingleClient

if TYPE_CHECKING:
    from jobs_core.connection.address import Address
    from jobs_core.connection.client import Client


def client_for(address: Address, *, name: str = "jobs", read_deadline: float = READ_DEADLINE) -> Client:
    """Prepare a client of the server, of the service behind sentinels, or of the cluster at an address; `connect` connects it."""
    # What only these need is imported with the first of them: redis-py's own clients take a while.
    if address.cluster:
        from jobs_core.connection.cluster import ClusterClient  # noqa: PLC0415

        return ClusterClient(address, name=name, read_deadline=read_deadline)
    if address.service:
        from jobs_core.connection.sentinel import PrimaryFinder  # noqa: PLC0415

        find = PrimaryFinder(address).find
        return SingleClient(address, name=name, read_deadline=read_deadline, find=find)
    return SingleClient(address, name=name, read_deadline=read_deadline)
