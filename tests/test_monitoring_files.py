"""The rules for Prometheus and the board for Grafana speak of metrics and labels that there are, and the rules fire."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import pytest
from tests.support.documents import ROOT
from tests.support.promtool import promtool

from jobs_dashboard.metrics import FAMILIES

FOLDER = ROOT / "docker" / "prometheus"
RULES = (FOLDER / "alerts.yml").read_text()
TESTS = (FOLDER / "alerts_test.yml").read_text()
BOARD = (ROOT / "docker" / "grafana" / "jobs.json").read_text()
PAGE = (ROOT / "docs" / "monitoring.md").read_text()
# What Prometheus adds, and what histograms have.
LABELS = {"queue", "job", "error_type", "state", "instance", "le", "process"}
ALERTS = re.findall(r"- alert: (\w+)", RULES)


def exported() -> set[str]:
    """Return the names of all series that dashboards and workers export."""
    names = {"up"} | set(re.findall(r"`(worker_[a-z_]+)`", PAGE))
    for family in FAMILIES:
        parts = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        names |= {family.name + part for part in parts}
    return names


def used(text: str) -> set[str]:
    return set(re.findall(r"\b((?:queue|worker)_[a-z_]+|up)\b(?=[{\[)\s/]|$)", text, re.MULTILINE))


def expressions() -> list[str]:
    """Return the queries of the board."""
    panels = cast("dict[str, list[dict[str, list[dict[str, str]]]]]", json.loads(BOARD))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_rules_ask_for_metrics_that_there_are() -> None:
    asked = used("\n".join(re.findall(r"expr: (.*(?:\n {10,}.*)*)", RULES)))
    assert len(asked) > 10
    assert asked <= exported()
    assert used(TESTS) <= exported()


def test_rules_group_and_tell_by_labels_that_there_are() -> None:
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", RULES) for label in group.split(",")}
    told = set(re.findall(r"\$labels\.(\w+)", RULES))
    assert grouped | told <= LABELS


def test_every_alert_is_shown_to_fire_and_not_before() -> None:
    assert len(ALERTS) == len(set(ALERTS)) > 10
    for alert in ALERTS:
        expected = re.findall(rf"alertname: {alert}\n +exp_alerts:(.*)", TESTS)
        assert expected == [" []", ""], alert


def test_the_board_asks_for_metrics_and_labels_that_there_are() -> None:
    queries = expressions()
    assert len(queries) > 20
    assert used("\n".join(queries)) <= exported()
    text = "\n".join(queries)
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(",")}
    assert grouped | set(re.findall(r"\{\{(\w+)\}\}", BOARD)) | set(re.findall(r"[{,](\w+)=", text)) <= LABELS


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
    ],
    ids=["rules", "tests", "config"],
)
def test_promtool_accepts_it(arguments: tuple[str, ...]) -> None:
    code, said = promtool(*arguments, folder=FOLDER)
    assert code == 0, said
    assert "SUCCESS" in said


def test_promtool_reads_every_query_of_the_board(tmp_path: Path) -> None:
    rules = ["groups:", "  - name: board", "    rules:"]
    for number, query in enumerate(expressions()):
        text = query.replace("$__rate_interval", "5m").replace("$queue", ".*").replace("'", "''")
        rules += [f"      - record: board:query_{number}", f"        expr: '{text}'"]
    (tmp_path / "board.yml").write_text("\n".join(rules) + "\n")
    code, said = promtool("check", "rules", "board.yml", folder=tmp_path)
    assert code == 0, said
