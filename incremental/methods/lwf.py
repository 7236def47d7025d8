"""LwF: Li and Hoiem, "Learning without Forgetting", ECCV 2016 / TPAMI 2018."""

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
class LwfSettings(Settings):
    """Settings of LwF."""

    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Temperature of the distillation; > 0."""
    cross_entropy_over: Literal["new-classes", "all-classes"] = "new-classes"
    """Whose logits the new clips compete in: "new-classes" as released (the paper's separate heads), or
    "all-classes" for one shared softmax."""
    kl_direction: losses.Direction = "teacher-student"
    """Which distribution stands first in the KL; "student-teacher" as eq. 13 prints it."""


class LwF(Method):
    """No memory: new classes by cross-entropy, old tasks by distilling the previous model's answers to new
    clips (TKD, eq. 13)."""

    name = "lwf"
    paper = "Li and Hoiem, Learning without Forgetting, ECCV 2016"
    uses_memory = False
    has_teacher = True
    Settings = LwfSettings

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Cross-entropy + TKD from the second task on."""
        if self.task.number == 1:
            return super().loss(batch)
        logits = self.heads(batch).logits
        old = self.task.old_classes if self.settings.cross_entropy_over == "new-classes" else 0
        return {
            "cross_entropy": F.cross_entropy(logits[:, old:], batch.labels - old),
            "task_knowledge_distillation": losses.task_knowledge_distillation(
                logits,
                batch.teacher["logits"],
                self.task.old_tasks,
                self.settings.temperature,
                self.settings.kl_direction,
            ),
        }
