"""The plain way: audio-visual class-incremental learning as its equations read, in ordinary PyTorch.

Every function is one equation of "Audio-Visual Class-Incremental Learning" (ICCV 2023, arXiv 2308.11073)
or of a baseline's paper, over whole batches, in the inputs' own precision. It is what the fast code is
measured against and checked against, so it shares nothing with `avcil.incremental`. Where the authors'
released code departs from the printed equation the default is the released form, with which the published
tables were made; an argument selects the printed one. `plain_run.py` puts these parts together to a whole
incremental run.

Shapes: B clips, L time slices, S tokens, D channels, C classes, K proxies a class.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# --------------------------------------------------------------------------------------------- heads, eq. 2-5


@dataclass(frozen=True)
class PlainFeatures:
    """What the heads make of a batch before the classifier."""

    fused: Tensor  # (B, D)        h, eq. 5
    audio: Tensor  # (B, D)        relu(f_a U_a + c_a), not normalised
    visual: Tensor  # (B, D)       relu(f'_v U_v + c_v), not normalised
    pooled: Tensor  # (B, D)       f'_v, raw: before U_v
    spatial: Tensor  # (B, L, S, D) sums to 1 over S
    temporal: Tensor  # (B, L, D)   sums to 1 over L


def audio_visual_attention(visual: Tensor, projected: Tensor, gate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Audio-guided spatial and temporal attention, eq. 2-4.

    The scores come from the projected tokens, the pooling is over the raw ones. Returns the spatial weights
    (B, L, S, D), the temporal weights (B, L, D) and the pooled visual feature (B, D).
    """
    spatial = (projected * gate[:, None, None, :]).softmax(dim=2)  # (B, L, S, D)
    attended = (spatial * projected).sum(dim=2)  # (B, L, D)
    temporal = (attended * gate[:, None, :]).softmax(dim=1)  # (B, L, D)
    pooled = (temporal * (spatial * visual).sum(dim=2)).sum(dim=1)  # (B, D)
    return spatial, temporal, pooled


class PlainHeads(nn.Module):
    """All that is trained: two projections, two attention maps, a classifier; every linear map has a bias.

    `classifier` is an `nn.Linear` (weight (C, D)) or, for AFC, `PlainProxies`. The hidden width
    is the visual one.
    """

    def __init__(self, visual_dim: int, audio_dim: int, classifier: nn.Module) -> None:
        super().__init__()
        self.audio_projection = nn.Linear(audio_dim, visual_dim)
        self.visual_projection = nn.Linear(visual_dim, visual_dim)
        self.attention_audio = nn.Linear(audio_dim, visual_dim)
        self.attention_visual = nn.Linear(visual_dim, visual_dim)
        self.classifier = classifier

    def features(self, visual: Tensor, audio: Tensor) -> PlainFeatures:
        """Eq. 2-5 without the classifier: visual (B, L, S, D), audio (B, D_audio)."""
        projected = self.attention_visual(visual).tanh()  # (B, L, S, D)
        gate = self.attention_audio(audio).tanh()  # (B, D)
        spatial, temporal, pooled = audio_visual_attention(visual, projected, gate)
        a = self.audio_projection(audio).relu()  # (B, D)
        v = self.visual_projection(pooled).relu()  # (B, D)
        return PlainFeatures(a + v, a, v, pooled, spatial, temporal)

    def audio_feature(self, audio: Tensor) -> Tensor:
        """The feature h when there is sound alone: no attention. (B, D)."""
        return torch.relu(self.audio_projection(audio))

    def visual_feature(self, visual: Tensor) -> Tensor:
        """The feature h when there are frames alone: the mean of all tokens, no attention. (B, D)."""
        return torch.relu(self.visual_projection(visual.mean(dim=(1, 2))))

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, PlainFeatures]:
        """Logits (B, C) and the features they came from, eq. 5."""
        features = self.features(visual, audio)
        logits: Tensor = self.classifier(features.fused)
        return logits, features


def adam(parameters: Sequence[nn.Parameter]) -> torch.optim.Adam:
    """The optimiser of every method: the weight decay goes into the gradient."""
    return torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4)


# -------------------------------------------------------------------------------------------- AV-CIL's losses


def separated_softmax_cross_entropy(logits: Tensor, labels: Tensor, new_clips: int, old_classes: int) -> Tensor:
    """SS-CE, eq. 12: the first `new_clips` rows over the new classes, the memory's over the old."""
    new = F.cross_entropy(logits[:new_clips, old_classes:], labels[:new_clips] - old_classes, reduction="sum")
    old = F.cross_entropy(logits[new_clips:, :old_classes], labels[new_clips:], reduction="sum")
    return (new + old) / len(logits)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of distributions along any axis, summed, and divided by the rows of axis 0."""
    return F.kl_div(q.log(), p, reduction="sum") / max(len(p), 1)


def task_distillation(
    logits: Tensor, teacher: Tensor, task: slice, temperature: float = 2.0, student_first: bool = False
) -> Tensor:
    """One old task's summand of TKD, eq. 13.

    The paper prints the student first, the released code the teacher.
    """
    student_log = (logits[:, task] / temperature).log_softmax(dim=1)
    teacher_log = (teacher[:, task] / temperature).log_softmax(dim=1)
    p_log, q_log = (student_log, teacher_log) if student_first else (teacher_log, student_log)
    return temperature**2 * (p_log.exp() * (p_log - q_log)).sum(dim=1).mean()


def task_knowledge_distillation(
    logits: Tensor,
    teacher: Tensor,
    old_tasks: Sequence[slice],
    temperature: float = 2.0,
    student_first: bool = False,
) -> Tensor:
    """TKD, eq. 13: summed over the old tasks, for which alone the teacher has logits."""
    loss = logits.new_zeros(())
    for task in old_tasks:
        loss = loss + task_distillation(logits, teacher, task, temperature, student_first)
    return loss


def similarity_scores(audio: Tensor, visual: Tensor, tau: float = 0.05) -> Tensor:
    """Cosine similarity of each sound (row) with each clip's frames (column), over tau. (B, B)."""
    return F.normalize(audio, dim=1) @ F.normalize(visual, dim=1).T / tau


def instance_similarity(scores: Tensor) -> Tensor:
    """I-AVSS, eq. 6: each sound finds its own frames; rows only, one direction."""
    return F.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def same_class(labels: Tensor) -> Tensor:
    """Which pairs of clips share their class, the clip with itself included. Bool (B, B)."""
    return labels[:, None] == labels[None, :]


def class_similarity_released(scores: Tensor, labels: Tensor) -> Tensor:
    """C-AVSS as the released code has it: the mean over ALL pairs of the masked log-probability."""
    return -(scores.log_softmax(dim=1) * same_class(labels)).mean()


def class_similarity_equation_7(scores: Tensor, labels: Tensor) -> Tensor:
    """C-AVSS as printed, eq. 7: log of the mean probability of the clips of the same class."""
    same = same_class(labels)
    probability = (scores.softmax(dim=1) * same).sum(dim=1) / same.sum(dim=1)  # (B,)
    return -probability.log().mean()


def class_similarity_alternative(scores: Tensor, labels: Tensor) -> Tensor:
    """A third form the released code offers: the mean log-probability of the clips of the same class."""
    same = same_class(labels)
    summed = (scores.log_softmax(dim=1) * same).sum(dim=1)  # (B,)
    return -((summed + 1e-6) / (same.sum(dim=1) + 1e-6)).mean()


def attention_distillation(student: Tensor, teacher: Tensor, student_first: bool = False) -> Tensor:
    """One half of VAD, eq. 9 (spatial) or eq. 10 (temporal), over the memory's clips only.

    Weights (M, ...) of M memory clips, each a distribution along S or L: the divergence is summed over
    every other axis and divided by M. The paper prints the student first, the released code the teacher.
    """
    return kl_divergence(student, teacher) if student_first else kl_divergence(teacher, student)


@dataclass(frozen=True)
class PlainWeights:
    """The weights of AV-CIL's loss and its choices; a part is switched off by a weight of None."""

    lambda_instance: float | None = 0.5
    lambda_class: float | None = 1.0
    lambda_spatial: float | None = 0.5  # lambda of eq. 11; the temporal half has 1 - lambda
    tau: float = 0.05
    temperature: float = 2.0
    as_printed: bool = False  # eq. 7 and the student first in eq. 9, 10 and 13


SS_IL = PlainWeights(lambda_instance=None, lambda_class=None, lambda_spatial=None)


def av_cil_loss(
    logits: Tensor,
    features: PlainFeatures,
    teacher_logits: Tensor,
    teacher_features: PlainFeatures,
    labels: Tensor,
    new_clips: int,
    old_tasks: Sequence[slice],
    weights: PlainWeights,
) -> Tensor:
    """AV-CIL from the second task on: SS-CE + TKD + lambda_I I-AVSS + lambda_C C-AVSS + VAD (eq. 11).

    The batch is `new_clips` new clips followed by the memory's. Without I-AVSS, C-AVSS and VAD this is SS-IL.
    """
    old_classes = old_tasks[-1].stop
    loss = separated_softmax_cross_entropy(logits, labels, new_clips, old_classes)
    loss = loss + task_knowledge_distillation(
        logits, teacher_logits, old_tasks, weights.temperature, weights.as_printed
    )
    scores = similarity_scores(features.audio, features.visual, weights.tau)
    if weights.lambda_instance is not None:
        loss = loss + weights.lambda_instance * instance_similarity(scores)
    if weights.lambda_class is not None:
        form = class_similarity_equation_7 if weights.as_printed else class_similarity_released
        loss = loss + weights.lambda_class * form(scores, labels)
    if weights.lambda_spatial is not None:
        memory = slice(new_clips, None)
        spatial = attention_distillation(features.spatial[memory], teacher_features.spatial[memory], weights.as_printed)
        temporal = attention_distillation(
            features.temporal[memory], teacher_features.temporal[memory], weights.as_printed
        )
        loss = loss + weights.lambda_spatial * spatial + (1 - weights.lambda_spatial) * temporal
    return loss


# -------------------------------------------------------------------------------------- the baselines' losses


def lwf_loss(logits: Tensor, teacher: Tensor, labels: Tensor, old_tasks: Sequence[slice]) -> Tensor:
    """LwF (Li and Hoiem 2016) as the tables used it: cross-entropy over the new classes' logits + TKD."""
    old_classes = old_tasks[-1].stop
    new = F.cross_entropy(logits[:, old_classes:], labels - old_classes)
    return new + task_knowledge_distillation(logits, teacher, old_tasks)


def icarl_loss(logits: Tensor, teacher: Tensor | None, labels: Tensor, doubled_sigmoid: bool = True) -> Tensor:
    """iCaRL (Rebuffi et al. 2017) as the tables used it: cross-entropy over all classes + distillation.

    The released code takes the sigmoid of the student's old logits and then a cross-entropy that takes it
    again; `doubled_sigmoid=False` takes it once. `teacher` (B, old classes), or None in the first task.
    """
    loss = F.cross_entropy(logits, labels)
    if teacher is None:
        return loss
    old = logits[:, : teacher.shape[1]]
    old = old.sigmoid() if doubled_sigmoid else old
    return loss + F.binary_cross_entropy_with_logits(old, teacher.sigmoid())


def proxy_similarity(fused: Tensor, proxies: Tensor, per_class: int = 10) -> Tensor:
    """AFC's local similarity classifier (Kang et al. 2022, from PODNet 2020), without its scale. (B, C).

    Minus the squared distance of the normalised feature (B, D) to each normalised proxy (C * K, D), a
    class's K rows together; reduced over a class's proxies by weights that are the softmax of those same
    K similarities.
    """
    cosine = F.normalize(fused, dim=1) @ F.normalize(proxies, dim=1).T  # (B, C * K)
    each = -(2 - 2 * cosine).clamp(min=0).view(len(fused), -1, per_class)  # (B, C, K)
    return (each.softmax(dim=2) * each).sum(dim=2)


def nca_loss(similarity: Tensor, labels: Tensor, scale: Tensor | float, margin: float = 0.0) -> Tensor:
    """AFC's NCA loss: -(z_y - log(1 + sum over j != y of exp z_j)).

    z is the scaled similarity less its row's maximum. The gradient passes through the maximum: because of
    the 1 the loss is not indifferent to it. The released code subtracts its margin from every class alike,
    where it cancels; AFC itself from the target's similarity only.
    """
    target = F.one_hot(labels, similarity.shape[1])  # (B, C)
    z = scale * (similarity - margin * target)
    z = z - z.amax(dim=1, keepdim=True)
    others = (z.exp() * (1 - target)).sum(dim=1)  # (B,)
    return -((z * target).sum(dim=1) - torch.log(1 + others)).mean()


class PlainProxies(nn.Module):
    """AFC's classifier: old proxies, new ones, and the learnt scale, which starts every task at 1.

    The old proxies have gradients but are kept out of the optimiser.
    """

    def __init__(self, old: Tensor, new: Tensor, per_class: int = 10) -> None:
        super().__init__()
        self.old_proxies = nn.Parameter(old)  # (old classes * K, D)
        self.new_proxies = nn.Parameter(new)  # (new classes * K, D)
        self.scale = nn.Parameter(old.new_ones(()))
        self.per_class = per_class

    def forward(self, fused: Tensor) -> Tensor:
        """Similarities (B, C); the scale belongs to the loss, not to the readout."""
        return proxy_similarity(fused, torch.cat([self.old_proxies, self.new_proxies]), self.per_class)


def importance_norms(teacher_loss: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
    """Per clip, the norm (B,) of the gradient of the teacher's NCA loss in each raw feature (B, D).

    The teacher is the previous model with freshly drawn proxies for the new classes and a scale of 1.
    Sound and frames come out equal, since the gradient reaches both through the same sum, h = a + v.
    """
    return [gradient.norm(dim=1) for gradient in torch.autograd.grad(teacher_loss, list(features))]


def discrepancy(student: Sequence[Tensor], teacher: Sequence[Tensor], norms: Sequence[Tensor]) -> Tensor:
    """AFC's discrepancy of (pooled visual, audio, visual): the mean over clips of weighted distances.

    Each feature (B, D) is normalised; the distance is the norm of the difference, not its square; a
    clip's weights are its own three gradient norms over their sum. One modality: one feature, and norms
    of [1].
    """
    total = torch.stack(list(norms)).sum(dim=0)  # (B,)
    loss = student[0].new_zeros(len(student[0]))
    for ours, theirs, norm in zip(student, teacher, norms, strict=True):
        distance = (F.normalize(ours, dim=1) - F.normalize(theirs.detach(), dim=1)).norm(dim=1)  # (B,)
        loss = loss + norm / total * distance
    return loss.mean()


def afc_loss(nca: Tensor, discrepancy: Tensor, task_number: int, weight: float = 0.5) -> Tensor:
    """AFC's total from the second task on; `task_number` counts from 1."""
    return nca + weight * math.sqrt(task_number) * discrepancy
