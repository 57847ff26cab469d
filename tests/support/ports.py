"""Ports for servers that are told theirs: nobody else is given one of them before they listen."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
# Below those that the kernel gives to connections and to whoever asks for any: one of these is taken by who names it.
_LOWEST, _HIGHEST = 10_000, 30_000
_RANDOM = random.SystemRandom()


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens."""
    while True:
        # Not by the generator that tests seed: two of them at once would try the same one.
        port = _RANDOM.randint(_LOWEST, _HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
