"""The loop over tasks and epochs, seen by a method that writes down what it is asked."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental import Batch, ClipTable, Context, Method, Settings, Task, Widths
from avcil.incremental.config import RunConfig
from avcil.incremental.data.reader import ClipReader
from avcil.incremental.data.residence import Residence
from avcil.incremental.learning.events import TrainingListener
from avcil.incremental.learning.method import Replay
from avcil.incremental.learning.randomness import generator
from avcil.incremental.learning.state import Progress
from avcil.incremental.learning.trainer import Trainer
from avcil.tests.incremental.synthetic import AUDIO, TableSource
from torch import Tensor, nn

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, TRAIN, VAL, TEST = 6, 5, 4, 2
A_CLASS = ("train",) * TRAIN + ("val",) * VAL + ("test",) * TEST
TABLE = ClipTable(
    ids=tuple(f"clip-{number}" for number in range(CLASSES * len(A_CLASS))),
    labels=torch.arange(CLASSES).repeat_interleave(len(A_CLASS)),
    splits=A_CLASS * CLASSES,
    tasks=(("a", "b"), ("c", "d", "e"), ("f",)),
)


class Scripted(Method):
    """Says beforehand how many of a task's validation clips it will get right after each epoch."""

    name = "scripted"
    right: tuple[int, ...] = (0,)
    """After each epoch; the last entry holds on."""

    def __init__(self, settings: Any, widths: Widths, modality: Any) -> None:
        super().__init__(settings, widths, modality)
        self.calls: list[tuple[Any, ...]] = []
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))

    def grow(self, task: Task) -> None:
        super().grow(task)
        self.calls.append(("grow", task.number))

    def begin_task(self, context: Context) -> None:
        self.get_buffer("epochs").zero_()
        self.calls.append(("begin_task", context.task.number, context.new_clips.tolist(), dict(context.memory.chosen)))

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        self.calls.append(("loss", batch.numbers.tolist(), batch.new))
        return {"up": -self.weight if self.task.number % 2 else self.weight}

    def after_epoch(self, context: Context) -> None:
        self.get_buffer("epochs").add_(1)
        self.calls.append(("after_epoch",))

    def scores(self, batch: Batch) -> Tensor:
        self.calls.append(("scores", batch.numbers.tolist()))
        done, seen = int(self.get_buffer("epochs")), self.task.seen_classes
        right = self.right[min(done, len(self.right)) - 1]
        answer = torch.where(torch.arange(len(batch.labels)) < right, batch.labels, (batch.labels + 1) % seen)
        return torch.eye(seen)[answer]

    def end_task(self, context: Context) -> None:
        self.calls.append(("end_task", {label: list(clips) for label, clips in context.memory.chosen.items()}))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        """What it was asked of one kind."""
        return [call[1:] for call in self.calls if call[0] == kind]


def learn(
    right: tuple[int, ...] = (0,),
    *,
    replay: Replay = "none",
    progress: Progress | None = None,
    kind: type[Scripted] = Scripted,
    listeners: Sequence[TrainingListener] = (),
    **given: Any,
) -> tuple[Scripted, Progress]:
    source = TableSource(len(TABLE.ids))
    residence = Residence(
        source, TABLE.ids, device=torch.device("cpu"), dtype=torch.float32, visual="none", largest_batch=128
    )
    values: dict[str, Any] = {"epochs": 3, "batch_size": 4, "memory_batch_size": 2, "memory_size": 7}
    config = RunConfig(method="scripted", cache="", classes_per_task=2, **values | given)
    scripted = type("Scripted", (kind,), {"replay": replay, "right": right})
    method = scripted(Settings(), Widths(AUDIO, 4), "audio")
    trainer = Trainer(config, TABLE, method, ClipReader(residence, TABLE.labels), listeners)
    return method, trainer.run(progress)


def clips_of(split: str, *classes: int) -> list[int]:
    return [
        number
        for number, (label, of) in enumerate(zip(TABLE.labels.tolist(), TABLE.splits, strict=True))
        if of == split and label in classes
    ]


# ------------------------------------------------------------------------------------------ order of calls


def test_a_method_is_asked_in_the_order_that_its_base_says():
    method, _ = learn(epochs=2, batch_size=5)
    kinds = [call[0] for call in method.calls]
    a_task = {1: 2, 2: 3, 3: 1}  # batches an epoch: 10, 15 and 5 clips in batches of 5
    expected = []
    for batches in a_task.values():
        expected += ["grow", "begin_task", *(["loss"] * batches + ["after_epoch", "scores"]) * 2, "end_task", "scores"]
    assert kinds == expected
    assert method.of("grow") == [(1,), (2,), (3,)]


def test_validation_and_test_take_in_all_seen_classes():
    method, progress = learn(epochs=1)
    assert [sorted(clips) for (clips,) in method.of("scores")] == [
        clips_of("val", 0, 1),
        clips_of("test", 0, 1),
        clips_of("val", 0, 1, 2, 3, 4),
        clips_of("test", 0, 1, 2, 3, 4),
        clips_of("val", *range(6)),
        clips_of("test", *range(6)),
    ]
    assert [clips.tolist() for clips, _ in progress.predictions] == [
        clips_of("test", 0, 1),
        clips_of("test", 0, 1, 2, 3, 4),
        clips_of("test", *range(6)),
    ]


def test_each_task_brings_its_own_training_clips():
    method, _ = learn(epochs=1)
    new = [clips for _, clips, _ in method.of("begin_task")]
    assert new == [clips_of("train", 0, 1), clips_of("train", 2, 3, 4), clips_of("train", 5)]


# ----------------------------------------------------------------------------------------------- old clips


def batches_of(method: Scripted, task: int) -> list[tuple[list[int], int]]:
    """The batches of one task, in turn."""
    begins = [place for place, call in enumerate(method.calls) if call[0] == "begin_task"] + [len(method.calls)]
    return [(call[1], call[2]) for call in method.calls[begins[task - 1] : begins[task]] if call[0] == "loss"]


def test_without_replay_only_new_clips_come():
    method, _ = learn(replay="none", epochs=2)
    for clips, new in batches_of(method, 2):
        assert new == len(clips) == 4
        assert set(clips) <= set(clips_of("train", 2, 3, 4))
    assert len(batches_of(method, 2)) == 2 * (15 // 4)


def test_memory_comes_beside_new_clips_and_goes_round():
    """15 new clips make 3 batches of 4; a memory of 2 x 3 clips makes one of 4, which comes beside each of them."""
    method, progress = learn(replay="separate", epochs=2, memory_batch_size=4)
    memory = [clip for clips in progress.memories[0].values() for clip in clips]
    assert len(memory) == 6
    parts = []
    for clips, new in batches_of(method, 2):
        assert new == 4
        assert set(clips[:4]) <= set(clips_of("train", 2, 3, 4))
        assert set(clips[4:]) <= set(memory)
        parts.append(clips[4:])
    assert [len(part) for part in parts] == [4] * 6
    assert parts[0] == parts[1] == parts[2]  # cycled within an epoch
    assert parts[3] == parts[4] == parts[5]
    assert parts[0] != parts[3]  # shuffled anew for the next
    assert all(new == len(clips) for clips, new in batches_of(method, 1))


def test_memory_mixed_into_the_training_set():
    method, progress = learn(replay="mixed", epochs=1, batch_size=21)
    memory = [clip for clips in progress.memories[0].values() for clip in clips]
    ((clips, new),) = batches_of(method, 2)
    assert new == 21
    assert sorted(clips) == sorted(memory + clips_of("train", 2, 3, 4))
    assert clips[-6:] != memory


def test_everything_seen_so_far():
    method, _ = learn(replay="everything", epochs=1, batch_size=100)  # lowered to the set's size
    assert [sorted(clips) for task in (1, 2, 3) for clips, _ in batches_of(method, task)] == [
        clips_of("train", 0, 1),
        clips_of("train", *range(5)),
        clips_of("train", *range(6)),
    ]


def test_exemplars_are_chosen_after_the_task_and_fit_the_quota():
    method, progress = learn(memory_size=13)
    assert [len(memory) for _, _, memory in method.of("begin_task")] == [0, 2, 5]
    shares = [5, 2, 2]  # 13 // 2 = 6 of 5 clips there are; 13 // 5; 13 // 6
    assert [memory for (memory,) in method.of("end_task")] == progress.memories
    for task, (memory, share) in enumerate(zip(progress.memories, shares, strict=True), start=1):
        assert list(memory) == list(range(TABLE.task(task).seen_classes))
        for label, clips in memory.items():
            assert len(clips) == share
            assert len(set(clips)) == share
            assert set(clips) <= set(clips_of("train", label))
    for before, after in zip(progress.memories, progress.memories[1:], strict=False):
        for label, clips in before.items():
            assert after[label] == clips[: len(after[label])]


# ------------------------------------------------------------------------------------------- choice of epoch


def test_the_first_of_equal_epochs_is_chosen_and_its_weights_go_on():
    _, progress = learn((1, 5, 5, 2), epochs=4, batch_size=5)
    assert progress.chosen_epochs == [2, 2, 2]
    assert progress.finished is not None
    assert int(progress.finished["epochs"]) == 2
    accuracies = [line["validation_accuracy"] for line in progress.history]
    assert accuracies[:4] == pytest.approx([100 * right / 8 for right in (1, 5, 5, 2)])
    # Adam at a constant gradient goes the learning rate a step: 2 epochs up, 2 down, 2 up, of 2, 3 and 1 batches.
    assert float(progress.finished["weight"]) == pytest.approx(1e-3 * (4 - 6 + 2), abs=1e-6)


def test_weights_are_the_chosen_ones_when_exemplars_are_chosen_and_tested():
    _, progress = learn((3, 1), epochs=3)
    tested = [scores.argmax(dim=1) == TABLE.labels[clips] for clips, scores in progress.predictions]
    assert [int(right.sum()) for right in tested] == [3, 3, 3]  # not 1, as after the last epoch


def test_no_epoch_better_than_nothing_right_chooses_the_first():
    _, progress = learn((0,), epochs=3)
    assert progress.chosen_epochs == [1, 1, 1]
    assert progress.finished is not None
    assert int(progress.finished["epochs"]) == 1
    assert [line["validation_accuracy"] for line in progress.history] == [0.0] * 9


def test_the_last_epoch_looks_at_no_validation_clip():
    method, progress = learn((4, 1), epochs=3, model_choice="last")
    assert progress.chosen_epochs == [3, 3, 3]
    assert progress.finished is not None
    assert int(progress.finished["epochs"]) == 3
    assert not {clip for (clips,) in method.of("scores") for clip in clips} & set(clips_of("val", *range(6)))
    assert "validation_accuracy" not in progress.history[0]


def test_the_optimiser_starts_anew_in_every_task():
    """The gradient turns round with the second task; moments kept from the first would go on upwards."""
    _, progress = learn(epochs=1, batch_size=10, model_choice="last", weight_decay=0)
    rising, falling = 1e-3, -1e-3
    assert progress.finished is not None
    assert float(progress.finished["weight"]) == pytest.approx(rising + falling + rising, abs=1e-8)


# ------------------------------------------------------------------------------------- tasks that end early


def ended_and_chosen(right: Sequence[int], patience: int | None, every: int) -> tuple[int, int]:
    """The epoch that a task ends with and the chosen one: by the list of the epochs that are looked at."""
    looked_at = [epoch for epoch in range(1, len(right) + 1) if epoch % every == 0 or epoch == len(right)]
    for place, epoch in enumerate(looked_at):
        best = max(looked_at[: place + 1], key=lambda one: (right[one - 1], -one))
        if patience is not None and epoch - best >= patience:
            return epoch, best
    return looked_at[-1], best


@pytest.mark.parametrize("patience", [None, 1, 2, 3, 5, 12])
@pytest.mark.parametrize("every", [1, 2, 3, 5, 12, 40])
def test_a_task_ends_and_chooses_by_the_plain_rule(patience: int | None, every: int):
    drawn = torch.randint(0, 6, (12,), generator=generator(0, "right", str(patience), every))
    right = tuple(drawn.tolist())
    method, progress = learn(right, epochs=12, patience=patience, validate_every=every, batch_size=5)
    ended, chosen = ended_and_chosen(right, patience, every)
    assert progress.epochs_by_task() == {1: ended, 2: ended, 3: ended}
    assert progress.chosen_epochs == [chosen] * 3
    assert progress.finished is not None
    assert int(progress.finished["epochs"]) == chosen
    looked_at = [line["epoch"] for line in progress.history if line["task"] == 1 and "validation_accuracy" in line]
    assert looked_at == [epoch for epoch in range(1, ended + 1) if epoch % every == 0 or epoch == 12]
    assert len(method.of("scores")) == 3 * (len(looked_at) + 1)  # and no look at a validation clip besides
    # Adam at a constant gradient goes the learning rate a step: up, down, up, in 2, 3 and 1 batches an epoch.
    assert float(progress.finished["weight"]) == pytest.approx(1e-3 * chosen * (2 - 3 + 1), abs=1e-5)


def test_up_to_its_end_a_task_that_ends_early_is_the_plain_one():
    right = (1, 3, 2, 3, 1, 6, 6, 6)
    _, plain = learn(right, epochs=8)
    _, early = learn(right, epochs=8, patience=3)
    assert early.epochs_by_task() == {1: 5, 2: 5, 3: 5}  # 2 is the best, which 4 only repeats
    assert early.history[:5] == plain.history[:5]


def test_a_task_goes_on_while_it_has_not_been_looked_at():
    """The patience of one epoch is over at the fourth, which nobody looks at before the sixth."""
    _, progress = learn((9, 9, 2, 9, 9, 3, 9, 9, 4, 9, 9, 4), epochs=12, patience=1, validate_every=3)
    assert progress.epochs_by_task() == {1: 12, 2: 12, 3: 12}
    assert progress.chosen_epochs == [9, 9, 9]


class Saved:
    """The progress as it was after every epoch and task."""

    def __init__(self) -> None:
        self.states: list[Progress] = []

    def epoch_ended(self, progress: Progress) -> None:
        self.states.append(copy.deepcopy(progress))

    task_ended = stopped = epoch_ended


@pytest.mark.parametrize("every", [1, 2])
def test_a_run_that_goes_on_from_any_epoch_ends_its_tasks_where_the_whole_one_does(every: int):
    saved = Saved()
    given: dict[str, Any] = {"epochs": 9, "patience": 2, "validate_every": every}
    right = (1, 4, 2, 5, 5, 3, 8, 8, 8)
    _, whole = learn(right, listeners=[saved], **given)
    ended, _ = ended_and_chosen(right, 2, every)
    assert ended < 9 and len(saved.states) == 3 * (ended + 1)
    for state in saved.states:
        _, resumed = learn(right, progress=state, **given)
        assert resumed.history == whole.history
        assert resumed.chosen_epochs == whole.chosen_epochs
        assert resumed.finished is not None and whole.finished is not None
        assert all(torch.equal(resumed.finished[name], tensor) for name, tensor in whole.finished.items())


# --------------------------------------------------------------------------------------------------- order


def test_shuffles_depend_on_seed_task_and_epoch_alone():
    method, _ = learn(epochs=2, batch_size=5, seed=4)
    again, _ = learn(epochs=2, batch_size=5, seed=4)
    other, _ = learn(epochs=2, batch_size=5, seed=5)
    assert method.calls == again.calls
    assert method.of("loss") != other.of("loss")
    first, second = method.of("loss")[:2], method.of("loss")[2:4]
    assert first != second
    order = torch.tensor(clips_of("train", 0, 1))[torch.randperm(10, generator=generator(4, "shuffle", 1, "task", 1))]
    assert [clips for clips, _ in first] == [part.tolist() for part in order.split(5)]


def test_history_has_a_line_an_epoch_with_the_mean_of_each_term():
    _, progress = learn(epochs=2, batch_size=5, weight_decay=0, model_choice="last")
    assert [(line["task"], line["epoch"]) for line in progress.history] == [(t, e) for t in (1, 2, 3) for e in (1, 2)]
    assert progress.history[0]["up"] == pytest.approx(-(0 + 1e-3) / 2, abs=1e-7)
    assert progress.history[1]["up"] == pytest.approx(-(2e-3 + 3e-3) / 2, abs=1e-7)
    assert progress.seconds > 0


def test_a_run_that_is_done_learns_nothing_more():
    _, progress = learn(epochs=1)
    method, again = learn(epochs=1, progress=progress)
    assert again is progress
    assert method.of("loss") == []
    assert len(again.predictions) == 3


def test_a_loss_that_is_no_number_any_more_ends_the_run_in_one_line():
    """Its figures would look like any others."""

    class Diverging(Scripted):
        def loss(self, batch: Batch) -> Mapping[str, Tensor]:
            steady, up = self.heads.audio_projection.weight.sum(), super().loss(batch)["up"]
            too_much = self.task.number == 2 and len(self.of("after_epoch")) == 4
            return {"steady": 0 * steady, "growing": up * 1e38 * 1e38 if too_much else up}

    with pytest.raises(InputError) as error:
        learn(kind=Diverging, batch_size=15, model_choice="last")
    assert str(error.value).startswith("task 2, epoch 2, step 1 of 1: growing has become inf: lower the learning rate")
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------ mistakes of a method


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda clips, share: clips[:share].tolist(), r"must return a tensor \(n,\) of clip numbers, not list"),
        (lambda clips, share: clips[:share].float(), r"must return a tensor \(n,\) of clip numbers"),
        (lambda clips, share: clips[: share + 1], "must return at most 3 of the clips that it was given, of class 0"),
        (lambda clips, share: clips[:share] + 1000, "must return at most 3 of the clips that it was given, of class 0"),
    ],
)
def test_exemplars_that_are_none_are_told_in_one_line(choose: Callable[[Tensor, int], Any], words: str):
    class Own(Scripted):
        def choose_exemplars(self, context: Context, label: int, clips: Tensor, share: int) -> Tensor:
            return choose(clips, share)  # type: ignore[no-any-return]

    with pytest.raises(InputError, match=f"method 'scripted': choose_exemplars {words}"):
        learn(kind=Own)


@pytest.mark.parametrize("columns", [-1, 1])
def test_scores_of_too_few_or_too_many_classes_are_told_in_one_line(columns: int):
    class Own(Scripted):
        def scores(self, batch: Batch) -> Tensor:
            return torch.zeros(len(batch.labels), self.task.seen_classes + columns)

    with pytest.raises(InputError, match=r"scores must be a tensor \(clips, classes seen\) = \(8, 2\), not \(8, "):
        learn(kind=Own)
