"""The demo's encoders: VideoMAE's and AudioMAE's architectures, small, as configurations without weights.

`avcil-extract --random-weights` builds them untrained. Their weights are drawn five times wider than for training
(0.1 in place of 0.02): narrow ones leave a random transformer nearly linear, and its tokens nearly the same for
every clip; wide ones mix what neighbouring patches and moments show, which is what tells one motion from another.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .scenes import SIDE

WIDTH = 192
VIDEO: Mapping[str, Any] = {
    "model_type": "videomae",
    "image_size": SIDE,
    "patch_size": 16,
    "num_frames": 16,
    "tubelet_size": 2,
    "hidden_size": WIDTH,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 4 * WIDTH,
    "initializer_range": 0.1,
    "use_mean_pooling": False,
}
"""Gives (8, 49, 192) a clip."""
AUDIO: Mapping[str, Any] = {
    "model_type": "vit",
    "image_size": [192, 128],
    "num_channels": 1,
    "patch_size": 16,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 4 * WIDTH,
    "initializer_range": 0.1,
    "layer_norm_eps": 1e-6,
}
"""Gives (192,) a clip, from 192 frames of 10 ms in 128 mel bins."""


def write_encoders(directory: Path) -> tuple[Path, Path]:
    """Write the two configurations; gives the folders of the video and of the audio encoder."""
    folders = directory / "video", directory / "audio"
    for folder, config in zip(folders, (VIDEO, AUDIO), strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folders
