"""The file that a run is resumed from: all of it comes back, and no damage passes."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.state_file import read_state, write_state

PROGRESS = Progress(
    task=2,
    epoch=1,
    method={"w": torch.rand(2)},
    optimiser={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    step=4,
    sums={"loss": torch.tensor(2.5)},
    best={"w": torch.rand(2)},
    best_accuracy=12.5,
    best_epoch=1,
    memory={0: [3, 1]},
    finished={"w": torch.rand(2)},
    memories=[{0: [3, 1, 2]}],
    predictions=[(torch.tensor([1, 2]), torch.rand(2, 3))],
    history=[{"task": 1, "epoch": 1, "loss": 0.5}],
    chosen_epochs=[3],
    seconds=1.5,
)


def refusal(path: Path, tasks: int = 3) -> str:
    with pytest.raises(InputError) as error:
        read_state(path, tasks)
    assert str(path) in str(error.value)
    assert "delete it to begin the run again" in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_all_of_a_state_comes_back(tmp_path: Path):
    """Types included; it is read without unpickling anything but plain values and tensors."""
    path = tmp_path / "state.pt"
    write_state(path, PROGRESS, {"weights/task-01.safetensors": "ab"})
    back, weights = read_state(path, 3)
    assert weights == {"weights/task-01.safetensors": "ab"}
    for name, value in vars(PROGRESS).items():
        assert str(getattr(back, name)) == str(value), name
    assert torch.equal(back.predictions[0][1], PROGRESS.predictions[0][1])


def test_a_flipped_bit_anywhere_is_found(tmp_path: Path):
    path = tmp_path / "state.pt"
    write_state(path, PROGRESS, {})
    whole = path.read_bytes()
    draw = random.Random(0)
    for place in {0, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(100))}:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(flipped))
        refusal(path)
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refusal(path)


@pytest.mark.parametrize("content", [b"junk", b"", b"PK\x03\x04 no archive"])
def test_what_is_no_state_is_named_in_one_line(tmp_path: Path, content: bytes):
    (tmp_path / "state.pt").write_bytes(content)
    assert "is damaged" in refusal(tmp_path / "state.pt")


def saved_by_version_0_1(path: Path, **changed: Any) -> None:
    values = {name: value for name, value in vars(PROGRESS).items() if name not in ("step", "sums")} | changed
    torch.save({name: value for name, value in values.items() if value is not ...}, path)


def test_states_of_version_0_1_are_read(tmp_path: Path):
    saved_by_version_0_1(tmp_path / "state.pt")
    back, weights = read_state(tmp_path / "state.pt", 3)
    assert (back.task, back.epoch, back.step, back.sums, weights) == (2, 1, 0, None, {})
    assert torch.equal(back.predictions[0][1], PROGRESS.predictions[0][1])


@pytest.mark.parametrize(
    "changed",
    [
        {"task": 99},
        {"task": -1},
        {"task": 0},
        {"epoch": -1},
        {"predictions": []},
        {"memories": []},
        {"history": ...},
        {"x": 1},
        {"task": "two"},
        {"finished": 3},
        {"memory": [1]},
    ],
)
def test_states_that_contradict_themselves_are_refused(tmp_path: Path, changed: dict[str, Any]):
    saved_by_version_0_1(tmp_path / "state.pt", **changed)
    refusal(tmp_path / "state.pt")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from avcil.errors import InputError
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.state_file import write_state

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
write_state(path, Progress(), {})
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_state(path, Progress(method={"w": torch.zeros(1_000_000)}), {})
except InputError as error:
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    print(error)
"""


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_line_and_leaves_the_former_state(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "state.pt")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{tmp_path / 'state.pt'} cannot be written (File too large): raise the limit of file sizes (ulimit -f)\n"
    )
