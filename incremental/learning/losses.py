"""The losses of the AV-CIL paper and of the methods it compares with: pure functions of tensors.

"eq" is what the paper prints, "released" what its authors' code computes and the published tables rest on.

Shapes: B clips, L time slices, S tokens, D channels, C classes, n memory clips in the batch.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Direction = Literal["teacher-student", "student-teacher"]
ClassSimilarity = Literal["released", "equation7", "class-mean"]


def separated_softmax_cross_entropy(logits: Tensor, labels: Tensor, new: int, old_classes: int) -> Tensor:
    """SS-CE, eq. 12: new clips compete among new classes, memory clips among old classes.

    logits (B, C), labels (B,) int64; the first `new` clips are new. Each part weighs by its number of clips.
    """
    of_new = F.cross_entropy(logits[:new, old_classes:], labels[:new] - old_classes, reduction="sum")
    of_old = F.cross_entropy(logits[new:, :old_classes], labels[new:], reduction="sum")
    return (of_new + of_old) / len(labels)


def kl_divergence(log_student: Tensor, teacher: Tensor, direction: Direction) -> Tensor:
    """Sum over all elements of KL(teacher || student) ("teacher-student") or KL(student || teacher).

    `log_student` (n, ...) holds logarithms, `teacher` (n, ...) probabilities: those survive storage in bfloat16
    better.
    """
    if direction == "student-teacher":
        return F.kl_div(teacher.log(), log_student, reduction="sum", log_target=True)
    return F.kl_div(log_student, teacher.to(log_student.dtype), reduction="sum")


def task_knowledge_distillation(
    logits: Tensor,
    teacher_logits: Tensor,
    old_tasks: Sequence[slice],
    temperature: float = 2.0,
    direction: Direction = "teacher-student",
) -> Tensor:
    """TKD, eq. 13: for each old task the KL of the softmax over its logits, summed over the old tasks.

    logits (B, C), teacher_logits (B, old C). Averaged over the whole batch and multiplied by temperature²,
    so that the gradient's size does not depend on it. eq sums up to the current task, for which the teacher
    has no logits, and prints the student first; released sums over old tasks with the teacher first.
    """
    total = logits.new_zeros(())
    for task in old_tasks:
        # Both as logarithms: the softmax of a very sure teacher has zeros, whose logarithm would be infinite.
        student = F.log_softmax(logits[:, task] / temperature, dim=1)
        teacher = F.log_softmax(teacher_logits[:, task] / temperature, dim=1)
        q, p = (student, teacher) if direction == "teacher-student" else (teacher, student)
        total = total + F.kl_div(q, p, reduction="sum", log_target=True)
    return total * temperature**2 / len(logits)


def audio_visual_scores(audio: Tensor, visual: Tensor, temperature: float) -> Tensor:
    """s = a v^T / tau of eq. 6 and 7 for features (B, D) normalised here; rows are audio. (B, B)."""
    return F.normalize(audio, dim=1) @ F.normalize(visual, dim=1).T / temperature


def instance_audio_visual_similarity(scores: Tensor) -> Tensor:
    """I-AVSS, eq. 6: each clip's sound should find its own picture among all of the batch. scores (B, B)."""
    return F.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def class_audio_visual_similarity(scores: Tensor, labels: Tensor, form: ClassSimilarity = "released") -> Tensor:
    """C-AVSS: each clip's sound should find the pictures of its class. scores (B, B), labels (B,).

    "equation7": -mean_i log(sum_{j of i's class} e^{s_ij} / (size of i's class * sum_j e^{s_ij})).
    "released": minus the mean over all pairs (i, j) of log softmax_j(s)_ij where j is of i's class, else 0.
    "class-mean": minus the mean over i of the mean over the j of i's class of log softmax_j(s)_ij, with 1e-6 added
    to sum and count: a form that the released code carries but does not use.
    """
    same = labels[:, None] == labels[None, :]  # (B, B)
    log_probability = F.log_softmax(scores, dim=1)
    if form == "released":
        return -torch.where(same, log_probability, 0.0).mean()
    if form == "class-mean":
        of_own = torch.where(same, log_probability, 0.0).sum(dim=1)  # (B,)
        return -((of_own + 1e-6) / (same.sum(dim=1) + 1e-6)).mean()
    of_class = torch.logsumexp(log_probability.masked_fill(~same, -torch.inf), dim=1)  # (B,)
    return -(of_class - same.sum(dim=1).log()).mean()


def visual_attention_distillation(spatial: Tensor, temporal: Tensor, clips: int, spatial_weight: float = 0.5) -> Tensor:
    """VAD, eq. 11: lambda spatial + (1 - lambda) temporal, per memory clip; lambda = `spatial_weight`.

    `spatial` and `temporal` are the divergences of eq. 9 and 10, between the attentions of the student and of the
    teacher on `clips` memory clips: over S in one and L in the other, summed over the other axes and the clips. eq
    prints the student first in them, released has the teacher first.
    """
    return (spatial_weight * spatial + (1 - spatial_weight) * temporal) / clips


def old_logits_binary_cross_entropy(logits: Tensor, teacher_logits: Tensor, *, doubled_sigmoid: bool) -> Tensor:
    """iCaRL's distillation: binary cross-entropy between old logits (B, old C), averaged over all of them.

    The released code applies the sigmoid to the student's logits and then a loss that applies it again
    (`doubled_sigmoid`); iCaRL's paper (Rebuffi et al., CVPR 2017) applies it once.
    """
    student = torch.sigmoid(logits) if doubled_sigmoid else logits
    return F.binary_cross_entropy_with_logits(student, torch.sigmoid(teacher_logits))
