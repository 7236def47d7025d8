"""SS-IL: Ahn et al., "SS-IL: Separated Softmax for Incremental Learning", ICCV 2021."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT
from ..data.batch import Batch
from ..learning import losses
from ..learning.gradient import Method
from ..learning.method import Settings


@dataclass(frozen=True, config=STRICT)
class SsIlSettings(Settings):
    """Settings of SS-IL."""

    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Temperature of the distillation; > 0."""
    kl_direction: losses.Direction = "teacher-student"
    """Which distribution stands first in every KL; "student-teacher" as eq. 9, 10 and 13 print it."""
    second_task_loss: Literal["separated", "plain"] = "separated"
    """"plain" swaps SS-CE for ordinary cross-entropy in task 2, as the released 4 x 7 AVE setting did unsaid."""


class SsIl(Method):
    """Memory clips beside the new ones in every batch; the softmax is separated (SS-CE, eq. 12) and each old
    task is distilled on its own (TKD, eq. 13)."""

    name = "ss-il"
    paper = "Ahn et al., SS-IL: Separated Softmax for Incremental Learning, ICCV 2021"
    replay = "separate"
    has_teacher = True
    Settings = SsIlSettings

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """SS-CE + TKD from the second task on."""
        if self.task.number == 1:
            return super().loss(batch)
        return self.separated_losses(self.heads(batch).logits, batch)

    def separated_losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """SS-CE and TKD of logits (B, C)."""
        if self.settings.second_task_loss == "plain" and self.task.number == 2:
            classification = F.cross_entropy(logits, batch.labels)
        else:
            classification = losses.separated_softmax_cross_entropy(
                logits, batch.labels, batch.new, self.task.old_classes
            )
        return {
            "separated_softmax_cross_entropy": classification,
            "task_knowledge_distillation": losses.task_knowledge_distillation(
                logits,
                batch.teacher["logits"],
                self.task.old_tasks,
                self.settings.temperature,
                self.settings.kl_direction,
            ),
        }
