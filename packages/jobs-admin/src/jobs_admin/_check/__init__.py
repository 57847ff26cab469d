"""The invariants of a queue: what must hold between any two calls, and who looks whether it does.

`keys.py` knows every key, `rules.py` what must hold of jobs, `view.py` reads what a rule judges in one step,
`walk.py` goes through a queue with all of it, `report.py` says what it found.
"""

from __future__ import annotations

from jobs_admin._check.keys import KEYS, Key
from jobs_admin._check.report import check
from jobs_admin._check.view import View

__all__ = ["KEYS", "Key", "View", "check"]
