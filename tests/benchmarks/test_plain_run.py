"""The plain way's whole run, on clips small enough to follow."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from avcil.benchmarks import plain_run
from avcil.benchmarks.plain_run import PlainChoices, PlainClip, PlainSettings, PlainTask, plain_av_cil_run

SLICES, TOKENS, CHANNELS = 2, 3, 8


def features(name: str) -> tuple[torch.Tensor, Any]:
    """A clip's features, its class's pattern plus noise, from its name "class-split-number" alone."""
    label, split, number = name.split("-")
    centre = torch.Generator().manual_seed(int(label))
    noise = torch.Generator().manual_seed(1000 * int(label) + 100 * len(split) + int(number))
    shapes = ((SLICES, TOKENS, CHANNELS), (CHANNELS,))
    visual, audio = (
        torch.randn(shape, generator=centre) + 0.3 * torch.randn(shape, generator=noise) for shape in shapes
    )
    return visual.half(), audio.numpy()


def clips(split: str, labels: range, each: int) -> tuple[PlainClip, ...]:
    return tuple(PlainClip(f"{label}-{split}-{n}", label) for label in labels for n in range(each))


def tasks(*classes: int, train: int = 6) -> list[PlainTask]:
    made, seen = [], 0
    for count in classes:
        labels = range(seen, seen + count)
        made.append(PlainTask(count, clips("train", labels, train), clips("val", labels, 2), clips("test", labels, 3)))
        seen += count
    return made


SMALL = PlainSettings(epochs=12, batch_size=4, memory_batch_size=2, evaluation_batch_size=5, memory_size=9)


def test_a_run_learns_and_repeats_itself():
    settings = replace(SMALL, epochs=40, choose_best_epoch=False)
    first = plain_av_cil_run(tasks(2, 2, 1), features, settings, PlainChoices(0))
    again = plain_av_cil_run(tasks(2, 2, 1), features, settings, PlainChoices(0))
    assert [len(row) for row in first.accuracy] == [1, 2, 3]
    assert first.accuracy[0] == [1.0]
    assert first.epoch_losses[0][-1] < first.epoch_losses[0][0] / 2
    assert first.heads[-1].classifier.weight.shape == (5, CHANNELS)
    assert first.accuracy == again.accuracy
    assert first.epoch_losses == again.epoch_losses


def test_memory_is_shared_among_the_classes_seen_before_and_old_ones_keep_a_prefix():
    result = plain_av_cil_run(tasks(2, 2, 1), features, SMALL, PlainChoices(1))
    none, second, third = result.memory
    assert none == []
    assert Counter(clip.label for clip in second) == {0: 4, 1: 4}
    assert Counter(clip.label for clip in third) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert [c for c in third if c.label == 0] == [c for c in second if c.label == 0][:2]
    assert len(set(third)) == len(third)


def test_one_read_a_clip_and_epoch():
    """Eight training clips fill two batches; memory is cycled but read once; validation once an epoch."""
    reads: Counter[str] = Counter()

    def counting(name: str):
        reads[name] += 1
        return features(name)

    settings = PlainSettings(epochs=3, batch_size=4, memory_batch_size=2, memory_size=2)
    plain_av_cil_run(tasks(2, 2, train=4), counting, settings, PlainChoices(0))
    assert reads["2-train-0"] == 3
    assert reads["2-val-0"] == 3
    assert reads["2-test-0"] == 1
    first_task = sum(reads[f"{label}-train-{n}"] for label in (0, 1) for n in range(4))
    assert first_task == 8 * 3 + 2 * 3 + 1  # its own epochs, then two clips from memory; one for the shape


def scripted_accuracies(monkeypatch: pytest.MonkeyPatch, reached: list[float]) -> None:
    """Validation reports these values in turn; testing then reports the last one for ever."""
    values = iter(reached)
    monkeypatch.setattr(plain_run, "accuracy", lambda *_: next(values, reached[-1]))


def test_the_first_of_equal_epochs_is_chosen(monkeypatch: pytest.MonkeyPatch):
    scripted_accuracies(monkeypatch, [0.2, 0.5, 0.5, 0.4])
    settings = PlainSettings(epochs=4, batch_size=4)
    best = plain_av_cil_run(tasks(2), features, settings, PlainChoices(0))
    assert best.chosen_epochs == [1]
    two_epochs = PlainSettings(epochs=2, batch_size=4, choose_best_epoch=False)
    last = plain_av_cil_run(tasks(2), features, two_epochs, PlainChoices(0))
    for ours, theirs in zip(best.heads[0].parameters(), last.heads[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_never_better_than_zero_takes_the_first_epoch(monkeypatch: pytest.MonkeyPatch):
    scripted_accuracies(monkeypatch, [0.0])
    settings = PlainSettings(epochs=3, batch_size=4)
    assert plain_av_cil_run(tasks(2), features, settings, PlainChoices(0)).chosen_epochs == [0]


@pytest.mark.parametrize("memory_size", [0, 1, 2])
def test_awkward_sizes(memory_size: int):
    """Batches larger than the sets; a memory smaller than the number of classes."""
    settings = PlainSettings(epochs=2, memory_size=memory_size)
    result = plain_av_cil_run(tasks(2, 1, train=1), features, settings, PlainChoices(0))
    assert len(result.memory[1]) == memory_size // 2 * 2
    assert all(torch.isfinite(torch.tensor(losses)).all() for losses in result.epoch_losses)


def test_a_wider_classifier_keeps_its_old_rows():
    choices = PlainChoices(0)
    old = choices.linear(CHANNELS, 2)
    wide = choices.widened(old, 5)
    assert torch.equal(wide.weight[:2], old.weight)
    assert torch.equal(wide.bias[:2], old.bias)
    assert wide.weight.abs().max() <= CHANNELS**-0.5
