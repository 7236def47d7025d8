"""CLAP's audio tower, from tiny checkpoints as transformers writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avcil.errors import InputError
from avcil.extract.encoders import load_audio_encoder
from avcil.extract.preparation.encoder_input import prepare_sound
from transformers import ClapAudioConfig, ClapAudioModel, ClapConfig, ClapFeatureExtractor, ClapModel

AUDIO: dict[str, Any] = {
    "hidden_size": 32, "depths": [1, 1], "num_attention_heads": [2, 2], "num_hidden_layers": 2,
    "patch_embeds_hidden_size": 16, "spec_size": 64, "num_mel_bins": 16, "window_size": 4, "patch_stride": [4, 4],
}  # fmt: skip
TEXT: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 99,
}


def saved(folder, truncation="rand_trunc", *, alone=False, fused=False):
    torch.manual_seed(2)
    audio: dict[str, Any] = {**AUDIO, "enable_fusion": fused, **({"fusion_type": "aff_2d"} if fused else {})}
    model: Any
    if alone:
        model = ClapAudioModel(ClapAudioConfig(**audio))
    else:
        model = ClapModel(ClapConfig(text_config=TEXT, audio_config=audio, projection_dim=8))
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand(value.shape) * 0.05)
    model.eval().save_pretrained(folder)
    extractor = ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, hop_length=80, max_length_s=2, fft_window_size=256, frequency_max=4000,
        truncation=truncation,
    )  # fmt: skip
    extractor.save_pretrained(folder)
    return str(folder), model, extractor


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
@pytest.mark.parametrize("seconds", [0.7, 2.0])
def test_the_image_is_the_extractors(tmp_path, truncation, seconds):
    folder, _, extractor = saved(tmp_path / "clap", truncation)
    encoder: Any = load_audio_encoder(folder)
    sound = np.random.default_rng(0).standard_normal(int(8000 * seconds)).astype(np.float32) * 0.2
    expected = extractor(sound, sampling_rate=8000, return_tensors="pt")["input_features"][0, 0]
    waveform = torch.from_numpy(prepare_sound(sound, encoder.preparation))
    torch.testing.assert_close(encoder.image(waveform[None])[0], expected.float(), atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize(("alone", "fused"), [(False, False), (True, False), (False, True)])
def test_the_feature_is_the_towers_pooled_output(tmp_path, alone, fused):
    folder, model, _ = saved(tmp_path / "clap", alone=alone, fused=fused)
    encoder: Any = load_audio_encoder(folder)
    waveform = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(1))
    image = encoder.image(waveform)[:, None].expand(-1, 4 if fused else 1, -1, -1)
    tower = model if alone else model.audio_model
    with torch.no_grad():
        expected = tower(input_features=image, is_longer=torch.zeros(2, 1, dtype=torch.bool)).pooler_output
    torch.testing.assert_close(encoder.encode(waveform), expected.flatten(1), atol=1e-5, rtol=1e-4)
    assert encoder.feature_shape == (32,)
    torch.testing.assert_close(encoder.encode(waveform)[1:], encoder.encode(waveform[1:]), atol=1e-5, rtol=1e-4)


def test_what_is_missing_is_named(tmp_path):
    folder, *_ = saved(tmp_path / "clap")
    for name in ("preprocessor_config.json", "processor_config.json"):
        (Path(folder) / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"has no preprocessor_config\.json"):
        load_audio_encoder(folder)
    (Path(folder) / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no"):
        load_audio_encoder(folder)
