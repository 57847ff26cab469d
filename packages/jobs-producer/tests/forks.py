"""What programs without an event loop do with one producer: python forks.py SCENARIO URL PREFIX.

Each scenario ends with exit code 0 and prints how many jobs it enqueued.
"""

import _thread
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from jobs_core.errors import ResultTimeout
from jobs_core.queue import Queue
from jobs_producer import SyncProducer


class Send(Struct):
    """A payload."""

    to: str


class Receipt(Struct):
    """A result."""

    sent: bool


MAIL = Queue("mail")
SEND = MAIL.job("send", Send, Receipt)
PRODUCER = SyncProducer(sys.argv[2], prefix=sys.argv[3])


def _send(times: int) -> int:
    for number in range(times):
        handle = PRODUCER.enqueue(SEND, Send(f"{os.getpid()}-{number}"))
        assert handle.created
        payload = handle.status().payload
        assert payload == {"to": f"{os.getpid()}-{number}"}, payload
    return times


def _in_child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def _join(*pids: int) -> None:
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"child {pid} ended with {status}"


def before_the_first_call() -> int:
    """Fork first, as a server does that loads the application before its workers."""
    _join(*(_in_child(lambda: _send(5)) for _ in range(3)))
    return 15


def in_the_middle() -> int:
    """Use it in parent, child and grandchild at once."""
    _send(3)
    child = _in_child(lambda: (_send(20), _join(_in_child(lambda: _send(5))), _send(3)))
    _send(20)
    _join(child)
    return 3 + 20 + 5 + 3 + 20 + _send(3)


def under_threads() -> int:
    """Fork again and again while threads of the parent are inside calls."""
    done: list[int] = []

    def worker() -> None:
        done.extend(_send(2) for _ in range(20))

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    children = [_in_child(lambda: _send(3)) for _ in range(8)]
    _join(*children)
    for thread in threads:
        thread.join()
    assert sum(done) == 320
    return 320 + 24


def with_multiprocessing() -> int:
    """Use it in a pool of forked processes and beside it."""
    _send(2)
    with multiprocessing.get_context("fork").Pool(3) as pool:
        total = sum(pool.map(_send, [2] * 9))
        pool.close()
        pool.join()
    return total + _send(2) + 2


def with_a_handle() -> int:
    """Use in the child what was made before the fork, and in the parent afterwards."""
    handle = PRODUCER.enqueue(SEND, Send("a"))
    named = PRODUCER.queue("other")
    waiting = threading.Thread(target=_times_out, args=(handle.id,))
    waiting.start()

    def child() -> None:
        assert handle.status().id == handle.id
        _times_out(handle.id)
        assert PRODUCER.status("mail", handle.id).id == handle.id
        assert named.enqueue("x", {"a": 1}).status().payload == {"a": 1}

    _join(_in_child(child))
    waiting.join()
    assert handle.status().id == handle.id
    return 1


def _times_out(job_id: str) -> None:
    try:
        PRODUCER.handle(SEND, job_id).result(timeout=0.2)
    except ResultTimeout:
        return
    raise AssertionError


def child_closes() -> int:
    """Close it in the child, and let the child end as programs do."""
    _send(2)
    pid = os.fork()
    if not pid:
        PRODUCER.close()
        _send(2)
        PRODUCER.close()
        sys.exit(0)
    _join(pid)
    pid = os.fork()
    if not pid:
        # Without any use or close.
        sys.exit(0)
    _join(pid)
    return 4 + _send(5)


def interrupted() -> int:
    """Interrupt a wait from the keyboard."""
    handle = PRODUCER.enqueue(SEND, Send("a"))

    def press() -> None:
        while not PRODUCER._producer._inbox._waiting:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    try:
        threading.Thread(target=press).start()
        handle.result(timeout=60)
    except KeyboardInterrupt:
        assert time.monotonic() - began < 30
        return 1 + _send(2)
    raise AssertionError


def left_open() -> int:
    """End without close, while a thread still waits."""
    handle = PRODUCER.enqueue(SEND, Send("a"))
    _thread.start_new_thread(handle.done, ())
    return 1


if __name__ == "__main__":
    print(globals()[sys.argv[1]]())  # noqa: T201
