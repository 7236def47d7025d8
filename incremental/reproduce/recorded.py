"""Values computed by the released code of AV-CIL (parity.json), and what they were computed from, rebuilt from seeds.

L = 8 slices, S = 4 tokens, D = 768 channels; 3 tasks of 2 classes; ten clips: six new ones of the last
task, then four from memory. Weights are (out, in). The draws and their order are those of the values in
parity.json.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

VALUES: dict[str, Any] = json.loads((Path(__file__).with_name("parity.json")).read_text())
"""By method and name; `about` says how they were made."""
SEED: int = VALUES["seed"]
SLICES, TOKENS, CHANNELS = 8, 4, 768
CLASSES, OLD_CLASSES, PROXIES = 6, 4, 10
NEW_CLIPS = 6
LABELS = torch.tensor([4, 5, 4, 5, 5, 4, 0, 1, 2, 3])
OLD_TASKS = (slice(0, 2), slice(2, 4))

MAPS = ("audio_projection", "visual_projection", "attention_audio", "attention_visual")
"""The order in which the maps' weights are drawn."""


def expected(*path: str) -> Tensor:
    """A value of parity.json as a float32 tensor: expected("forward", "logits")."""
    value: Any = VALUES
    for key in path:
        value = value[key]
    return torch.tensor(value)


def features() -> tuple[Tensor, Tensor]:
    """Visual (10, 8, 4, 768), tokens ordered slice by slice, and audio (10, 768)."""
    state = np.random.RandomState(SEED + 2)
    visual = _drawn(state, (len(LABELS), SLICES * TOKENS, CHANNELS), 1.0)
    audio = _drawn(state, (len(LABELS), CHANNELS), 1.0)
    return visual.view(len(LABELS), SLICES, TOKENS, CHANNELS), audio


def student_weights() -> dict[str, Tensor]:
    """The third task's student: 6 classes, with a linear classifier."""
    return _weights(SEED, CLASSES, bias=True)


def teacher_weights() -> dict[str, Tensor]:
    """The previous task's model: drawn anew, 4 classes."""
    return _weights(SEED + 1, OLD_CLASSES, bias=True)


def afc_student_weights() -> dict[str, Tensor]:
    """AFC's student: classifier.weight holds ten proxies a class, the first 40 rows old, the last 20 new."""
    return _weights(SEED, CLASSES * PROXIES, bias=False)


def afc_teacher_weights() -> dict[str, Tensor]:
    """AFC's teacher, with proxies for the new classes too."""
    return _weights(SEED + 1, CLASSES * PROXIES, bias=False)


def herding_features() -> NDArray[np.float64]:
    """Twenty normalised features of 16 channels, float64."""
    drawn = np.random.RandomState(SEED + 3).standard_normal((20, 16))
    normalised: NDArray[np.float64] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return normalised


def _weights(seed: int, rows: int, *, bias: bool) -> dict[str, Tensor]:
    state = np.random.RandomState(seed)
    weights = {}
    for name in MAPS:
        weights[f"{name}.weight"] = _drawn(state, (CHANNELS, CHANNELS), 0.03)
        weights[f"{name}.bias"] = _drawn(state, (CHANNELS,), 0.1)
    weights["classifier.weight"] = _drawn(state, (rows, CHANNELS), 0.05)
    if bias:
        weights["classifier.bias"] = _drawn(state, (rows,), 0.1)
    return weights


def _drawn(state: np.random.RandomState, shape: tuple[int, ...], scale: float) -> Tensor:
    return torch.from_numpy((state.standard_normal(shape) * scale).astype(np.float32))
