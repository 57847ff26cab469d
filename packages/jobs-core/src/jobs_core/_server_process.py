"""The process of an embedded server, which ends with the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

STOP_TIMEOUT = 10.0


class ServerProcess:
    """The server's process, started and awaited by a thread of its own.

    The kernel's parent-death signal fires when the *thread* that started a process ends. So the starting
    thread must be one that lives as long as the server may: this one waits for the server's end.
    `preexec_fn` could set the signal too, but may deadlock in a program with threads, hence the small
    program in between, whose process becomes the server's.
    """

    def __init__(self, command: list[str], output: int, lock: int | None) -> None:
        self.owner = os.getpid()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._popen: subprocess.Popen[bytes]
        self._thread = threading.Thread(
            target=self._run, args=(command, output, lock), name="embedded-server", daemon=True
        )
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def exit_code(self) -> int | None:
        return self._popen.returncode

    def end(self, signum: signal.Signals) -> None:
        """Signal the process and wait for its end, at most 10 s before it is killed."""
        with suppress(ProcessLookupError):
            self._popen.send_signal(signum)
            # A server that was frozen with SIGSTOP would not see SIGTERM.
            self._popen.send_signal(signal.SIGCONT)
        self._thread.join(STOP_TIMEOUT)
        if self._thread.is_alive():
            self._popen.kill()
            self._thread.join()

    def _run(self, command: list[str], output: int, lock: int | None) -> None:
        if sys.platform == "linux":
            wrapper = Path(__file__).with_name("_die_with_parent.py")
            command = [sys.executable, "-I", "-S", str(wrapper), str(os.getpid()), *command]
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=() if lock is None else (lock,),
                # Ctrl-C in the terminal is for the programs that use the server: it goes after them.
                start_new_session=True,
                # A LANG that the machine does not know ends the server at start.
                env=os.environ | {"LC_ALL": "C"},
            )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        self._popen.wait()
