"""The Lua scripts, as the server gets them, pass luacheck."""

import shutil
import subprocess
from pathlib import Path

import pytest

from jobs_core.loader import load, script_names

ROOT = Path(__file__).parent.parent


@pytest.mark.lint
@pytest.mark.skipif(shutil.which("luacheck") is None, reason="no luacheck here (Debian: lua-check)")
def test_assembled_scripts_pass_luacheck(tmp_path: Path) -> None:
    for name in script_names():
        # Headers are comments by then, but the first line may tell the server its flags: to Lua it is none.
        (tmp_path / f"{name}.lua").write_text(load(name).text.replace("#!", "--", 1))
    line = ["luacheck", "--no-color", "--codes", "--config", str(ROOT / ".luacheckrc"), "."]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
