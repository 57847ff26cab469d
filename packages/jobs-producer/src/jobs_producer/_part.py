"""What the parts of a producer share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs_producer._handle import Link
    from jobs_producer._submitter import Submitter


class Part:
    """Calls of one kind on the connection of a producer, with the options of its service; queues are declared before they are used."""

    def __init__(self, link: Link, submitter: Submitter) -> None:
        """Made by the producer."""
        self._link = link
        self._service = submitter.defaults
        self._declare = submitter.declare

    def _deadline(self) -> float:
        return self._link.here().time() + self._link.timeout
