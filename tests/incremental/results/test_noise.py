"""The bootstrap of test clips against cases that can be worked out by hand."""

import numpy as np
import pytest
from avcil.incremental.results.metrics import Predictions
from avcil.incremental.results.noise import clip_noise, half


def answers(right: list[int], clips: list[int] | None = None) -> Predictions:
    """Clips of class 0, answered 0 where `right`, else 1."""
    numbers = np.arange(len(right)) if clips is None else np.array(clips)
    return Predictions(numbers, np.zeros(len(right), dtype=np.int64), 1 - np.array(right))


def test_one_right_and_one_wrong_clip():
    """Of two draws both are the wrong clip in a quarter of cases, and both the right one in another."""
    found = clip_noise([answers([1, 0])], np.arange(2))
    assert found is not None
    assert found["last_accuracy"] == found["mean_accuracy"] == [0.0, 100.0]
    assert (found["test_clips"], found["source_videos"]) == (2, 2)


def test_what_all_clips_agree_on_has_no_width():
    found = clip_noise([answers([1] * 9)], np.arange(9))
    assert found is not None
    assert found["accuracy_by_task"] == [[100.0, 100.0]]


def test_many_clips_are_as_wide_as_the_binomial_says():
    """Half of 1,000 right: 1.96 sqrt(0.25 / 1000) = 3.1 points; 2,000 draws know that to a few percent."""
    found = clip_noise([answers([0, 1] * 500)], np.arange(1000))
    assert found is not None
    assert half(found["last_accuracy"]) == pytest.approx(3.1, rel=0.08)


def test_clips_of_one_video_are_drawn_together():
    """Ten clips each of 100 videos, all of a video right or wrong: as wide as 100 clips, 1.96 sqrt(0.25 / 100)."""
    sources = np.repeat(np.arange(100), 10)
    found = clip_noise([answers((sources % 2).tolist())], sources)
    assert found is not None
    assert found["source_videos"] == 100
    assert half(found["last_accuracy"]) == pytest.approx(9.8, rel=0.08)


def test_mean_accuracy_is_over_tasks_of_the_same_draw():
    """Task 1 has the first clip alone: 100 where it is drawn at all. After task 2 it is wrong and the second right."""
    after = [answers([1], [0]), answers([0, 1], [0, 1])]
    found = clip_noise(after, np.array([0, 1]))
    assert found is not None
    # Draws without the first clip have no accuracy after task 1; of the others, 2/3 draw both: (100 + 50) / 2.
    assert found["accuracy_by_task"] == [[100.0, 100.0], [0.0, 50.0]]
    assert found["mean_accuracy"] == [50.0, 75.0]


def test_a_single_video_tells_nothing():
    assert clip_noise([answers([1, 0, 1])], np.zeros(3, dtype=np.int64)) is None


def test_the_same_answers_give_the_same_intervals():
    after, sources = [answers([0, 1, 1, 0, 1] * 7)], np.arange(35)
    assert clip_noise(after, sources) == clip_noise(after, sources)
