"""Tiny checkpoints as transformers writes them: our features are the model's, on pixels as its processor makes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from avcil.errors import InputError
from avcil.extract.encoders import load_visual_encoder
from avcil.extract.preparation.encoder_input import prepare_frames
from PIL import Image

SIZES: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SIDE = 32
FRAMES = np.random.default_rng(0).integers(0, 256, (8, 45, 70, 3), dtype=np.uint8)


def image_processor(**settings):
    return {
        "do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255,
        "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4], "resample": 3, **settings,
    }  # fmt: skip


CROPPED = image_processor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_center_crop=True)
SQUEEZED = image_processor(size={"height": SIDE, "width": SIDE})


def text(**more: Any) -> Any:
    return {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, **more}


def checkpoints() -> dict[str, Any]:
    t: Any = transformers
    small: dict[str, Any] = {**SIZES, "image_size": SIDE, "patch_size": 16}
    both = {"vocab_size": 99, "projection_dim": 8}
    clip = t.CLIPConfig(text_config=text(vocab_size=99), vision_config=small, projection_dim=8)
    siglip = t.SiglipConfig(text_config=text(**both), vision_config=small)
    return {
        "clip": (t.CLIPModel(clip), lambda m: m.vision_model, 1, CROPPED),
        "clip-vision": (t.CLIPVisionModel(t.CLIPVisionConfig(**small)), lambda m: m, 1, CROPPED),
        "siglip": (t.SiglipModel(siglip), lambda m: m.vision_model, 0, SQUEEZED),
        "siglip-vision": (t.SiglipVisionModel(t.SiglipVisionConfig(**small)), lambda m: m, 0, SQUEEZED),
        "dinov2": (t.Dinov2Model(t.Dinov2Config(**{**small, "image_size": 64})), lambda m: m, 1, CROPPED),
        "dinov2-registers": (
            t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**small, num_register_tokens=3)),
            lambda m: m,
            4,
            CROPPED,
        ),
        "vit": (t.ViTForImageClassification(t.ViTConfig(**small)), lambda m: m.vit, 1, SQUEEZED),
    }


IMAGE_MODELS = tuple(checkpoints())


def saved(folder, model, processor):
    generator = torch.Generator().manual_seed(3)
    for value in model.state_dict().values():  # nothing may be left at zero, which could hide a tensor that is lost
        if value.is_floating_point():
            value.add_(torch.randn(value.shape, generator=generator) * 0.05)
    model.eval().save_pretrained(folder)
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps(processor))
    return str(folder)


def as_processed(processor, frames):
    """(T, 3, H, W) as PIL and numpy make it of the settings."""
    images = []
    for frame in frames:
        image, size = Image.fromarray(frame), processor["size"]
        if "height" in size:
            image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        else:
            width = int(size["shortest_edge"] * image.width / image.height)
            image = image.resize((width, size["shortest_edge"]), Image.Resampling.BICUBIC)
            left = (width - SIDE) // 2
            image = image.crop((left, 0, left + SIDE, SIDE))
        images.append(np.asarray(image).transpose(2, 0, 1))
    values = torch.from_numpy(np.stack(images)).double() * processor["rescale_factor"]
    mean, std = (torch.tensor(processor[name]).double().view(3, 1, 1) for name in ("image_mean", "image_std"))
    return ((values - mean) / std).float()


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_an_image_model_gives_the_patch_tokens_of_each_frame(tmp_path, name):
    model, vision, before, processor = checkpoints()[name]
    encoder = load_visual_encoder(saved(tmp_path / "model", model, processor))
    pixels = torch.from_numpy(prepare_frames(FRAMES, encoder.preparation))
    with torch.no_grad():
        expected = vision(model)(as_processed(processor, FRAMES)).last_hidden_state[:, before:]
    assert encoder.feature_shape == tuple(expected.shape) == (8, 4, 16)
    torch.testing.assert_close(encoder.encode(pixels[None])[0], expected, atol=1e-5, rtol=1e-4)
    assert len(encoder.identity["weights_sha256"]) == 64


def video_models() -> dict[str, Any]:
    t: Any = transformers
    return {
        "vivit": t.VivitForVideoClassification(
            t.VivitConfig(**SIZES, image_size=SIDE, num_frames=4, tubelet_size=[2, 16, 16])
        ),
        "timesformer": t.TimesformerForVideoClassification(
            t.TimesformerConfig(**SIZES, image_size=SIDE, num_frames=4, patch_size=16)
        ),
    }


@pytest.mark.parametrize(("name", "slices"), [("vivit", 2), ("timesformer", 4)])
def test_a_video_model_gives_its_tokens_by_time_slice(tmp_path, name, slices):
    model = video_models()[name]
    encoder = load_visual_encoder(saved(tmp_path / "model", model, CROPPED))
    assert encoder.feature_shape == (slices, 4, 16)
    pixels = torch.from_numpy(prepare_frames(FRAMES[:4], encoder.preparation))
    with torch.no_grad():
        tokens = getattr(model, name)(as_processed(CROPPED, FRAMES[:4])[None]).last_hidden_state[0, 1:]
    expected = tokens.view(2, 4, 16) if name == "vivit" else tokens.view(4, 4, 16).transpose(0, 1)
    torch.testing.assert_close(encoder.encode(pixels[None])[0], expected, atol=1e-5, rtol=1e-4)


def test_timesformer_without_layers_keeps_frames_in_their_slices(tmp_path):
    """The order of its tokens: without layers, a frame that changes changes its own slice only."""
    config = transformers.TimesformerConfig(
        **{**SIZES, "num_hidden_layers": 1}, image_size=SIDE, num_frames=4, patch_size=16
    )
    model = transformers.TimesformerModel(config)
    encoder: Any = load_visual_encoder(saved(tmp_path / "model", model, CROPPED))
    encoder.model.encoder.layer = torch.nn.ModuleList()
    pixels = torch.from_numpy(prepare_frames(FRAMES[:4], encoder.preparation))[None]
    other = pixels.clone()
    other[:, 2] = 0
    differs = (encoder.encode(pixels) != encoder.encode(other)).any(dim=(0, 2, 3))
    assert differs.tolist() == [False, False, True, False]


def test_vivit_rescales_with_its_offset(tmp_path):
    processor = {
        **CROPPED,
        "rescale_factor": 1 / 127.5,
        "offset": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    encoder = load_visual_encoder(saved(tmp_path / "model", video_models()["vivit"], processor))
    settings = encoder.preparation
    value = (255 * settings.rescale - settings.mean[0]) / settings.std[0]
    assert value == pytest.approx((255 / 127.5 - 1 - 0.5) / 0.5)


@pytest.mark.parametrize("name", ["clip-vision", "vit"])
def test_incomplete_checkpoints_are_refused_by_name(tmp_path, name):
    import safetensors.torch

    model, *_, processor = checkpoints()[name]
    folder = saved(tmp_path / "model", model, processor)
    tensors = safetensors.torch.load_file(f"{folder}/model.safetensors")
    lost = next(key for key in tensors if "mlp.fc1.weight" in key or "intermediate" in key)
    safetensors.torch.save_file({k: v for k, v in tensors.items() if k != lost}, f"{folder}/model.safetensors")
    with pytest.raises(InputError, match="lacks weights"):
        load_visual_encoder(folder)
    Path(f"{folder}/model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        load_visual_encoder(folder)
    assert load_visual_encoder(folder, random_weights=3).identity["random_weights"] is True


def test_a_checkpoint_without_processor_is_refused(tmp_path):
    model, *_, processor = checkpoints()["clip-vision"]
    folder = saved(tmp_path / "model", model, processor)
    Path(f"{folder}/preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"has no preprocessor_config\.json"):
        load_visual_encoder(folder)
    assert load_visual_encoder(folder, random_weights=1).feature_shape == (8, 4, 16)
