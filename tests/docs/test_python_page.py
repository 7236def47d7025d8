"""The blocks of docs/python.md, run one after the other as a reader would."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from avcil.tests.incremental import synthetic
from avcil.tests.predict.conftest import Taught, taught

__all__ = ["taught"]  # a fixture

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def blocks_of(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_blocks_run_as_they_stand(tmp_path: Path):
    made = synthetic.make(tmp_path / "made", 4)
    made.manifest.rename(tmp_path / "clips.csv")
    made.cache.rename(tmp_path / "cache")
    blocks = blocks_of(PAGE.read_text().split("## Video files")[0])
    assert len(blocks) >= 9
    program = "\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "<cache: 40 clips, visual (2, 3, 8), audio (16,), float32, RANDOM weights> 40"
    assert lines[2].startswith("<ridge: 2 runs, Mean Accuracy ")
    assert "3 0.5" in lines
    assert lines[-1] == "12"  # two seeds, two tasks, three epochs
    assert {path.parent.name for path in (tmp_path / "runs").rglob("metrics.json")} == {
        "seed-0", "seed-1", "lambda-0.1", "lambda-0.3"
    }  # fmt: skip


@pytest.mark.slow
def test_the_block_on_video_files_runs_as_it_stands(taught: Taught, tmp_path: Path):
    shutil.copytree(taught.av_cil, tmp_path / "run")
    shutil.copyfile(sorted(taught.data.videos.iterdir())[0], tmp_path / "clip.mp4")
    (program,) = blocks_of(PAGE.read_text().split("## Video files")[1])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, _, again, shapes = done.stdout.splitlines()
    assert first.startswith("clip.mp4  ")
    assert len(first.split("  ")) == 4
    assert again == first
    assert shapes == "torch.Size([8, 49]) torch.Size([8])"
