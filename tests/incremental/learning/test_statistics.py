"""Learning from statistics: what the trainer asks of a method that is solved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental import Batch, Context, Settings, StatisticsMethod, Task, Widths
from avcil.incremental.config import RunConfig
from avcil.incremental.data.reader import ClipReader
from avcil.incremental.data.residence import Residence
from avcil.incremental.learning.state import Progress
from avcil.incremental.learning.trainer import Trainer
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.learning.test_trainer import TABLE, clips_of
from avcil.tests.incremental.synthetic import AUDIO, SOLVED, TableSource
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")


class Counting(StatisticsMethod):
    """Counts clips by class, and answers with the commonest."""

    name = "counting"
    paper = "none"

    def __init__(self, settings: Any, widths: Widths, modality: Any) -> None:
        super().__init__(settings, widths, modality)
        self.register_buffer("counts", torch.zeros(0, dtype=torch.float64))
        self.calls: list[tuple[Any, ...]] = []

    def grow(self, task: Task) -> None:
        super().grow(task)
        counts = self.get_buffer("counts")
        self.counts = torch.cat([counts, counts.new_zeros(task.seen_classes - len(counts))])
        self.calls.append(("grow", task.number))

    def begin_task(self, context: Context) -> None:
        self.calls.append(("begin_task",))

    def observe(self, batch: Batch) -> None:
        assert not torch.is_grad_enabled()
        self.get_buffer("counts").add_(torch.bincount(batch.labels, minlength=self.task.seen_classes))
        self.calls.append(("observe", batch.numbers.tolist()))

    def solve(self, context: Context) -> Mapping[str, float]:
        self.calls.append(("solve", dict(context.memory.chosen)))
        return {"most": float(self.get_buffer("counts").max())}

    def end_task(self, context: Context) -> None:
        self.calls.append(("end_task",))

    def scores(self, batch: Batch) -> Tensor:
        self.calls.append(("scores",))
        return self.get_buffer("counts").expand(len(batch.labels), -1)


def learn(
    progress: Progress | None = None, *, kind: type[Counting] = Counting, **given: Any
) -> tuple[Counting, Progress]:
    residence = Residence(
        TableSource(len(TABLE.ids)),
        TABLE.ids,
        device=torch.device("cpu"),
        dtype=torch.float32,
        visual="none",
        largest_batch=128,
    )
    config = RunConfig(method="counting", cache="", classes_per_task=2, evaluation_batch_size=4, **given)
    method = kind(Settings(), Widths(AUDIO, 4), "audio")
    return method, Trainer(config, TABLE, method, ClipReader(residence, TABLE.labels)).run(progress)


def test_every_new_clip_is_seen_once_in_the_order_of_the_list_and_then_solved():
    method, progress = learn()
    tasks = {1: (0, 1), 2: (2, 3, 4), 3: (5,)}
    for number, classes in tasks.items():
        begin = method.calls.index(("grow", number))
        calls = method.calls[begin:]
        kinds = [call[0] for call in calls]
        assert kinds[1] == "begin_task"
        solve = kinds.index("solve")
        assert set(kinds[2:solve]) == {"observe"}
        assert [clip for call in calls[2:solve] for clip in call[1]] == clips_of("train", *classes)
        assert kinds[solve + 1 : solve + 3] == ["end_task", "scores"]
    assert progress.history == [{"task": task, "epoch": 0, "most": 5.0} for task in (1, 2, 3)]


def test_there_are_no_epochs_no_validation_and_no_exemplars():
    method, progress = learn(epochs=50, model_choice="best")
    assert progress.chosen_epochs == [0, 0, 0]
    assert all(not clips for memory in progress.memories for clips in memory.values())
    tests = len(clips_of("test", *range(6)))
    assert sum(call[0] == "scores" for call in method.calls) <= -(-tests // 4) * 3


def test_exemplars_are_chosen_by_a_method_that_has_learnt():
    class Choosing(Counting):
        def choose_exemplars(self, context: Context, label: int, clips: Tensor, share: int) -> Tensor:
            self.calls.append(("choose_exemplars", float(self.get_buffer("counts")[label])))
            return clips[:share]

    method, progress = learn(kind=Choosing, memory_size=6)
    assert [call for call in method.calls if call[0] == "choose_exemplars"] == [("choose_exemplars", 5.0)] * 6
    assert [len(memory) for memory in progress.memories] == [2, 5, 6]


def test_sums_are_saved_and_resumed_from():
    _, whole = learn()
    saved: list[dict[str, Any]] = []

    class Saver:
        def epoch_ended(self, progress: Progress) -> None:
            raise AssertionError("there are no epochs")

        def stopped(self, progress: Progress) -> None:
            raise AssertionError("nothing asked")

        def task_ended(self, progress: Progress) -> None:
            saved.append(dict(vars(progress)))
            raise InterruptedError

    residence = Residence(
        TableSource(len(TABLE.ids)), TABLE.ids, device=torch.device("cpu"), dtype=torch.float32, visual="none",
        largest_batch=128,
    )  # fmt: skip
    config = RunConfig(method="counting", cache="", classes_per_task=2, evaluation_batch_size=4)
    method = Counting(Settings(), Widths(AUDIO, 4), "audio")
    with pytest.raises(InterruptedError):
        Trainer(config, TABLE, method, ClipReader(residence, TABLE.labels), [Saver()]).run()
    _, resumed = learn(Progress(**saved[0]))
    assert resumed.finished is not None and whole.finished is not None
    assert torch.equal(resumed.finished["counts"], whole.finished["counts"])
    assert torch.equal(whole.finished["counts"], torch.full((6,), 5.0, dtype=torch.float64))


@pytest.mark.parametrize("method", SOLVED)
def test_a_solved_run_needs_no_validation_clips_and_repeats_to_the_bit(method: str, tmp_path: Path):
    made = synthetic.make(tmp_path / "data", 6, counts={"train": 5, "val": 0, "test": 3})
    metrics = synthetic.run(made, method, tmp_path / "one")
    assert metrics["model_choice"] == "one pass"
    assert metrics["chosen_epochs"] == [0, 0, 0]
    synthetic.run(made, method, tmp_path / "two", epochs=7, learning_rate=1.0)
    assert synthetic.differing(tmp_path / "one", tmp_path / "two") == []
    with pytest.raises(InputError, match="no validation clip"):
        synthetic.run(made, "fine-tuning", tmp_path / "three")
