"""Prometheus' own judge of metrics and rules, where the machine has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.waiting import WITHIN

_FOUND = shutil.which("promtool")


def promtool(*arguments: str, text: bytes | None = None, folder: Path | None = None) -> tuple[int, str]:
    """Run it. Returns the exit code and all that it wrote; a test that needs it is skipped where it is missing."""
    if _FOUND is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run(
        [_FOUND, *arguments],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        timeout=2 * WITHIN,
        check=False,
    )
    return done.returncode, done.stdout.decode()
