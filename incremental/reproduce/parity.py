"""Whether losses, gradients and Adam's steps on this machine are those that the released code of AV-CIL computed."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import GradientSettings
from ..learning import losses
from ..learning.exemplars import herding
from ..learning.gradient import Method
from ..methods.afc import AfcLsc
from ..methods.av_cil import AvCil
from ..methods.fine_tuning import FineTuning
from ..methods.icarl import IcarlFc
from ..methods.lwf import LwF
from ..methods.ss_il import SsIl
from ..model.heads import HeadOutputs
from .recorded import LABELS, NEW_CLIPS, OLD_CLASSES, OLD_TASKS, VALUES, expected, herding_features
from .replayed import TASKS, clips, gradient_norms, student, taught, teacher

RELATIVE = 1e-4
"""How far a value may be off, of the largest of its kind."""
AFTER_STEPS = 1e-3
"""The same after steps of Adam, which divides by small numbers."""


@dataclass(frozen=True)
class Check:
    """One value or group of values."""

    name: str
    off: float
    """Largest difference, of the largest recorded value."""
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether it is near enough; NaN is not."""
        return self.off <= self.allowed


def off(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of tensors of one shape, of the largest value of `theirs`."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def checks() -> list[Check]:
    """Every recorded value against what this machine computes, on the CPU in float32."""
    found = []
    for part in (_forward, _losses, _av_cil, _adam, _others, _afc):
        for path, ours, name in part():
            allowed = AFTER_STEPS if path[-1] == "adam_losses" else RELATIVE
            found.append(Check(name, off(ours, expected(*path)), allowed))
    herded = herding(torch.from_numpy(herding_features()), len(VALUES["herding_with_repeats"]), repeats=True)
    same = herded.tolist() == VALUES["herding_with_repeats"]
    return [*found, Check("Herding: clips chosen", 0.0 if same else math.inf, 0.0)]


Found = Iterator[tuple[tuple[str, ...], Tensor, str]]
"""Where a value is recorded, ours, and its name."""


def _given(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


def _forward() -> Found:
    with torch.no_grad():
        outputs: HeadOutputs = student(AvCil).heads(clips(), maps_from=0)
        spatial, temporal = _given(outputs.log_spatial).exp(), _given(outputs.log_temporal).exp()
        yield ("forward", "logits"), outputs.logits, "Forward: logits"
        yield ("forward", "fused_norms"), outputs.fused.norm(dim=1), "Forward: fused features"
        for name, value in (("audio", outputs.audio), ("visual", outputs.visual)):
            first = F.normalize(_given(value))[:, :5]
            yield ("forward", f"{name}_normalised_first_5"), first, f"Forward: {name} features"
        shown = spatial[0, 0, :, :5]
        yield ("forward", "spatial_clip_0_slice_0_channels_0_to_4"), shown, "Forward: spatial attention"
        yield ("forward", "temporal_clip_0_channels_0_to_4"), temporal[0, :, :5], "Forward: temporal attention"
        for modality in ("audio", "visual"):
            alone = student(FineTuning, modality).scores(clips())
            yield (f"{modality}_only_logits",), alone, f"Forward: logits, {modality} only"


def _losses() -> Found:
    with torch.no_grad():
        ours = student(AvCil).heads(clips(), maps_from=NEW_CLIPS)
        theirs = teacher(AvCil).heads(clips(), maps_from=NEW_CLIPS)
    separated = losses.separated_softmax_cross_entropy(ours.logits, LABELS, NEW_CLIPS, OLD_CLASSES)
    yield ("av_cil", "separated_softmax_cross_entropy"), separated, "SS-CE (eq. 12)"
    by_task = [losses.task_knowledge_distillation(ours.logits, theirs.logits, [task]) for task in OLD_TASKS]
    yield ("av_cil", "task_distillation"), torch.stack(by_task), "TKD (eq. 13)"
    scores = losses.audio_visual_scores(_given(ours.audio), _given(ours.visual), 0.05)
    yield ("av_cil", "instance_similarity"), losses.instance_audio_visual_similarity(scores), "I-AVSS (eq. 6)"
    forms: tuple[tuple[losses.ClassSimilarity, str], ...] = (
        ("released", "class_similarity_released"),
        ("equation7", "class_similarity_equation_7"),
        ("class-mean", "class_similarity_alternative"),
    )
    for form, key in forms:
        similarity = losses.class_audio_visual_similarity(scores, LABELS, form)
        yield ("av_cil", key), similarity, f"C-AVSS, {form}"
    spatial = losses.kl_divergence(_given(ours.log_spatial), _given(theirs.log_spatial).exp(), "teacher-student")
    temporal = losses.kl_divergence(
        _given(ours.log_temporal)[NEW_CLIPS:], _given(theirs.log_temporal)[NEW_CLIPS:].exp(), "teacher-student"
    )
    for weight, key in ((1.0, "spatial_distillation"), (0.0, "temporal_distillation")):
        distilled = losses.visual_attention_distillation(spatial, temporal, len(LABELS) - NEW_CLIPS, weight)
        yield ("av_cil", key), distilled, f"VAD (eq. 9-11), {key.partition('_')[0]}"


def _total(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _gradients(method: Method, key: str, title: str) -> Found:
    for name, norm in gradient_norms(method).items():
        yield (key, "gradient_norms", name), torch.tensor(norm), f"{title}: gradient of {name}"


def _av_cil() -> Found:
    method = student(AvCil)
    total = _total(method.loss(taught(clips(), teacher(AvCil))))
    yield ("av_cil", "total"), total.detach(), "AV-CIL: loss"
    total.backward()
    yield from _gradients(method, "av_cil", "AV-CIL")


def _adam() -> Found:
    method, batch = student(AvCil), taught(clips(), teacher(AvCil))
    settings = GradientSettings()
    optimiser = torch.optim.Adam(
        method.heads.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    found = []
    for _ in VALUES["av_cil"]["adam_losses"]:
        optimiser.zero_grad()
        total = _total(method.loss(batch))
        found.append(total.detach())
        total.backward()
        optimiser.step()
    yield ("av_cil", "adam_losses"), torch.stack(found), f"AV-CIL: losses over {len(found)} steps of Adam"


def _others() -> Found:
    with torch.no_grad():
        yield ("fine_tuning",), _total(student(FineTuning).loss(clips())), "Fine-tuning: loss"
        few = NEW_CLIPS
        yield ("lwf_first_six_clips",), _total(student(LwF).loss(taught(clips(few), teacher(LwF)))), "LwF: loss"
        terms = student(SsIl).loss(taught(clips(), teacher(SsIl)))
        key = "separated_softmax_cross_entropy"
        yield ("av_cil", key), terms[key], "SS-IL: SS-CE"
        icarl = student(IcarlFc)
        yield ("icarl", "doubled_sigmoid"), _total(icarl.loss(taught(clips(), teacher(IcarlFc)))), "iCaRL: loss"
        icarl.task = TASKS[0]
        yield ("icarl", "first_task"), _total(icarl.loss(clips())), "iCaRL: loss in the first task"


def _afc() -> Found:
    method, old = student(AfcLsc), teacher(AfcLsc)
    assert isinstance(method, AfcLsc)
    with torch.no_grad():
        yield ("afc", "similarities"), method.scores(clips()), "AFC: similarities"
    answers = old.recall(clips())
    for name in ("pooled", "audio", "visual"):
        norms = answers[f"norm_of_{name}"] / len(LABELS)  # of the batch's mean loss there
        yield ("afc", f"gradient_norm_{name}"), norms, f"AFC: importances, {name}"
    method.classifier.old_proxies.requires_grad_(True)  # has a gradient in the released code, and is not moved by it
    terms = method.loss(taught(clips(), old))
    yield ("afc", "nca"), terms["nca"].detach(), "AFC: NCA loss"
    discrepancy = terms["discrepancy"].detach() / (0.5 * math.sqrt(3))
    yield ("afc", "discrepancy"), discrepancy, "AFC: discrepancy"
    total = _total(terms)
    yield ("afc", "total_third_task"), total.detach(), "AFC: loss"
    total.backward()
    yield from _gradients(method, "afc", "AFC")
