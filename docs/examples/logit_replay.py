"""Logit replay: memory clips among the new ones, and old logits held where the previous model had them."""

from collections.abc import Mapping
from typing import Annotated

import torch.nn.functional as F
from avcil.incremental import STRICT, Batch, Method, Settings
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor


@dataclass(frozen=True, config=STRICT)
class LogitReplaySettings(Settings):
    """Settings of logit replay."""

    weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the squared distance between old logits; >= 0."""


class LogitReplay(Method):
    """Cross-entropy over all classes + weight * mean squared distance of the old logits to the teacher's."""

    name = "logit-replay"
    paper = "an example, after Buzzega et al., Dark Experience for General Continual Learning, NeurIPS 2020"
    replay = "mixed"
    has_teacher = True
    Settings = LogitReplaySettings

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The terms for a batch; their sum is minimised."""
        logits = self.heads(batch).logits
        terms = {"cross_entropy": F.cross_entropy(logits, batch.labels)}
        if self.task.number > 1:
            old = batch.teacher["logits"]
            terms["old_logits"] = self.settings.weight * F.mse_loss(logits[:, : old.shape[1]], old)
        return terms
