"""Clean up after a demo that was killed.

Run by path as `python -I -S keeper.py DIRECTORY`. On standard input come the ids of the process groups that
the demo starts and ends, `+ID` and `-ID` a line. The end of that input is the end of the demo, however it
came: what is still registered then is killed, and the directory removed. A demo that ended by itself has left
nothing to do.
"""

import os
import shutil
import signal
import sys
import time

_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.01


def _main(directory: str) -> None:
    # Ctrl-C and the closing of a terminal are for the demo, which then closes our input.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        change, group = line[0], int(line[1:])
        if change == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        _kill(group)
    deadline = time.monotonic() + _WAIT_SECONDS
    while any(_kill(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    # A process that was just about to write may have brought a file back.
    for _ in range(3):
        shutil.rmtree(directory, ignore_errors=True)


def _kill(group: int) -> bool:
    """Kill a process group and tell whether there was one."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    _main(sys.argv[1])
