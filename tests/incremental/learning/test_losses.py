"""The losses: parity values, hand-computed values, and the plain rendering on random shapes.

Shapes: B clips, L time slices, S tokens, D channels, C classes.
"""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.learning import losses
from avcil.incremental.methods.av_cil import AvCil
from avcil.tests.incremental import parity_methods
from avcil.tests.incremental.parity import LABELS, NEW_CLIPS, OLD_CLASSES, OLD_TASKS
from avcil.tests.incremental.parity_methods import agrees
from avcil.tests.incremental.problems import gradient_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """The products here are small: threads would only wait for each other."""


quick = settings(deadline=None, max_examples=40, derandomize=True)
DIRECTIONS: tuple[losses.Direction, ...] = ("teacher-student", "student-teacher")
CLASS_SIMILARITIES: tuple[tuple[losses.ClassSimilarity, str], ...] = (
    ("released", "class_similarity_released"),
    ("equation7", "class_similarity_equation_7"),
    ("class-mean", "class_similarity_alternative"),
)


# ------------------------------------------------------------------------------------------------- parity


@pytest.fixture(scope="module")
def outputs():
    """What student and teacher say of the ten clips."""
    clips = parity_methods.clips()
    with torch.no_grad():
        return (
            parity_methods.student(AvCil).heads(clips, maps_from=NEW_CLIPS),
            parity_methods.teacher(AvCil).heads(clips, maps_from=NEW_CLIPS),
        )


def test_separated_softmax_cross_entropy_is_the_released_one(outputs):
    logits = outputs[0].logits
    agrees(
        losses.separated_softmax_cross_entropy(logits, LABELS, NEW_CLIPS, OLD_CLASSES),
        "av_cil",
        "separated_softmax_cross_entropy",
    )
    new, old = slice(0, NEW_CLIPS), slice(NEW_CLIPS, None)
    agrees(
        losses.separated_softmax_cross_entropy(logits[new], LABELS[new], NEW_CLIPS, OLD_CLASSES),
        "av_cil",
        "cross_entropy_new",
    )
    agrees(
        losses.separated_softmax_cross_entropy(logits[old], LABELS[old], 0, OLD_CLASSES),
        "av_cil",
        "cross_entropy_memory",
    )


def test_task_distillation_is_the_released_one(outputs):
    student, teacher = (each.logits for each in outputs)
    by_task = [losses.task_knowledge_distillation(student, teacher, [task]) for task in OLD_TASKS]
    agrees(torch.stack(by_task), "av_cil", "task_distillation")
    torch.testing.assert_close(losses.task_knowledge_distillation(student, teacher, OLD_TASKS), sum(by_task))


def test_similarities_are_the_released_ones(outputs):
    scores = losses.audio_visual_scores(outputs[0].audio, outputs[0].visual, 0.05)
    agrees(losses.instance_audio_visual_similarity(scores), "av_cil", "instance_similarity")
    for form, key in CLASS_SIMILARITIES:
        agrees(losses.class_audio_visual_similarity(scores, LABELS, form), "av_cil", key)


@pytest.mark.parametrize(("weight", "key"), [(1.0, "spatial_distillation"), (0.0, "temporal_distillation")])
def test_attention_distillation_is_the_released_one(outputs, weight: float, key: str):
    student, teacher = outputs
    spatial, temporal = (
        losses.kl_divergence(log_student, log_teacher.exp(), "teacher-student")
        for log_student, log_teacher in (
            (student.log_spatial, teacher.log_spatial),
            (student.log_temporal[NEW_CLIPS:], teacher.log_temporal[NEW_CLIPS:]),
        )
    )
    loss = losses.visual_attention_distillation(spatial, temporal, len(teacher.log_spatial), weight)
    agrees(loss, "av_cil", key)


# ------------------------------------------------------------------------------------------------- by hand


def test_separated_softmax_by_hand():
    """Two old and two new classes: each clip's own pair of logits is (0, log 3), so -log of 1/4 or of 3/4."""
    third = math.log(3)
    logits = torch.tensor([[9.0, 9.0, 0.0, third], [9.0, 9.0, 0.0, third], [0.0, third, 9.0, 9.0]])
    loss = losses.separated_softmax_cross_entropy(logits, torch.tensor([2, 3, 1]), 2, 2)
    assert loss.item() == pytest.approx((math.log(4) + 2 * math.log(4 / 3)) / 3)


@pytest.mark.parametrize(("new", "labels"), [(2, [2, 3]), (0, [0, 1])])
def test_separated_softmax_of_new_or_memory_clips_alone(new: int, labels: list[int]):
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = losses.separated_softmax_cross_entropy(logits, torch.tensor(labels), new, 2)
    own = logits[:, 2:] if new else logits[:, :2]
    torch.testing.assert_close(loss, F.cross_entropy(own, torch.tensor(labels) - (2 if new else 0)))
    loss.backward()
    assert torch.isfinite(gradient_of(logits)).all()
    others = gradient_of(logits)[:, :2] if new else gradient_of(logits)[:, 2:]
    assert (others == 0).all()


def test_kl_by_hand_in_both_directions():
    p, q = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    forward = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    backward = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert losses.kl_divergence(q.log(), p, "teacher-student").item() == pytest.approx(forward)
    assert losses.kl_divergence(q.log(), p, "student-teacher").item() == pytest.approx(backward)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_distillation_of_a_teacher_that_is_very_sure_stays_finite(direction):
    """A probability too small for float32 must not turn the loss or its gradient into inf or NaN."""
    student = torch.tensor([[0.0, 1.0], [0.5, 0.0]], requires_grad=True)
    teacher = torch.tensor([[500.0, -500.0], [0.0, 0.0]])
    loss = losses.task_knowledge_distillation(student, teacher, [slice(0, 2)], 2.0, direction)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient_of(student)).all()
    torch.testing.assert_close(
        loss, plain.task_distillation(student, teacher, slice(0, 2), 2.0, direction == "student-teacher")
    )


def test_distilling_a_model_into_itself_costs_nothing():
    logits = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    for direction in DIRECTIONS:
        loss = losses.task_knowledge_distillation(logits, logits[:, :4], OLD_TASKS, 2.0, direction)
        assert loss.item() == pytest.approx(0, abs=1e-6)


def test_instance_similarity_by_hand():
    """Rows are audio: a row whose own column has the highest score by log 3 costs log(4/3)."""
    scores = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    assert losses.instance_audio_visual_similarity(scores).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    audio = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    torch.testing.assert_close(losses.audio_visual_scores(audio, audio, 0.5), 2 * torch.eye(2))


def test_class_similarity_by_hand():
    """Three clips, the first two of one class, all probabilities 1/3."""
    scores, labels = torch.zeros(3, 3), torch.tensor([7, 7, 1])
    third = math.log(3)
    assert losses.class_audio_visual_similarity(scores, labels).item() == pytest.approx(5 * third / 9)
    # (2/3) / 2 = 1/3 for the pair, and 1/3 alone.
    assert losses.class_audio_visual_similarity(scores, labels, "equation7").item() == pytest.approx(third)
    mean = (2 * (2 * third - 1e-6) / (2 + 1e-6) + (third - 1e-6) / (1 + 1e-6)) / 3
    assert losses.class_audio_visual_similarity(scores, labels, "class-mean").item() == pytest.approx(mean)


def test_zero_features_have_finite_similarities():
    """A sound or picture whose feature ReLU cut to zero has no direction; nothing may become NaN."""
    audio = torch.zeros(3, 4, requires_grad=True)
    scores = losses.audio_visual_scores(audio, torch.ones(3, 4), 0.05)
    assert (scores == 0).all()
    (losses.instance_audio_visual_similarity(scores) + scores.sum()).backward()
    assert torch.isfinite(gradient_of(audio)).all()


def test_doubled_and_single_sigmoid_by_hand():
    logits, teacher = torch.tensor([[0.0]]), torch.tensor([[0.0]])
    once = losses.old_logits_binary_cross_entropy(logits, teacher, doubled_sigmoid=False)
    twice = losses.old_logits_binary_cross_entropy(logits, teacher, doubled_sigmoid=True)
    assert once.item() == pytest.approx(math.log(2))
    p = 1 / (1 + math.exp(-0.5))
    assert twice.item() == pytest.approx(-0.5 * math.log(p) - 0.5 * math.log(1 - p))


# -------------------------------------------------------------------------------- the plain rendering, random


@quick
@given(st.integers(0, 5), st.integers(0, 5), st.lists(st.integers(1, 4), min_size=2, max_size=5), st.integers(0, 999))
def test_separated_softmax_and_distillation_equal_the_plain_ones(new: int, old: int, tasks: list[int], seed: int):
    if new + old == 0:
        return
    draw = torch.Generator().manual_seed(seed)
    starts = [0, *itertools.accumulate(tasks)]
    slices = [slice(a, b) for a, b in itertools.pairwise(starts[:-1])]
    old_classes, classes = starts[-2], starts[-1]
    logits, teacher = 3 * torch.randn(2, new + old, classes, generator=draw)
    labels = torch.cat(
        [
            torch.randint(old_classes, classes, (new,), generator=draw),
            torch.randint(0, old_classes, (old,), generator=draw),
        ]
    )
    torch.testing.assert_close(
        losses.separated_softmax_cross_entropy(logits, labels, new, old_classes),
        plain.separated_softmax_cross_entropy(logits, labels, new, old_classes),
    )
    for direction, temperature in itertools.product(DIRECTIONS, (2.0, 0.7)):
        torch.testing.assert_close(
            losses.task_knowledge_distillation(logits, teacher, slices, temperature, direction),
            plain.task_knowledge_distillation(logits, teacher, slices, temperature, direction == "student-teacher"),
            rtol=1e-4,
            atol=1e-5,
        )


@quick
@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.floats(0.03, 2), st.integers(0, 999))
def test_similarities_equal_the_plain_ones(clips: int, channels: int, classes: int, tau: float, seed: int):
    draw = torch.Generator().manual_seed(seed)
    audio, visual = torch.randn(2, clips, channels, generator=draw).relu()
    labels = torch.randint(classes, (clips,), generator=draw)
    scores = losses.audio_visual_scores(audio, visual, tau)
    expected = plain.similarity_scores(audio, visual, tau)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(
        losses.instance_audio_visual_similarity(scores), plain.instance_similarity(expected), rtol=1e-4, atol=1e-5
    )
    for form, rendering in CLASS_SIMILARITIES:
        ours = losses.class_audio_visual_similarity(scores, labels, form)
        torch.testing.assert_close(ours, getattr(plain, rendering)(expected, labels), rtol=1e-4, atol=1e-5)


def maps(shape: tuple[int, ...], dim: int, draw: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=draw).softmax(dim=dim)


@quick
@given(st.tuples(*[st.integers(1, 4)] * 4), st.floats(0, 1), st.sampled_from(DIRECTIONS), st.integers(0, 999))
def test_attention_distillation_equals_the_plain_one(shape, weight: float, direction, seed: int):
    clips, slices, _, channels = shape
    draw = torch.Generator().manual_seed(seed)
    spatial, teacher_spatial = (maps(shape, 2, draw) for _ in range(2))
    temporal, teacher_temporal = (maps((clips, slices, channels), 1, draw) for _ in range(2))
    ours = losses.visual_attention_distillation(
        losses.kl_divergence(spatial.log(), teacher_spatial, direction),
        losses.kl_divergence(temporal.log(), teacher_temporal, direction),
        clips,
        weight,
    )
    student_first = direction == "student-teacher"
    expected = weight * plain.attention_distillation(spatial, teacher_spatial, student_first)
    expected = expected + (1 - weight) * plain.attention_distillation(temporal, teacher_temporal, student_first)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


@quick
@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 999))
def test_binary_cross_entropy_equals_its_definition(clips: int, classes: int, doubled: bool, seed: int):
    draw = torch.Generator().manual_seed(seed)
    logits, teacher = torch.randn(2, clips, classes, generator=draw)
    p, q = logits.sigmoid(), teacher.sigmoid()
    p = p.sigmoid() if doubled else p
    torch.testing.assert_close(
        losses.old_logits_binary_cross_entropy(logits, teacher, doubled_sigmoid=doubled),
        -(q * p.log() + (1 - q) * (1 - p).log()).mean(),
    )
