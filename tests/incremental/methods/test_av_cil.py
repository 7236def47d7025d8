"""AV-CIL against the plain rendering: parity values, every setting, three tasks and more, and Table 8's Grad-CAM."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.data.batch import Recalled
from avcil.incremental.data.tasks import ClipTable
from avcil.incremental.learning.method import Context
from avcil.incremental.learning.state import Progress, copy_of
from avcil.incremental.methods.av_cil import AvCil, AvCilSettings
from avcil.tests.incremental import parity, parity_methods
from avcil.tests.incremental.cases import Case, cases, check_carried, check_linear_readout, check_run, quick
from avcil.tests.incremental.methods.test_fine_tuning import cross_entropy
from avcil.tests.incremental.methods.test_ss_il import ss_il
from avcil.tests.incremental.parity_methods import agrees, gradient_norms
from avcil.tests.incremental.problems import Problem, configure, make_problem, make_trainer, nudged, run
from avcil.tests.incremental.replay import PlainBatch, PlainLoss, replay
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

CLASS_SIMILARITY = {
    "released": plain.class_similarity_released,
    "equation7": plain.class_similarity_equation_7,
    "class-mean": plain.class_similarity_alternative,
}


def av_cil(settings: AvCilSettings) -> PlainLoss:
    """The plain loss with a run's settings."""
    student_first = settings.kl_direction == "student-teacher"

    def loss(batch: PlainBatch) -> Tensor:
        if batch.task == 1:
            return cross_entropy(batch)
        assert batch.teacher is not None
        logits, features = batch.student(batch.visual, batch.audio)
        with torch.no_grad():
            teacher_logits, teacher_features = batch.teacher(batch.visual, batch.audio)
        if settings.second_task_loss == "plain" and batch.task == 2:
            total = F.cross_entropy(logits, batch.labels)
        else:
            total = plain.separated_softmax_cross_entropy(logits, batch.labels, batch.new, batch.old_classes)
        total = total + plain.task_knowledge_distillation(
            logits, teacher_logits, batch.old_tasks, settings.temperature, student_first
        )
        scores = plain.similarity_scores(features.audio, features.visual, settings.similarity_temperature)
        total = total + settings.lambda_instance * plain.instance_similarity(scores)
        total = total + settings.lambda_class * CLASS_SIMILARITY[settings.class_similarity](scores, batch.labels)
        memory = slice(batch.new, None)
        if batch.new == len(batch.labels):
            return total
        if settings.attention_distillation == "vad":
            spatial, temporal = (
                plain.attention_distillation(ours[memory], theirs[memory], student_first)
                for ours, theirs in (
                    (features.spatial, teacher_features.spatial),
                    (features.temporal, teacher_features.temporal),
                )
            )
            total = total + settings.lambda_spatial * spatial + (1 - settings.lambda_spatial) * temporal
        if settings.attention_distillation == "grad-cam":
            ours = grad_cam(batch.student, batch.visual[memory], batch.audio[memory], batch.labels[memory])
            theirs = grad_cam(batch.teacher, batch.visual[memory], batch.audio[memory], batch.labels[memory])
            total = total + settings.lambda_grad_cam * (ours - theirs.detach()).abs().sum(dim=1).mean()
        return total

    return loss


def grad_cam(heads: plain.PlainHeads, visual: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
    """Unit Grad-CAM maps (B, L * S), one clip at a time."""
    maps = []
    for clip in range(len(labels)):
        tokens = visual[clip : clip + 1].clone().requires_grad_()
        logits, _ = heads(tokens, audio[clip : clip + 1])
        (gradient,) = torch.autograd.grad(logits[0, labels[clip]], tokens, create_graph=True)
        one = (gradient.mean(dim=(1, 2), keepdim=True) * tokens).sum(dim=3).relu().flatten()
        maps.append(F.normalize(one, dim=0))
    return torch.stack(maps)


# ------------------------------------------------------------------------------------------------- parity


def released_batch(**settings):
    return parity_methods.taught(parity_methods.clips(), parity_methods.teacher(AvCil, **settings))


def test_total_and_gradients_are_the_released_ones():
    method = parity_methods.student(AvCil)
    terms = method.loss(released_batch())
    total = torch.stack(list(terms.values())).sum()
    agrees(total, "av_cil", "total")
    agrees(2 * terms["instance_audio_visual_similarity"], "av_cil", "instance_similarity")
    agrees(terms["class_audio_visual_similarity"], "av_cil", "class_similarity_released")
    total.backward()
    assert gradient_norms(method) == pytest.approx(parity.VALUES["av_cil"]["gradient_norms"], rel=1e-4)


@pytest.mark.parametrize(
    ("form", "key"),
    [("equation7", "class_similarity_equation_7"), ("class-mean", "class_similarity_alternative")],
)
def test_the_other_class_similarities_are_the_released_ones(form: str, key: str):
    terms = parity_methods.student(AvCil, class_similarity=form).loss(released_batch())
    agrees(terms["class_audio_visual_similarity"], "av_cil", key)


class FromParityWeights(AvCil):
    """Starts the third task with the parity student's weights."""

    name = "av-cil from parity weights"

    def begin_task(self, context: Context) -> None:
        parity_methods.load(self.heads, parity.student_weights())


def parity_problem() -> Problem:
    """The ten clips as training clips, and each once more as a test clip."""
    visual, audio = parity.features()
    table = ClipTable(
        ids=tuple(f"{split} {number}" for split in ("train", "test") for number in range(10)),
        labels=torch.cat([parity.LABELS] * 2),
        splits=("train",) * 10 + ("test",) * 10,
        tasks=(("a", "b"), ("c", "d"), ("e", "f")),
    )
    return Problem(table, torch.cat([visual] * 2), torch.cat([audio] * 2))


@pytest.mark.parametrize("teacher", ["once", "each-step"])
def test_five_steps_of_the_trainer_are_the_released_ones(teacher: str):
    """The trainer goes on in the third task, from the parity teacher and a memory of the four old clips."""
    config = configure(
        FromParityWeights,
        epochs=5,
        batch_size=256,
        memory_batch_size=128,
        memory_size=6,
        model_choice="last",
        teacher=teacher,
    )
    trainer = make_trainer(FromParityWeights, parity_problem(), config)
    before = parity_methods.student(AvCil)
    for weight in before.heads.classifier.parameters():
        weight.data = weight.data[:4]
    parity_methods.load(before.heads, parity.teacher_weights())
    progress = trainer.run(
        Progress(task=3, finished=copy_of(before.state_dict()), memory={0: [6], 1: [7], 2: [8], 3: [9]})
    )
    (recorded,) = trainer.recorded
    assert all(len(steps) == 1 and steps[0].new == 6 and len(steps[0].numbers) == 10 for steps in recorded.steps)
    losses = [steps[0].loss for steps in recorded.steps]
    assert losses[0] == pytest.approx(parity.VALUES["av_cil"]["total"], rel=1e-4)
    assert losses == pytest.approx(parity.VALUES["av_cil"]["adam_losses"], rel=1e-3)
    assert progress.task == 4


# ------------------------------------------------------------------------------------------------- whole runs


@quick
@given(cases(("audio-visual",), fewest_new=2))
def test_every_step_is_the_plain_one(case: Case):
    finished = case.run(nudged(AvCil))
    replay(finished, av_cil(AvCilSettings()), afresh=True)
    check_run(finished)
    check_linear_readout(finished)


@quick
@given(
    cases(("audio-visual",), fewest_new=2),
    st.builds(
        dict,
        lambda_instance=st.sampled_from([0.0, 0.3]),
        lambda_class=st.sampled_from([0.0, 0.7]),
        attention_distillation=st.sampled_from(["vad", "grad-cam", "none"]),
        lambda_spatial=st.sampled_from([0.0, 0.3, 1.0]),
        lambda_grad_cam=st.sampled_from([0.5, 2.0]),
        similarity_temperature=st.sampled_from([0.1, 1.0]),
        class_similarity=st.sampled_from(list(CLASS_SIMILARITY)),
        kl_direction=st.sampled_from(["teacher-student", "student-teacher"]),
        temperature=st.sampled_from([1.0, 3.0]),
        second_task_loss=st.sampled_from(["separated", "plain"]),
    ),
)
def test_every_setting_does_what_its_formula_says(case: Case, settings: dict[str, Any]):
    finished = case.run(nudged(AvCil), settings)
    replay(finished, av_cil(AvCilSettings(**settings)), afresh=True)


@pytest.mark.parametrize("distillation", ["vad", "grad-cam", "none"])
@pytest.mark.parametrize("direction", ["teacher-student", "student-teacher"])
def test_table_8_and_both_directions(distillation: str, direction: str):
    settings: dict[str, Any] = {"attention_distillation": distillation, "kl_direction": direction}
    finished = run(nudged(AvCil), make_problem([2, 2, 1]), settings)
    replay(finished, av_cil(AvCilSettings(**settings)), afresh=True)


def test_the_next_task_begins_with_the_chosen_weights():
    finished = run(AvCil, make_problem([2, 2, 1]))
    replay(finished, av_cil(AvCilSettings()))
    check_carried(finished)


def test_with_every_part_switched_off_it_is_ss_il():
    off = {"lambda_instance": 0.0, "lambda_class": 0.0, "attention_distillation": "none"}
    finished = run(AvCil, make_problem([2, 2, 1]), off)
    replay(finished, ss_il)
    assert set(finished.tasks[1].steps[0][0].terms) == {
        "separated_softmax_cross_entropy",
        "task_knowledge_distillation",
    }


def test_vad_looks_at_memory_clips_alone():
    """New clips' attention moves nothing: with the memory's maps agreeing, VAD is zero whatever the new ones are."""
    method = parity_methods.student(AvCil)
    clips = parity_methods.clips()
    with torch.no_grad():
        logits = method.heads(clips).logits[:, :4]
        own = method.recall_of_memory(clips.part(clips.new))
    terms = method.loss(clips._replace(teacher=Recalled({"logits": logits}), teacher_of_memory=Recalled(own)))
    assert terms["visual_attention_distillation"].item() == pytest.approx(0, abs=1e-3)
    assert own["spatial"].shape == (4, parity.SLICES, parity.TOKENS, parity.CHANNELS)


@pytest.mark.parametrize("distillation", ["vad", "grad-cam"])
def test_the_teacher_asked_once_or_in_every_step_gives_the_same_bits(distillation: str):
    problem = make_problem([2, 2, 1], train=12, shape=(2, 3, 32, 32))
    settings = {"attention_distillation": distillation}
    once, each = (
        run(AvCil, problem, settings, teacher=teacher, batch_size=16, memory_batch_size=7, memory_size=20)
        for teacher in ("once", "each-step")
    )
    for name, tensor in once.tasks[-1].chosen.items():
        assert torch.equal(tensor, each.tasks[-1].chosen[name]), name
