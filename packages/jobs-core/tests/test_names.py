"""Names, prefixes, ids."""

import re
import subprocess
import sys
import time

import pytest

from jobs_core.errors import OptionError
from jobs_core.ids import new_job_id
from jobs_core.names import check_job_id, check_job_name, check_prefix, check_queue_name, check_tag, nearest


@pytest.mark.parametrize("name", ["email", "cache-warmup", "a", "A.b_c-9", "x" * 64])
def test_good_names_are_returned(name: str) -> None:
    assert check_queue_name(name) == name
    assert check_job_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a:b", "{a}", "é", "a@1", "a\n", "~", 5, None, b"a"])
def test_wrong_names_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="1 to 64") as caught:
        check_queue_name(name)
    assert caught.value.option == "queue"
    with pytest.raises(OptionError, match="1 to 64"):
        check_job_name(name)


@pytest.mark.parametrize("job_id", ["1", "order 17", "Bestellung-ä", "x" * 128])
def test_good_job_ids_are_returned(job_id: str) -> None:
    assert check_job_id(job_id) == job_id


@pytest.mark.parametrize("job_id", ["", "x" * 129, "a\nb", "a\x00", "\ud800", "a\u200bb", 17, None])
def test_wrong_job_ids_are_refused(job_id: str) -> None:
    with pytest.raises(OptionError, match="1 to 128 printable"):
        check_job_id(job_id)


def test_tags_are_shorter() -> None:
    assert check_tag("user") == "user"
    with pytest.raises(OptionError, match="1 to 64 printable"):
        check_tag("x" * 65)


@pytest.mark.parametrize("prefix", ["jobs", "shop:jobs", "a:b:c", "x" * 64])
def test_good_prefixes_are_returned(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["", ":", "a:", ":a", "a::b", "a{b", "a}b", "a b", "a\tb", "x" * 65])
def test_wrong_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(OptionError):
        check_prefix(prefix)


def test_nearest_knows_other_spellings() -> None:
    known = ["send-email", "daily-digest", "cache-warmup"]
    assert nearest("send_emial", known) == ["send-email"]
    assert nearest("Cache_Warmup", known)[0] == "cache-warmup"
    assert nearest("zebra", known) == []


def test_ids_stay_in_order_though_the_clock_jumps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_job_id()
    monkeypatch.setattr("jobs_core.ids.time_ns", lambda: 0)
    assert before < new_job_id() < new_job_id()


def test_new_ids_sort_by_time_and_differ() -> None:
    ids = [new_job_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch("[0-9a-f]{24}", one) for one in ids)


def test_new_id_begins_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = int(new_job_id()[:11], 16)
    assert before <= milliseconds <= time.time_ns() // 1_000_000


FORK = """
import os
from jobs_core.ids import new_job_id
print(new_job_id(), flush=True)
if os.fork():
    os.wait()
print(new_job_id(), flush=True)
"""


def test_forked_child_makes_other_ids() -> None:
    # In a process of its own, since forking one with threads is a warning.
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    first, child, parent = (int(one[11:], 16) for one in done.stdout.split())
    assert parent == first + 1
    assert child != parent
