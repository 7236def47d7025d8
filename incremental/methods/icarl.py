"""iCaRL: Rebuffi et al., "iCaRL: Incremental Classifier and Representation Learning", CVPR 2017."""

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT
from ..data.batch import Batch
from ..learning import losses
from ..learning.exemplars import HerdingMemory, NearestMeanReadout
from ..learning.method import Settings


@dataclass(frozen=True, config=STRICT)
class IcarlSettings(Settings):
    """Settings of iCaRL; defaults are the released choices that the published numbers were made with."""

    distillation: Literal["doubled-sigmoid", "single-sigmoid"] = "doubled-sigmoid"
    """"doubled-sigmoid" as released: the student's old logits pass a sigmoid before a loss that applies it
    again; "single-sigmoid" as iCaRL's paper says."""
    herding_repeats: bool = True
    """Whether herding may choose one clip twice, as released; false as the paper says."""
    normalise_means: bool = False
    """Whether class means are brought back to unit length, as the paper says; false as released."""


class IcarlFc(HerdingMemory):
    """Memory mixed into the training set, chosen by herding once the task is learnt; old logits distilled by
    binary cross-entropy. Readout: the classifier."""

    name = "icarl-fc"
    paper = "Rebuffi et al., iCaRL: Incremental Classifier and Representation Learning, CVPR 2017"
    family = "icarl"
    replay = "mixed"
    has_teacher = True
    Settings = IcarlSettings

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Cross-entropy over all classes, + distillation of the old logits from the second task on."""
        logits = self.heads(batch).logits
        terms = {"cross_entropy": F.cross_entropy(logits, batch.labels)}
        if self.task.number > 1:
            terms["distillation"] = losses.old_logits_binary_cross_entropy(
                logits[:, : self.task.old_classes],
                batch.teacher["logits"],
                doubled_sigmoid=self.settings.distillation == "doubled-sigmoid",
            )
        return terms


class IcarlNme(NearestMeanReadout, IcarlFc):
    """iCaRL with its own readout: the nearest class mean of exemplars."""

    name = "icarl-nme"
