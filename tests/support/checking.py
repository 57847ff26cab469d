"""What pyright says to a folder of right and wrong calls."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check_calls(folder: Path) -> None:
    """Assert that good_calls.py passes, and that each line of bad_calls.py is refused for the reason it names, and no other."""
    # A comment in bad_calls.py that ignores nothing is reported too: no error means all are, and no others.
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    found = [
        f"{Path(one['file']).name}:{one['range']['start']['line'] + 1}: {one['message']}"
        for one in report["generalDiagnostics"]
    ]
    assert found == []
    assert report["summary"]["filesAnalyzed"] == 2
