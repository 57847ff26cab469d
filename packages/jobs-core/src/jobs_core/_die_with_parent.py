"""Become another program that the kernel kills when the starting thread ends.

Run by path as `python -I -S _die_with_parent.py PARENT_PID PROGRAM [ARGUMENT…]`, so that nothing of the
package is imported on the way: this costs about 10 ms on top of the interpreter's start.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _main(parent: int, command: list[str]) -> None:
    # Every acknowledged write of an append-only file is with the kernel already, so SIGKILL loses nothing,
    # and unlike SIGTERM it also ends a server that is busy with an endless script.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # A parent that died before the call above sends no signal any more.
    if os.getppid() != parent:
        sys.exit("the starting process is gone")
    os.execv(command[0], command)  # noqa: S606 - becoming the program is what this one is for


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
