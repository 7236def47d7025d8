"""AV-CIL whose attention is learnt, frozen or borrowed, for experiments on what VAD holds: a plugin.

avcil-incr run --plugin benchmarks/held_attention.py --method av-cil-held --set vad_weight=0.1 ...
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from avcil.errors import InputError
from avcil.incremental.config import STRICT
from avcil.incremental.data.batch import Batch
from avcil.incremental.learning.method import Context
from avcil.incremental.methods.av_cil import AvCil, AvCilSettings
from pydantic import Field
from pydantic.dataclasses import dataclass
from safetensors.torch import load_file
from torch import Tensor

ATTENTION = ("heads.audio_attention", "heads.visual_attention")
"""The two linear layers of eq. 2 and 3."""


@dataclass(frozen=True, config=STRICT)
class HeldSettings(AvCilSettings):
    """Settings of AV-CIL and of the experiment."""

    vad_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of VAD in the loss; >= 0. The paper's is 1."""
    attention: Literal["learnt", "first-task", "never"] = "learnt"
    """Whether the attention's weights are learnt in every task, in the first only, or stay as they were drawn."""
    attention_from: str = ""
    """Weights (task-NN.safetensors) of another run whose attention this one begins with; "" for drawn ones."""


class HeldAvCil(AvCil):
    """AV-CIL with a weight for VAD, and with attention that is frozen or taken from another run."""

    name = "av-cil-held"
    Settings = HeldSettings

    def begin_task(self, context: Context) -> None:
        """Borrow and freeze the attention, as the settings say."""
        super().begin_task(context)
        settings = self.settings
        weights = {name: value for name, value in self.named_parameters() if name.startswith(ATTENTION)}
        if settings.attention_from and self.task.number == 1:
            if not Path(settings.attention_from).is_file():
                raise InputError(f"attention_from: {settings.attention_from} is not there")
            borrowed = load_file(settings.attention_from)
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(borrowed[name])
        learnt = settings.attention == "learnt" or (settings.attention == "first-task" and self.task.number == 1)
        for weight in weights.values():
            weight.requires_grad_(learnt)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """AV-CIL's terms, VAD weighted."""
        terms, vad = super().loss(batch), "visual_attention_distillation"
        return {name: self.settings.vad_weight * term if name == vad else term for name, term in terms.items()}
