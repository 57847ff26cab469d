"""A server that stands still."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

from jobs_core.server import EmbeddedServer


@contextmanager
def frozen(server: EmbeddedServer) -> Generator[None]:
    """Freeze the server: it keeps its connections and answers nobody."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
