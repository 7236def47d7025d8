"""Metrics against the loops of `plain_methods`, by hand, and where a figure is not defined."""

import itertools
import math

import numpy as np
import pytest
from avcil.incremental.results import metrics
from avcil.incremental.results.metrics import Predictions
from avcil.tests.incremental import plain_methods
from hypothesis import given, settings
from hypothesis import strategies as st

quick = settings(deadline=None, max_examples=60, derandomize=True)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Predictions], list[int]]:
    """Predictions after each task, and the classes at which tasks begin; every class has a test clip."""
    tasks = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    boundaries = [0, *itertools.accumulate(tasks)]
    seed = draw(st.integers(0, 10**6))
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(boundaries[-1]), random.integers(1, 6, boundaries[-1]))
    order = random.permutation(len(labels))
    after = []
    for classes in boundaries[1:]:
        clips = order[labels[order] < classes]
        predicted = np.where(random.random(len(clips)) < 0.5, labels[clips], random.integers(0, classes, len(clips)))
        after.append(Predictions(clips, labels[clips], predicted))
    return after, boundaries


def matrix_by_loops(after: list[Predictions], boundaries: list[int]) -> list[list[float]]:
    """Accuracies by task, in percent, one clip at a time."""
    rows = []
    for number, answers in enumerate(after, start=1):
        row = []
        for begin, end in itertools.pairwise(boundaries[: number + 1]):
            right = [p == t for t, p in zip(answers.labels, answers.predicted, strict=True) if begin <= t < end]
            row.append(100 * sum(right) / len(right))
        rows.append(row)
    return rows


@quick
@given(runs())
def test_every_figure_equals_its_loop(run):
    after, boundaries = run
    a = metrics.accuracy_matrix(after, boundaries)
    expected = matrix_by_loops(after, boundaries)
    assert [len(row) for row in a] == list(range(1, len(after) + 1))
    for ours, theirs in zip(a, expected, strict=True):
        assert ours == pytest.approx(theirs)
    labels = after[-1].labels
    clips = [int(((labels >= begin) & (labels < end)).sum()) for begin, end in itertools.pairwise(boundaries)]
    seen = plain_methods.seen_accuracies(expected, clips)
    by_class = [
        100 * plain_methods.class_balanced_accuracy(answers.predicted.tolist(), answers.labels.tolist())
        for answers in after
    ]
    summary = metrics.summarise(after, boundaries)
    assert summary["accuracy_matrix"] == a
    assert summary["accuracy_by_task"] == pytest.approx(seen)
    assert summary["mean_accuracy"] == pytest.approx(plain_methods.mean_accuracy(expected, clips))
    assert summary["last_accuracy"] == pytest.approx(seen[-1])
    assert summary["class_balanced_mean_accuracy"] == pytest.approx(sum(by_class) / len(by_class))
    for name, loop in (
        ("average_forgetting", plain_methods.average_forgetting),
        ("nonnegative_forgetting", plain_methods.never_negative_forgetting),
        ("first_minus_last_forgetting", plain_methods.first_minus_last),
        ("backward_transfer", plain_methods.backward_transfer),
    ):
        value = loop(expected)
        assert summary[name] is None if math.isnan(value) else summary[name] == pytest.approx(value, abs=1e-9), name


@quick
@given(runs())
def test_what_forgetting_can_be(run):
    after, boundaries = run
    a = metrics.accuracy_matrix(after, boundaries)
    average, highest, first = (
        figure(a)
        for figure in (
            metrics.average_forgetting,
            metrics.nonnegative_forgetting,
            metrics.first_minus_last_forgetting,
        )
    )
    assert (average is None) == (highest is None) == (first is None) == (len(a) == 1)
    if average is not None and highest is not None and first is not None:
        assert -100 <= average <= 100
        assert highest >= 0
        assert highest >= first - 1e-9


@quick
@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_test_clips_changes_nothing(run, random):
    after, boundaries = run
    mixed = []
    for answers in after:
        order = list(range(len(answers.labels)))
        random.shuffle(order)
        mixed.append(Predictions(answers.clips[order], answers.labels[order], answers.predicted[order]))
    ours, theirs = metrics.summarise(after, boundaries), metrics.summarise(mixed, boundaries)
    for name, value in ours.items():
        assert theirs[name] == (value if name == "accuracy_matrix" or value is None else pytest.approx(value))


A = [[90.0], [50.0, 80.0], [60.0, 70.0, 100.0]]


def test_forgetting_by_hand():
    assert metrics.average_forgetting(A) == pytest.approx((40 + (30 + 10) / 2) / 2)
    assert metrics.nonnegative_forgetting(A) == pytest.approx((30 + 10) / 2)
    assert metrics.first_minus_last_forgetting(A) == pytest.approx((30 + 10) / 2)
    assert metrics.backward_transfer(A) == pytest.approx(-(30 + 10) / 2)
    better = [[50.0], [70.0, 90.0]]
    assert metrics.average_forgetting(better) == pytest.approx(-20)
    assert metrics.nonnegative_forgetting(better) == 0
    assert metrics.first_minus_last_forgetting(better) == pytest.approx(-20)
    assert metrics.backward_transfer(better) == pytest.approx(20)


def test_the_three_forgettings_differ_where_a_task_gets_better_in_between():
    """Learnt at 50, best at 90 while the third task is learnt, 60 in the end."""
    a = [[50.0], [70.0, 100.0], [90.0, 100.0, 100.0], [60.0, 100.0, 100.0, 100.0]]
    assert metrics.average_forgetting(a) == pytest.approx((-20 + (-20 + 0) / 2 + (30 + 0 + 0) / 3) / 3)
    assert metrics.nonnegative_forgetting(a) == pytest.approx(10)
    assert metrics.first_minus_last_forgetting(a) == pytest.approx(-10 / 3)


def predictions(labels: list[int], predicted: list[int]) -> Predictions:
    return Predictions(np.arange(len(labels)), np.array(labels), np.array(predicted))


def test_mean_accuracy_weighs_clips_and_the_matrix_tasks():
    """Task 1 has one test clip, task 2 has four."""
    after = [predictions([0], [0]), predictions([0, 1, 1, 1, 1], [1, 1, 1, 1, 0])]
    assert metrics.accuracy_matrix(after, [0, 1, 2]) == [[100.0], [0.0, 75.0]]
    assert metrics.mean_accuracy(after) == pytest.approx((100 + 60) / 2)
    summary = metrics.summarise(after, [0, 1, 2])
    assert summary["last_accuracy"] == 60
    assert summary["class_balanced_mean_accuracy"] == pytest.approx((100 + 37.5) / 2)


def test_one_task_has_no_forgetting():
    summary = metrics.summarise([predictions([0, 1], [0, 0])], [0, 2])
    assert summary["mean_accuracy"] == summary["last_accuracy"] == 50
    for name in ("average_forgetting", "nonnegative_forgetting", "first_minus_last_forgetting", "backward_transfer"):
        assert summary[name] is None


def test_a_class_without_test_clips_is_left_out_of_the_balance():
    answers = predictions([0, 0, 2], [0, 1, 2])
    assert metrics.class_accuracies(answers, 4) == [50.0, None, 100.0, None]
    assert metrics.class_balanced_accuracy(answers) == pytest.approx(75)
    summary = metrics.summarise([answers], [0, 4])
    assert summary["class_balanced_mean_accuracy"] == pytest.approx(75)
    assert summary["mean_accuracy"] == pytest.approx(200 / 3)


@quick
@given(runs())
def test_the_confusion_matrix_counts_every_clip(run):
    after, boundaries = run
    answers, classes = after[-1], boundaries[-1]
    counts = metrics.confusion_matrix(answers, classes)
    assert counts.sum() == len(answers.labels)
    for label, predicted in itertools.product(range(classes), repeat=2):
        pairs = zip(answers.labels, answers.predicted, strict=True)
        assert counts[label, predicted] == sum(pair == (label, predicted) for pair in pairs)
    accuracies = metrics.class_accuracies(answers, classes)
    assert accuracies == pytest.approx((100 * counts.diagonal() / counts.sum(axis=1)).tolist())


def test_left_out_clips_are_left_out():
    answers = Predictions(np.array([7, 3, 9]), np.array([0, 1, 1]), np.array([0, 0, 1]))
    kept = metrics.without(answers, np.array([3, 4]))
    assert kept.clips.tolist() == [7, 9]
    assert kept.labels.tolist() == [0, 1]
    assert kept.predicted.tolist() == [0, 1]
    assert metrics.without(answers, np.array([], dtype=np.int64)).clips.tolist() == [7, 3, 9]
