"""The page on monitoring names every metric that there is."""

import re
from importlib.util import find_spec
from pathlib import Path

from tests.support.documents import ROOT

from jobs_dashboard.metrics import FAMILIES

PAGE = (ROOT / "docs" / "monitoring.md").read_text()
NAMED = {
    name
    for first in re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)
    for name in re.findall(r"`((?:queue|worker)_[a-z_]+)`", first)
}


def test_every_metric_of_the_queues_is_in_the_table() -> None:
    assert {name for name in NAMED if name.startswith("queue_")} == {family.name for family in FAMILIES}


def test_every_metric_of_a_worker_is_in_the_table() -> None:
    spec = find_spec("jobs_worker.own_metrics")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    exported = {f"worker_{name}" for name in re.findall(r'_metric\(\s*"([a-z_]+)"', source)}
    exported |= set(re.findall(r"# TYPE (worker_[a-z_]+) ", source))
    assert {name for name in NAMED if name.startswith("worker_")} == exported
