"""The blocks of docs/python.md, run one after the other as a reader would."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from avcil.tests.incremental import synthetic

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.slow
def test_the_blocks_run_as_they_stand(tmp_path: Path):
    made = synthetic.make(tmp_path / "made", 4)
    made.manifest.rename(tmp_path / "clips.csv")
    made.cache.rename(tmp_path / "cache")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    program = "\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "3 0.5"
    assert lines[-1] == "12"  # two seeds, two tasks, three epochs
    assert {path.parent.name for path in (tmp_path / "runs").rglob("metrics.json")} == {
        "seed-0", "seed-1", "lambda-0.1", "lambda-0.3"
    }  # fmt: skip
