import json
from pathlib import Path

import numpy as np
import torch
from avcil.demo.encoders import write_encoders
from avcil.extract.encoders import load_audio_encoder, load_visual_encoder


def test_configurations_make_the_true_architectures_with_random_weights(tmp_path: Path):
    video, audio = write_encoders(tmp_path)
    assert {path.name for folder in (video, audio) for path in folder.iterdir()} == {"config.json"}
    visual_encoder = load_visual_encoder(str(video), random_weights=0)
    audio_encoder = load_audio_encoder(str(audio), random_weights=0)
    assert type(visual_encoder.model).__name__ == "VideoMAEModel"  # type: ignore[attr-defined]
    assert type(audio_encoder.model).__name__ == "ViTModel"  # type: ignore[attr-defined]
    assert visual_encoder.feature_shape == (8, 49, 192)
    assert audio_encoder.feature_shape == (192,)
    assert visual_encoder.identity["random_weights"]
    assert audio_encoder.identity["random_weights"]
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (2, 16, 3, 112, 112), np.uint8))
    sound = torch.from_numpy(random.normal(0, 0.5, (2, 192, 128)).astype(np.float32))
    assert visual_encoder.encode(pixels).shape == (2, 8, 49, 192)
    assert audio_encoder.encode(sound).shape == (2, 192)


def test_the_audio_image_is_full_of_sound(tmp_path: Path):
    """The clip's 2 s give 198 frames of 25 ms every 10 ms: the image must not be filled up with silence."""
    _, audio = write_encoders(tmp_path)
    frames, bins = json.loads((audio / "config.json").read_text())["image_size"]
    assert frames <= 1 + (2000 - 25) // 10
    assert frames % 16 == bins % 16 == 0


def test_written_twice_is_the_same(tmp_path: Path):
    first = [(folder / "config.json").read_bytes() for folder in write_encoders(tmp_path)]
    assert [(folder / "config.json").read_bytes() for folder in write_encoders(tmp_path)] == first
