"""What runs a handler, as the handler's context sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jobs_core.wire import Progress

if TYPE_CHECKING:
    from jobs_core.codecs import Codecs
    from jobs_worker.children import Pages, Waited
    from jobs_worker.facts import JobFacts
    from jobs_worker.following import Previous
    from jobs_worker.reports import Report


class Host(Protocol):
    """What runs a handler: it knows the facts, and is told what the handler reports."""

    def facts(self) -> JobFacts:
        """Return what is known of the delivery."""
        ...

    def tell(self, told: Report) -> None:
        """Take a report, from any thread."""
        ...

    def previous(self, codecs: Codecs | None) -> Previous | None:
        """Return the job that this one follows, None where there is none."""
        ...

    def waited(self) -> tuple[Waited | None, Pages | None]:
        """Return what is known of the jobs that this one waited for, and what reads on."""
        ...


class Alone:
    """Runs a handler in a test, and keeps its progress."""

    def __init__(self, facts: JobFacts, previous: Previous | None) -> None:
        """Give it these facts."""
        self._facts = facts
        self._previous = previous
        self.progress: list[Progress] = []

    def facts(self) -> JobFacts:
        """Return what the test made up."""
        return self._facts

    def tell(self, told: Report) -> None:
        """Keep progress."""
        if isinstance(told, Progress):
            self.progress.append(told)

    def previous(self, codecs: Codecs | None) -> Previous | None:
        """Return the job before, as the test made it."""
        del codecs  # made for a test, so it is in no codec
        return self._previous

    def waited(self) -> tuple[Waited | None, Pages | None]:
        """Know of no others."""
        return None, None
