"""AFC against the plain rendering: proxies, NCA, importances, discrepancy, and what goes around them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.learning.randomness import generator
from avcil.incremental.methods.afc import AfcLsc, AfcNme, AfcSettings, feature_discrepancy
from avcil.tests.incremental import parity, parity_methods, plain_methods
from avcil.tests.incremental.cases import (
    Case,
    cases,
    check_choice,
    check_linear_readout,
    check_run,
    quick,
    train_clips,
)
from avcil.tests.incremental.herded import check_herding, check_nearest_means, unit_features
from avcil.tests.incremental.parity_methods import agrees, gradient_norms
from avcil.tests.incremental.problems import Run, make_problem, nudged, run
from avcil.tests.incremental.replay import PROXIES, PlainBatch, PlainLoss, plain_heads, replay
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

# Of a feature in which ReLU leaves one channel, unit length leaves nothing to learn but rounding: rare with 14 of them.
WIDE = cases(fewest_new=2, fewest_channels=14)
SMALL = {"proxies": PROXIES}
# A class whose features ReLU cuts to zero has one centre; k-means says so.
pytestmark = pytest.mark.filterwarnings("ignore:Number of distinct clusters")


def settings_of(given: Mapping[str, Any]) -> AfcSettings:
    return AfcSettings(**{**SMALL, **given})


def three(heads: plain.PlainHeads, batch: PlainBatch) -> tuple[Tensor, list[Tensor]]:
    """Similarities and the features that AFC holds in place: three, or the one of a modality alone."""
    if batch.modality != "audio-visual":
        fused = heads.audio_feature(batch.audio) if batch.modality == "audio" else heads.visual_feature(batch.visual)
        return heads.classifier(fused), [fused]
    similarity, features = heads(batch.visual, batch.audio)
    return similarity, [features.pooled, features.audio, features.visual]


def afc(finished: Run, settings: AfcSettings) -> PlainLoss:
    """The plain loss with a run's settings; what the teacher drew at random is taken from the run."""

    def loss(batch: PlainBatch) -> Tensor:
        similarity, features = three(batch.student, batch)
        scale = batch.student.classifier.get_parameter("scale")
        nca = plain.nca_loss(similarity, batch.labels, scale, settings.margin)
        if batch.task == 1:
            return nca
        teacher = widened_teacher(finished, batch).requires_grad_(True)
        teacher_similarity, theirs = three(teacher, batch)
        channels = settings.importances == "channel" and batch.modality == "audio-visual"
        if channels:
            state = finished.tasks[batch.task - 2].chosen
            apart = torch.zeros(len(batch.labels))
            for name, one, other in zip(("pooled", "audio", "visual"), features, theirs, strict=True):
                difference = F.normalize(one, dim=1) - F.normalize(other.detach(), dim=1)
                apart = apart + (state[f"importance_of_{name}"] * difference**2).sum(dim=1)
            discrepancy = apart.mean()
        elif settings.importances == "none" or batch.modality != "audio-visual":
            distances = [
                (F.normalize(one, dim=1) - F.normalize(other.detach(), dim=1)).norm(dim=1)
                for one, other in zip(features, theirs, strict=True)
            ]
            discrepancy = torch.stack(distances).sum(dim=0).mean()
        else:
            teacher_nca = plain.nca_loss(teacher_similarity, batch.labels, 1.0, settings.margin)
            discrepancy = plain.discrepancy(features, theirs, plain.importance_norms(teacher_nca, theirs))
        if settings.discrepancy_growth == "sqrt-task":
            return plain.afc_loss(nca, discrepancy, batch.task, settings.lambda_discrepancy)
        task = finished.problem.table.task(batch.task)
        growth = math.sqrt(task.seen_classes / len(task.new_classes))
        return nca + settings.lambda_discrepancy * growth * discrepancy

    return loss


def widened_teacher(finished: Run, batch: PlainBatch) -> plain.PlainHeads:
    """The plain teacher with the fresh proxies that the recorded one drew for the new classes."""
    assert batch.teacher is not None
    recorded = plain_heads(finished.tasks[batch.task - 1].teacher or {})
    teacher = plain.PlainHeads(1, 1, recorded.classifier)
    for part in ("audio_projection", "visual_projection", "attention_audio", "attention_visual"):
        setattr(teacher, part, getattr(batch.teacher, part))
    return teacher


# ------------------------------------------------------------------------------------------------- parity


def test_total_and_gradients_are_the_released_ones():
    method = parity_methods.student(AfcLsc)
    assert isinstance(method, AfcLsc)
    terms = method.loss(parity_methods.taught(parity_methods.clips(), parity_methods.teacher(AfcLsc)))
    agrees(terms["nca"], "afc", "nca")
    agrees(terms["discrepancy"] / (0.5 * math.sqrt(3)), "afc", "discrepancy")
    method.classifier.old_proxies.requires_grad_(True)  # has a gradient in the released code, and is not moved by it
    terms = method.loss(parity_methods.taught(parity_methods.clips(), parity_methods.teacher(AfcLsc)))
    total = torch.stack(list(terms.values())).sum()
    agrees(total, "afc", "total_third_task")
    total.backward()
    assert gradient_norms(method) == pytest.approx(parity.VALUES["afc"]["gradient_norms"], rel=1e-4)


def test_importances_are_the_released_ones():
    """Per clip and of the batch's mean loss there; of each clip's own loss here, which weighs the same."""
    answers = parity_methods.teacher(AfcLsc).recall(parity_methods.clips())
    for name in ("pooled", "audio", "visual"):
        agrees(answers[f"norm_of_{name}"] / 10, "afc", f"gradient_norm_{name}")
        torch.testing.assert_close(answers[name].norm(dim=1), torch.ones(10))


# ------------------------------------------------------------------------------------------------- whole runs


@quick
@given(WIDE, st.booleans())
def test_every_step_is_the_plain_one_with_the_similarity_readout(case: Case, repeats: bool):
    finished = case.run(nudged(AfcLsc), {**SMALL, "herding_repeats": repeats})
    replay(finished, afc(finished, settings_of({})), afresh=True)
    check_run(finished)
    check_linear_readout(finished)
    check_herding(finished, repeats)


@quick
@given(WIDE, st.booleans())
def test_every_step_is_the_plain_one_with_the_nearest_mean_readout(case: Case, unit: bool):
    finished = case.run(nudged(AfcNme), {**SMALL, "normalise_means": unit})
    replay(finished, afc(finished, settings_of({})), afresh=True)
    check_run(finished)
    check_herding(finished, repeats=True)
    check_nearest_means(finished, unit)


@quick
@given(
    WIDE,
    st.builds(
        dict,
        lambda_discrepancy=st.sampled_from([0.0, 0.5, 4.0]),
        discrepancy_growth=st.sampled_from(["sqrt-task", "sqrt-classes"]),
        importances=st.sampled_from(["clip", "channel", "none"]),
        margin=st.sampled_from([0.0, 0.6]),
    ),
)
def test_every_setting_does_what_its_formula_says(case: Case, settings: dict[str, Any]):
    finished = case.run(nudged(AfcLsc), {**SMALL, **settings})
    replay(finished, afc(finished, settings_of(settings)), afresh=True)


def test_channel_importances_are_the_mean_squared_gradients_brought_to_mean_one():
    """Of the task's new clips and the memory, each once, through the chosen model and its own proxies."""
    finished = run(AfcLsc, make_problem([2, 2, 1]), {**SMALL, "importances": "channel"}, learning_rate=0.03, epochs=6)
    problem = finished.problem
    for number, (recorded, memory) in enumerate(zip(finished.tasks, finished.progress.memories, strict=True), start=1):
        clips = set(train_clips(finished, problem.table.task(number).new_classes))
        clips |= {clip for held in memory.values() for clip in held}
        heads = plain_heads(recorded.chosen)
        assert abs(float(recorded.chosen["heads.classifier.scale"]) - 1) > 0.02  # which must not come in
        squares: dict[str, list[Tensor]] = {"pooled": [], "audio": [], "visual": []}
        for clip in sorted(clips):
            similarity, features = heads(problem.visual[clip : clip + 1], problem.audio[clip : clip + 1])
            loss = plain.nca_loss(similarity, problem.table.labels[clip : clip + 1], 1.0)
            parts = (features.pooled, features.audio, features.visual)
            gradients = torch.autograd.grad(loss, parts)
            for name, gradient in zip(squares, gradients, strict=True):
                squares[name].append(gradient[0] ** 2)
        for name, each in squares.items():
            mean = torch.stack(each).mean(dim=0)
            torch.testing.assert_close(
                recorded.chosen[f"importance_of_{name}"], mean / mean.mean(), rtol=1e-3, atol=1e-4
            )


@pytest.mark.parametrize("modality", ["audio-visual", "audio", "visual"])
def test_new_proxies_start_at_the_centres_and_old_ones_never_move(modality):
    finished = run(AfcLsc, make_problem([2, 2, 1]), SMALL, modality=modality)
    table = finished.problem.table
    for number, (before, after) in enumerate(zip(finished.tasks, finished.tasks[1:], strict=False), start=2):
        old = torch.cat([before.chosen[f"heads.classifier.{kind}_proxies"] for kind in ("old", "new")])
        for state in [after.initial, *after.after_epochs, after.chosen]:
            assert torch.equal(state["heads.classifier.old_proxies"], old)
        assert after.teacher is not None
        assert torch.equal(after.teacher["heads.classifier.old_proxies"], old)
        assert after.initial["heads.classifier.scale"] == after.teacher["heads.classifier.scale"] == 1
        assert before.chosen["heads.classifier.scale"] != 1
        for name, tensor in before.chosen.items():
            if "classifier" not in name:
                assert torch.equal(after.initial[name], tensor)
                assert torch.equal(after.teacher[name], tensor)
        starts = after.initial["heads.classifier.new_proxies"].split(PROXIES)
        drawn = after.teacher["heads.classifier.new_proxies"].split(PROXIES)
        for label, proxies, fresh in zip(table.task(number).new_classes, starts, drawn, strict=True):
            assert not torch.equal(proxies, fresh)
            features = unit_features(before.chosen, finished, train_clips(finished, range(label, label + 1)))
            seed = seed_of(finished, number, label)
            expected = plain_methods.imprinted_proxies(features.astype(np.float32), old.numpy(), PROXIES, seed)
            torch.testing.assert_close(proxies, torch.from_numpy(expected).float(), rtol=1e-3, atol=1e-4)
            length = np.linalg.norm(old.numpy(), axis=1).mean()
            assert proxies.norm(dim=1).max() <= 1.001 * length  # centres of unit vectors lie within the sphere


def seed_of(finished: Run, task: int, label: int) -> int:
    stream = generator(finished.config.seed, "k-means", label, "task", task)
    return int(torch.randint(2**31, (), generator=stream))


def test_a_class_of_fewer_clips_than_proxies_repeats_its_centres():
    finished = run(AfcLsc, make_problem([2, 2], train=[4, 4, 2, 1]), SMALL)
    first, second = finished.tasks[1].initial["heads.classifier.new_proxies"].split(PROXIES)
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert torch.equal(second[0], second[1])
    assert torch.equal(second[0], second[2])


def test_weights_of_the_discrepancy_by_hand():
    """One clip, unit features 2, 0 and 1 apart, importances 1, 5 and 2 of 8."""
    e = torch.eye(2)
    features = {"pooled": 3 * e[:1], "audio": 7 * e[1:], "visual": e[:1]}
    half = torch.tensor([[0.5, math.sqrt(0.75)]])
    teacher = {"pooled": -e[:1], "audio": e[1:], "visual": half}
    norms = {"norm_of_pooled": torch.ones(1), "norm_of_audio": 5 * torch.ones(1), "norm_of_visual": 2 * torch.ones(1)}
    assert feature_discrepancy(features, teacher | norms).item() == pytest.approx((1 * 2 + 5 * 0 + 2 * 1) / 8)
    assert feature_discrepancy(features, teacher).item() == pytest.approx(3)


# ------------------------------------------------------------------------------------------- balanced epochs


@pytest.mark.parametrize("kind", [AfcLsc, AfcNme])
def test_balanced_epochs_train_the_classifier_on_the_exemplars_alone(kind):
    finished = run(
        kind, make_problem([2, 2, 1], train=6), {**SMALL, "balanced_epochs": 2}, batch_size=3, memory_size=10
    )
    labels = finished.problem.table.labels
    for number, (recorded, memory) in enumerate(zip(finished.tasks, finished.progress.memories, strict=True), start=1):
        balanced = recorded.steps[finished.config.epochs :]
        if number == 1:  # nothing is unbalanced yet
            assert not balanced
            continue
        assert len(balanced) == 2
        held = sorted(clip for clips in memory.values() for clip in clips)
        before = recorded.after_epochs[finished.progress.chosen_epochs[number - 1] - 1]
        heads = plain_heads(before)
        optimiser = plain.adam(list(heads.classifier.parameters()))
        for steps in balanced:
            clips = [clip for step in steps for clip in step.numbers.tolist()]
            assert len(clips) == len(held) // 3 * 3
            assert set(clips) <= set(held)
            for step in steps:
                similarity, _ = heads(finished.problem.visual[step.numbers], finished.problem.audio[step.numbers])
                scale = heads.classifier.get_parameter("scale")
                loss = plain.nca_loss(similarity, labels[step.numbers], scale)
                assert loss.item() == pytest.approx(step.terms["nca"], rel=1e-4)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        for name, tensor in recorded.chosen.items():
            if "classifier" in name:
                expected = heads.state_dict()[name.removeprefix("heads.")]
                torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-5)
                assert not torch.equal(tensor, before[name])
            elif "means" not in name:
                assert torch.equal(tensor, before[name])


def test_without_balanced_epochs_the_chosen_weights_are_left_alone():
    finished = run(AfcLsc, make_problem([2, 1]), SMALL)
    check_choice(finished)
