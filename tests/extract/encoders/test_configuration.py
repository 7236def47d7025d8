"""Configurations from elsewhere: sizes that no model has, or that no machine has room for, are refused unbuilt."""

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from avcil.errors import InputError
from avcil.extract.encoders import configuration, load_audio_encoder, load_visual_encoder
from avcil.extract.encoders import weights as weights_module
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ASTConfig, VideoMAEConfig, ViTConfig

SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 16}
VIDEOMAE = {"model_type": "videomae", **SMALL, "image_size": 32, "num_frames": 4, "tubelet_size": 2, "num_channels": 3}
STRIDES = {"frequency_stride": 16, "time_stride": 16}
AST = {"model_type": "audio-spectrogram-transformer", **SMALL, **STRIDES, "max_length": 64, "num_mel_bins": 32}
VIT = {"model_type": "vit", **SMALL, "image_size": [64, 32], "num_channels": 1}
TIMM = {
    "architecture": "vit_base_patch16_224",
    "model_args": {"embed_dim": 32, "depth": 1, "num_heads": 2},
    "pretrained_cfg": {"input_size": [1, 64, 32]},
}
PROCESSOR = {"image_mean": [0.4] * 3, "image_std": [0.2] * 3, "resample": 2, "size": {"shortest_edge": 32}}
SOUND_PROCESSOR = {"max_length": 64, "num_mel_bins": 32, "sampling_rate": 16_000, "mean": 1.0, "std": 2.0}


def load(folder: Path, config: dict[str, Any], processor: dict[str, Any] | None = None) -> Any:
    """The encoder of these settings with random weights, having encoded a clip of zeros."""
    for name, content in (("config.json", config), ("preprocessor_config.json", processor)):
        if content is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_text(json.dumps(content))
    loader = load_visual_encoder if config.get("model_type") == "videomae" else load_audio_encoder
    encoder: Any = loader(str(folder), random_weights=0)
    plan = encoder.preparation
    if loader is load_visual_encoder:
        encoder.encode(torch.zeros(1, plan.frames, 3, plan.crop, plan.crop, dtype=torch.uint8))
    else:
        encoder.encode(torch.zeros(1, plan.frames, plan.bins))
    return encoder


@pytest.mark.parametrize(
    ("config", "bytes"),
    [
        # VideoMAE-B: 86 million weights, 1568 tokens; 16 frames of 224 x 224.
        (VideoMAEConfig(), 4 * (12 * 12 * 768**2 + (3 * 2 * 16**2 + 1568) * 768 + 16 * 3 * 224**2)),
        # AudioMAE's ViT: 512 tokens of (1024, 128).
        (ViTConfig(image_size=[1024, 128], num_channels=1), 4 * (12 * 12 * 768**2 + (16**2 + 512) * 768 + 1024 * 128)),
        # AST takes overlapping patches, every 10 frames and bins; those at the end are not looked at closely.
        (ASTConfig(), 4 * (12 * 12 * 768**2 + (16**2 + 102 * 12) * 768 + 1024 * 128)),
    ],
)
def test_the_memory_that_a_configuration_asks_for(config, bytes):
    assert configuration.bytes_needed(config) == bytes


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            VIDEOMAE | {"hidden_size": 45_600, "num_hidden_layers": 12, "intermediate_size": 4 * 45_600},
            "asks for 1.2 TB for",
        ),
        (
            VIDEOMAE | {"image_size": 4096, "num_frames": 400, "patch_size": 256},
            "asks for 80.6 GB for weights and one clip",
        ),
        (VIT | {"hidden_size": 10**6}, "asks for 16 TB"),
        (AST | {"intermediate_size": 2**30, "hidden_size": 1024}, "asks for 8.8 TB"),
        (TIMM | {"model_args": {"embed_dim": 10**6, "depth": 12, "num_heads": 2}}, "asks for 576 TB"),
    ],
)
def test_a_model_larger_than_the_machine_is_refused_before_it_is_built(tmp_path, monkeypatch, config, words):
    def built(*_: object, **__: object) -> None:
        raise AssertionError("it is being built")

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64e9))
    monkeypatch.setattr(weights_module, "_building", built)
    with pytest.raises(InputError, match=r"this machine has 64 GB: is its config\.json damaged") as error:
        load(tmp_path, config)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (VIDEOMAE | {"num_hidden_layers": 10**6}, "describes no transformer"),
        (VIDEOMAE | {"num_frames": 10**6}, "cuts a clip into 2000000 tokens"),
        (VIDEOMAE | {"patch_size": 0}, "describes no transformer"),
        (VIDEOMAE | {"tubelet_size": 8}, "cuts a clip into 0 tokens"),
        (VIDEOMAE | {"image_size": [32]}, "describes no transformer"),
        (VIDEOMAE | {"hidden_act": "none"}, "makes no model (KeyError: 'none')"),
        (VIDEOMAE | {"initializer_range": -1.0}, "makes no model (RuntimeError: "),
        (AST | {"time_stride": 0}, "describes no transformer"),
        (VIT | {"image_size": [10**6, 10**6]}, "tokens"),
    ],
)
def test_sizes_and_settings_that_no_model_has(tmp_path, config, words):
    with pytest.raises(InputError) as error:
        load(tmp_path, config)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_json_of_endless_depth_is_one_line(tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps(VIDEOMAE))
    (tmp_path / name).write_text("[" * 200_000)
    with pytest.raises(InputError, match=f"{name} cannot be read as JSON"):
        load_visual_encoder(str(tmp_path), random_weights=0)


VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1,
        3,
        7,
        10**6,
        10**30,
        0.5,
        -1.0,
        1e300,
        "x",
        "",
        [],
        [1],
        [1, 2],
        [0, 0],
        ["a", "b"],
        {"a": 1},
    ]
)
CASES = st.sampled_from([(VIDEOMAE, PROCESSOR), (AST, SOUND_PROCESSOR), (VIT, None), (TIMM, None)])


@settings(max_examples=60, deadline=None)
@given(CASES, st.data())
def test_whatever_a_configuration_says_it_makes_a_model_or_one_line(tmp_path_factory, case, data):
    config, processor = case
    names = [*config, "layer_norm_eps", "hidden_act", "initializer_range", "qkv_bias", "hidden_dropout_prob"]
    names = [name for name in names if name not in ("model_type", "architecture")]
    changed = config | data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=1))
    if processor is not None:
        processor = processor | data.draw(
            st.dictionaries(st.sampled_from([*processor, "crop_size"]), VALUES, max_size=1)
        )
    with contextlib.suppress(InputError):
        load(tmp_path_factory.getbasetemp(), changed, processor)


@pytest.mark.parametrize(
    ("config", "processor", "words"),
    [
        (
            VIDEOMAE,
            PROCESSOR | {"size": {"shortest_edge": 10**7}, "crop_size": 32},
            "shorter side 10000000 pixels, which is none of 1 to 8192",
        ),
        (VIDEOMAE, PROCESSOR | {"image_std": [0.2, 0.0, 0.2]}, "'image_std' must be above 0"),
        (VIDEOMAE, PROCESSOR | {"rescale_factor": "1/255"}, "'rescale_factor' must be a number, not '1/255'"),
        (VIDEOMAE, PROCESSOR | {"resample": [2]}, "'resample' is [2], not one of"),
        (AST, SOUND_PROCESSOR | {"sampling_rate": 0}, "a rate in Hz"),
        (AST, SOUND_PROCESSOR | {"mean": "loud"}, "'mean' must be a number, not 'loud'"),
    ],
)
def test_preparations_that_nothing_can_go_through(tmp_path, config, processor, words):
    with pytest.raises(InputError) as error:
        load(tmp_path, config, processor)
    assert words in str(error.value)
