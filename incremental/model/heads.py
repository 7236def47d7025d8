"""All that is trained: audio-guided attention (eq. 2-4), fusion and classifier (eq. 5).

Shapes: B clips, L time slices, S tokens, D channels, C classes; M clips whose attention maps are wanted.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Modality
from ..data.batch import Batch
from .attention import TeacherMaps, attention_pool
from .operations import count_linear


class Widths(NamedTuple):
    """Channels of the features. Everything after them has the visual features' width D."""

    audio: int
    """Channels of f_a; may differ from D."""
    visual: int
    """Channels of f_v, D."""


class HeadOutputs(NamedTuple):
    """What the heads say of a batch of clips. All float32."""

    logits: Tensor
    """(B, C)."""
    fused: Tensor
    """(B, D) h of eq. 5, what the classifier sees."""
    audio: Tensor | None
    """(B, D) relu(f_a U_a + c_a); None without the audio modality."""
    visual: Tensor | None
    """(B, D) relu(f'_v U_v + c_v); None without the visual modality."""
    pooled: Tensor | None
    """(B, D) f'_v of eq. 4, or the plain mean over all tokens where there is no audio to guide attention."""
    log_temporal: Tensor | None = None
    """(B, L, D) log of the temporal attention u; audio-visual only."""
    log_spatial: Tensor | None = None
    """(M, L, S, D) log of the spatial attention w of the clips from `maps_from` on."""
    spatial_cross_entropy: Tensor | None = None
    """(M,) its cross-entropy with a teacher's maps, where those were given instead."""


class Classifier(nn.Module):
    """A classifier that can take in new classes; maps features (B, D) to logits (B, C)."""

    def widen(self, classes: int) -> None:
        """Make room for `classes` in all; the old classes' weights stay."""
        raise NotImplementedError


class LinearClassifier(Classifier):
    """logits = h W_c + b_c, widened task by task with the old rows kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, channels))
        self.bias = nn.Parameter(torch.empty(0))

    def widen(self, classes: int) -> None:
        """Rows for the new classes are initialised as nn.Linear does; rows of old classes stay."""
        old, channels = self.weight.shape
        fresh = nn.Linear(channels, classes)
        with torch.no_grad():
            fresh.weight[:old] = self.weight.cpu()
            fresh.bias[:old] = self.bias.cpu()
        device = self.weight.device
        self.weight = nn.Parameter(fresh.weight.detach().to(device))
        self.bias = nn.Parameter(fresh.bias.detach().to(device))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, C)."""
        count_linear(len(features), self.weight, inputs_learn=features.requires_grad)
        return F.linear(features, self.weight, self.bias)


class Heads(nn.Module):
    """Attention, fusion and classifier over frozen features.

    With one modality only there is no attention: h = relu(f_a U_a + c_a), or h = relu(mean(f_v) U_v + c_v).
    The paper writes an unnamed activation in eq. 5; the released code, and so this, uses ReLU.
    """

    def __init__(self, widths: Widths, modality: Modality, classifier: Classifier | None = None) -> None:
        super().__init__()
        self.modality = modality
        width = widths.visual
        if modality != "visual":
            self.audio_projection = nn.Linear(widths.audio, width)
        if modality != "audio":
            self.visual_projection = nn.Linear(width, width)
        if modality == "audio-visual":
            self.audio_attention = nn.Linear(widths.audio, width)
            self.visual_attention = nn.Linear(width, width)
        self.classifier: Classifier = LinearClassifier(width) if classifier is None else classifier

    def forward(self, batch: Batch, *, maps_from: int | None = None, teacher: TeacherMaps | None = None) -> HeadOutputs:
        """Outputs for a batch; `maps_from` asks for the spatial attention of the clips from there on, or with a
        teacher's maps for its cross-entropy with them."""
        audio = visual = pooled = log_temporal = log_spatial = cross_entropy = None
        if self.modality == "audio-visual":
            assert batch.store is not None and batch.rows is not None
            pooled, log_temporal, log_spatial, cross_entropy = attention_pool(
                batch.store,
                batch.rows,
                self.gate(batch.audio),
                self.visual_attention.weight,
                self.visual_attention.bias,
                maps_from=maps_from,
                teacher=teacher,
            )
        elif self.modality == "visual":
            pooled = batch.visual_mean
        if self.modality != "visual":
            audio = self.audio_feature(batch.audio)
        if pooled is not None:
            visual = self.visual_feature(pooled)
        fused = sum_of(audio, visual)
        logits = self.classifier(fused)
        return HeadOutputs(logits, fused, audio, visual, pooled, log_temporal, log_spatial, cross_entropy)

    def gate(self, audio: Tensor) -> Tensor:
        """g of eq. 2 for f_a (B, D_a). (B, D)."""
        return torch.tanh(_linear(self.audio_attention, audio))

    def audio_feature(self, audio: Tensor) -> Tensor:
        """The audio part of eq. 5, relu(f_a U_a + c_a), for f_a (B, D_a). (B, D)."""
        return F.relu(_linear(self.audio_projection, audio))

    def visual_feature(self, pooled: Tensor) -> Tensor:
        """The visual part of eq. 5, relu(f'_v U_v + c_v), for f'_v (B, D). (B, D)."""
        return F.relu(_linear(self.visual_projection, pooled))


def _linear(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """The layer of inputs (B, D), counted. (B, E)"""
    count_linear(len(inputs), layer.weight, inputs_learn=inputs.requires_grad)
    outputs: Tensor = layer(inputs)
    return outputs


def sum_of(audio: Tensor | None, visual: Tensor | None) -> Tensor:
    """h of eq. 5 from whichever modalities there are. (B, D)."""
    if audio is None or visual is None:
        present = visual if audio is None else audio
        assert present is not None
        return present
    return audio + visual
