"""What a run keeps from task to task, in bytes: exemplars, statistics, weights."""

import math

from torch import Tensor

from ...cache import FeatureCache
from ..data.residence import Visual
from ..learning.method import BaseMethod
from ..learning.state import Progress
from .problem import Data

MEAN_BYTES = 4
"""A channel of a mean over tokens, which is float32 whatever the cache stores."""


def clip_bytes(cache: FeatureCache, visual: Visual, *, audio: bool) -> int:
    """Bytes of one clip's features, as far as a method reads them: tokens as the cache stores them, or their mean."""
    found = math.prod(cache.audio_shape) * cache.dtype.itemsize if audio else 0
    if visual == "tokens":
        found += math.prod(cache.visual_shape) * cache.dtype.itemsize
    elif visual == "mean":
        found += cache.visual_shape[-1] * MEAN_BYTES
    return found


def bytes_kept(kind: type[BaseMethod], data: Data, progress: Progress) -> dict[str, int]:
    """The entries of metrics.json, as `measures.MEASURES` explains them."""
    if kind.replay == "everything":
        exemplars = data.table.splits.count("train")
    elif kind.uses_memory or kind.replay != "none":
        exemplars = max(sum(map(len, memory.values())) for memory in progress.memories)
    else:
        exemplars = 0
    state = {name: value for name, value in (progress.finished or {}).items() if isinstance(value, Tensor)}
    statistics = sum(value.nbytes for name, value in state.items() if name.startswith(kind.only_for_learning))
    weights = sum(value.nbytes for value in state.values()) - statistics
    of_clips = exemplars * clip_bytes(data.cache, data.visual, audio=data.config.modality != "visual")
    return {
        "exemplar_bytes": of_clips,
        "statistics_bytes": statistics,
        "weight_bytes": weights,
        "kept_bytes": of_clips + statistics + weights,
    }
