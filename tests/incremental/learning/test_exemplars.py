"""Herding, class means and the nearest-mean readout, by hand and against loops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from avcil.incremental.data.memory import ExemplarMemory
from avcil.incremental.learning.exemplars import NearestMean, herding
from avcil.incremental.methods.afc import AfcNme
from avcil.incremental.methods.icarl import IcarlFc, IcarlNme
from avcil.tests.incremental import parity, plain_methods
from avcil.tests.incremental.problems import make_problem, run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """The products here are small: threads would only wait for each other."""


quick = settings(deadline=None, max_examples=60, derandomize=True)


# ------------------------------------------------------------------------------------------------ herding


def test_herding_with_repeats_is_the_released_choice():
    for dtype in (torch.float64, torch.float32):
        features = torch.from_numpy(parity.herding_features()).to(dtype)
        assert herding(features, 8, repeats=True).tolist() == parity.VALUES["herding_with_repeats"]


def test_herding_without_repeats_differs_where_the_released_one_repeats_itself():
    features = torch.from_numpy(parity.herding_features())
    released = parity.VALUES["herding_with_repeats"]
    assert len(set(released)) == 7
    assert herding(features, 8, repeats=False).tolist() == [*released[:7], 17]


def test_herding_by_hand():
    """On a line with mean 1: the running means are 1, 0.75, 1.33 and 1; with repeats the 1 is never left."""
    line = torch.tensor([[0.0], [0.5], [1.0], [2.5]])
    assert herding(line, 4, repeats=False).tolist() == [2, 1, 3, 0]
    assert herding(line, 3, repeats=True).tolist() == [2, 2, 2]


def test_the_first_of_equals_is_chosen():
    same = torch.ones(5, 3)
    assert herding(same, 3, repeats=True).tolist() == [0, 0, 0]
    assert herding(same, 5, repeats=False).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize(("clips", "count", "chosen"), [(3, 9, 3), (3, 0, 0), (1, 4, 1), (4, 4, 4)])
def test_as_many_as_asked_for_and_there_are(clips: int, count: int, chosen: int, repeats: bool):
    picks = herding(torch.randn(clips, 6, generator=torch.Generator().manual_seed(0)), count, repeats=repeats)
    assert picks.dtype == torch.int64
    assert len(picks) == chosen
    if not repeats:
        assert len(set(picks.tolist())) == chosen


def no_near_ties(features: np.ndarray, picks: list[int], repeats: bool) -> bool:
    """Whether rounding could decide no choice."""
    mean, total = features.mean(axis=0), np.zeros(features.shape[1])
    for number, pick in enumerate(picks, start=1):
        allowed = [i for i in range(len(features)) if repeats or i not in picks[: number - 1]]
        distances = sorted(np.linalg.norm(mean - (total + features[i]) / number) for i in allowed)
        if len(distances) > 1 and distances[1] - distances[0] < 1e-4:
            return False
        total = total + features[pick]
    return True


@quick
@given(st.integers(1, 15), st.integers(1, 9), st.integers(0, 17), st.booleans(), st.integers(0, 10**6))
@example(15, 9, 15, False, 1)
def test_herding_equals_the_loop(clips: int, channels: int, count: int, repeats: bool, seed: int):
    drawn = np.random.default_rng(seed).standard_normal((clips, channels))
    features = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    expected = plain_methods.herding(features, count, repeats)
    if no_near_ties(features, expected, repeats):
        assert herding(torch.from_numpy(features).float(), count, repeats=repeats).tolist() == expected
        assert herding(torch.from_numpy(features), count, repeats=repeats).tolist() == expected


# ------------------------------------------------------------------------------------------ nearest class mean


def nearest(means: Tensor) -> NearestMean:
    made = NearestMean(means.shape[1])
    made.widen(len(means))
    made.means.copy_(means)
    return made


def test_scores_are_minus_the_distance():
    scores = nearest(torch.tensor([[0.0, 1.0], [3.0, 4.0]]))(torch.tensor([[0.0, 0.0], [3.0, 0.0]]))
    torch.testing.assert_close(scores, -torch.tensor([[1.0, 5.0], [10.0**0.5, 4.0]]))


@quick
@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 12), st.integers(0, 10**6))
def test_predictions_equal_the_loop(clips: int, classes: int, channels: int, seed: int):
    draw = np.random.default_rng(seed)
    features, means = draw.standard_normal((clips, channels)), draw.standard_normal((classes, channels))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = nearest(torch.from_numpy(means).float())(torch.from_numpy(features).float())
    apart = np.linalg.norm(features[:, None] - means[None], axis=2)
    np.testing.assert_allclose(-scores.numpy(), apart, rtol=1e-4, atol=1e-4)
    expected = plain_methods.nearest_mean(features, means)
    two = np.sort(apart, axis=1)[:, :2]
    clear = two[:, -1] - two[:, 0] > 1e-3 if classes > 1 else np.ones(clips, bool)
    assert (scores.argmax(dim=1).numpy() == expected)[clear].all()


def test_a_short_mean_loses_the_clip_in_between_unless_it_is_brought_to_unit_length():
    up, right = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    means = torch.stack([(up + right) / 2, right])
    steep = torch.tensor([[math.cos(0.42), math.sin(0.42)]])  # 24.1 of 45 degrees: nearer to the first by angle
    assert nearest(means)(steep).argmax().item() == 1
    assert nearest(F.normalize(means, dim=1))(steep).argmax().item() == 0


def test_widening_keeps_the_means():
    made = nearest(torch.tensor([[1.0, 2.0]]))
    made.widen(3)
    assert made.means.tolist() == [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]
    assert made.state_dict()["means"].shape == (3, 2)


# ------------------------------------------------------------------------------------------------ the memory


def test_shares_and_prefixes():
    memory = ExemplarMemory(10)
    memory.admit({0: [5, 3, 8, 1, 9], 1: [2, 4]}, 2)
    assert memory.chosen == {0: [5, 3, 8, 1, 9], 1: [2, 4]}
    memory.admit({2: [7, 6, 0]}, 3)
    assert memory.chosen == {0: [5, 3, 8], 1: [2, 4], 2: [7, 6, 0]}
    assert memory.clips.tolist() == [5, 3, 8, 2, 4, 7, 6, 0]


@quick
@given(st.integers(0, 40), st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(0, 1000))
def test_the_memory_equals_quota_and_prefixes(size: int, tasks: list[int], seed: int):
    draw = np.random.default_rng(seed)
    memory, seen, next_clip = ExemplarMemory(size), 0, 0
    held: dict[int, list[int]] = {}
    for new in tasks:
        labels = range(seen, seen + new)
        seen += new
        share = plain_methods.quota(size, seen)
        lists = {}
        for label in labels:
            clips = int(draw.integers(1, 9))
            lists[label] = list(range(next_clip, next_clip + min(clips, share)))
            next_clip += clips
        memory.admit(lists, seen)
        held = {label: clips[:share] for label, clips in held.items()} | lists
        assert memory.chosen == held
        assert len(memory.clips) <= size


@pytest.mark.parametrize("kind", [IcarlNme, AfcNme, IcarlFc])
@pytest.mark.parametrize("memory_size", [0, 1, 3, 5])
def test_a_memory_that_cannot_hold_a_clip_of_every_class(kind, memory_size: int):
    """A share that shrinks to nothing leaves every class a mean: never NaN, which would win every prediction."""
    finished = run(kind, make_problem([2, 2, 2]), {}, memory_size=memory_size, epochs=1, evaluation_batch_size=4)
    for (_, scores), classes in zip(finished.progress.predictions, (2, 4, 6), strict=True):
        assert scores.shape[1] == classes
        assert torch.isfinite(scores).all()
    if kind is not IcarlFc:
        assert (finished.trainer.method.state_dict()["nearest_mean.means"].norm(dim=1) > 0).all()
    assert all(
        len(memory[0]) == memory_size // classes
        for memory, classes in zip(finished.progress.memories, (2, 4, 6), strict=True)
        if 0 in memory
    )


def test_a_class_with_fewer_clips_than_its_share_gives_what_it_has():
    problem = make_problem([2, 1], train=[2, 6, 6])
    memory = run(IcarlNme, problem, memory_size=18, epochs=1).progress.memories[0]
    assert {label: len(clips) for label, clips in memory.items()} == {0: 2, 1: 6}
