"""Where a trained run looks in a clip: its audio-guided attention (eq. 2 and 3 of arXiv 2308.11073), a map a slice.

The attention has a value for every channel; a map is the mean over channels, as is its temporal weight. Both are
computed in float32, from the features in the precision that the run read them in.

n clips, L time slices, S tokens, D channels.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..incremental.data.batch import Batch
from ..incremental.data.residence import FeatureSource
from ..incremental.learning.method import BaseMethod
from ..incremental.model.attention import attention_pool
from ..incremental.model.heads import Heads
from ..incremental.runs.trained import TrainedRun


class AttentionMaps(NamedTuple):
    """The attention of one clip, float32; uniform attention would be 1/S and 1/L everywhere."""

    spatial: Tensor
    """(L, S): each slice's tokens, row by row of the picture, sum to 1."""
    temporal: Tensor
    """(L,): the slices' weights, which sum to 1."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a slice's tokens; InputError where they are no square, or where there is but one."""
        tokens = self.spatial.shape[1]
        if tokens == 1:
            raise InputError("a time slice is a single token here, and so there is no spatial attention to look at")
        side = math.isqrt(tokens)
        if side * side != tokens:
            raise InputError(f"{tokens} tokens a time slice are no square grid: there is no picture of them")
        return side, side


def attention_maps(trained: TrainedRun, source: FeatureSource, ids: Sequence[str]) -> list[AttentionMaps]:
    """The attention of the clips `ids` of a cache or another source of features.

    Raises:
        InputError: the run's method has no attention; or as `TrainedRun.scores` does.
    """
    refuse_without_attention(trained)
    both = trained.over(_maps, source, ids)  # (n, L, S + 1)
    return [AttentionMaps(clip[:, :-1], clip[:, -1]) for clip in both]


def refuse_without_attention(trained: TrainedRun) -> None:
    """InputError where a run of this kind has no audio-guided attention."""
    if trained.config.modality != "audio-visual":
        raise InputError(
            f"{trained.finished.path} has no attention: it learnt from modality '{trained.config.modality}' alone, and "
            "attention is the sound's guidance of the gaze"
        )
    if trained.kind.way != "gradient":
        raise InputError(f"{trained.finished.path} has no attention: method '{trained.kind.name}' learns none")


def _maps(method: BaseMethod, batch: Batch) -> Tensor:
    """Spatial and, behind it, temporal attention. (B, L, S + 1)."""
    heads = getattr(method, "heads", None)
    if not isinstance(heads, Heads):
        raise InputError(f"method '{method.name}' has no audio-guided attention")
    assert batch.store is not None and batch.rows is not None
    attention = attention_pool(
        batch.store,
        batch.rows,
        heads.gate(batch.audio),
        heads.visual_attention.weight,
        heads.visual_attention.bias,
        maps_from=0,
        implementation="plain",
    )
    assert attention.log_spatial is not None
    spatial = attention.log_spatial.exp().mean(dim=3)  # (B, L, S)
    temporal = attention.log_temporal.exp().mean(dim=2)  # (B, L)
    return torch.cat((spatial, temporal[:, :, None]), dim=2)


def moved(before: AttentionMaps, after: AttentionMaps) -> float:
    """The share of the spatial attention that lies elsewhere, 0 to 1: half the sum over tokens of the absolute
    differences, in the mean over slices."""
    return float((after.spatial - before.spatial).abs().sum(dim=1).mean()) / 2
