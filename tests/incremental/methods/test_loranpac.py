"""LoRanPAC against least squares and against the decomposition written out, on clips that anyone can draw."""

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.config import checked
from avcil.incremental.data.tasks import Task
from avcil.incremental.methods import loranpac
from avcil.incremental.methods.loranpac import LoRanPacSettings
from avcil.tests.incremental.methods.heads import TEST, TRAIN, head, learn, scores_after, task_of
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")


def all_clips() -> tuple[Tensor, Tensor]:
    rows, labels = (torch.cat(part) for part in zip(*TRAIN, strict=True))
    return rows, labels


@pytest.mark.parametrize("width", [70, 200])
def test_without_a_cut_it_is_least_squares_of_smallest_norm_on_all_clips(width: int):
    """With fewer features than the 112 clips and with more."""
    one = head("loranpac", width=width, truncation=0)
    scores = scores_after(one)[-1]
    rows, labels = all_clips()
    targets = torch.nn.functional.one_hot(labels, 6).double()
    weights = torch.linalg.pinv(one.map(rows), rtol=1e-12) @ targets
    torch.testing.assert_close(scores, one.map(TEST) @ weights, rtol=1e-8, atol=1e-8)
    assert len(one.lengths) == min(width, len(rows))


@pytest.mark.parametrize(("truncation", "most"), [(0.25, 10000), (0.75, 10000), (0.1, 17)])
def test_a_cut_after_every_task_written_out(truncation: float, most: int):
    one = head("loranpac", width=90, truncation=truncation, most_directions=most)
    kept, moments, clips = torch.zeros(90, 0, dtype=torch.float64), torch.zeros(90, 6, dtype=torch.float64), 0
    for number, (rows, labels) in enumerate(TRAIN, start=1):
        figures = learn(one, task_of(number), rows, labels)
        features, targets = one.map(rows), torch.nn.functional.one_hot(labels, 6).double()
        moments, clips = moments + features.T @ targets, clips + len(rows)
        vectors, lengths, _ = torch.linalg.svd(torch.cat([kept, features.T], dim=1), full_matrices=False)
        count = min(round((1 - truncation) * clips), round((1 - truncation) * 90), most)
        vectors, lengths = vectors[:, :count], lengths[:count]
        kept = vectors * lengths
        assert figures == {"directions": count}
        torch.testing.assert_close(one.lengths, lengths, rtol=1e-10, atol=0)
        classes = 2 * number
        expected = vectors @ torch.diag(lengths**-2) @ vectors.T @ moments[:, :classes]
        torch.testing.assert_close(one.weights, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
    assert torch.dist(one.directions.T @ one.directions, torch.eye(count, dtype=torch.float64)) < 1e-12


def test_clips_of_a_large_task_are_taken_in_part_by_part(monkeypatch: pytest.MonkeyPatch):
    """A cut comes after each part, as after tasks of these sizes."""
    rows, labels = all_clips()
    monkeypatch.setattr(loranpac, "AT_ONCE", 40)
    parts = head("loranpac", width=60)
    learn(parts, Task(1, (0, 6)), rows, labels)
    monkeypatch.undo()
    tasks = head("loranpac", width=60)
    for some, of_some in zip(rows.split(40), labels.split(40), strict=True):
        tasks.grow(Task(1, (0, 6)))
        tasks.gather(some, of_some)
    torch.testing.assert_close(parts.lengths, tasks.lengths, rtol=1e-12, atol=0)


def test_clips_that_are_there_twice_add_no_direction():
    """Directions that are rounding noise would be divided by."""
    rows, labels = TRAIN[0]
    one = head("loranpac", width=200, truncation=0)
    learn(one, task_of(1), torch.cat([rows, rows]), torch.cat([labels, labels]))
    assert len(one.lengths) == len(rows)
    once = head("loranpac", width=200, truncation=0)
    learn(once, task_of(1), rows, labels)
    torch.testing.assert_close(one.answer(TEST), once.answer(TEST), rtol=1e-8, atol=1e-8)


def test_what_is_saved_goes_on_to_the_same_bits():
    one = head("loranpac", width=70)
    learn(one, task_of(1), *TRAIN[0])
    state = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    assert state["directions"].shape == (70, 28)  # three quarters of 37 clips
    other = head("loranpac", width=70)
    other.grow(task_of(1))
    other.load_state_dict(state)
    for head_of_two in (one, other):
        learn(head_of_two, task_of(2), *TRAIN[1])
    assert torch.equal(one.answer(TEST), other.answer(TEST))


@pytest.mark.parametrize("given", [{"truncation": 1.0}, {"truncation": -0.1}, {"most_directions": 0}, {"width": 0}])
def test_settings_out_of_range(given: dict[str, float]):
    with pytest.raises(InputError):
        checked(LoRanPacSettings, given)
