"""VideoMAE directories in the published format load to exactly what the architecture computes."""

import json
import subprocess
import sys
from typing import cast

import pytest
import safetensors.torch
import torch
from avcil.errors import InputError
from avcil.extract.encoders import load_visual_encoder
from avcil.extract.encoders.videomae import VideoMAE
from avcil.tests.extract.encoders.plain_transformer import block, draw, layer_norm, sinusoids
from transformers import VideoMAEModel

# 4 frames of 32 x 32, tubelets of 2, patches of 16: L = 2 slices, S = 4 tokens.
FRAMES, TUBELET, SIZE, PATCH = 4, 2, 32, 16
WIDTH, HEADS, LAYERS, INNER = 24, 2, 2, 40
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONFIG = {
    "architectures": ["VideoMAEForPreTraining"],
    "model_type": "videomae",
    "image_size": SIZE,
    "patch_size": PATCH,
    "num_frames": FRAMES,
    "tubelet_size": TUBELET,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "qkv_bias": True,
    "use_mean_pooling": False,
    "torch_dtype": "float16",  # what the file says about its type must not decide ours
}
# As the published checkpoint has it, in the spelling of 2022.
PROCESSOR = {
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "VideoMAEFeatureExtractor",
    "image_mean": list(MEAN),
    "image_std": list(STD),
    "resample": 2,
    "size": SIZE,
}


def encoder_weights() -> dict[str, torch.Tensor]:
    """The encoder under the names of the published files, without their `videomae.`."""
    generator = torch.Generator().manual_seed(7)
    w = {
        "embeddings.patch_embeddings.projection.weight": draw(generator, WIDTH, 3, TUBELET, PATCH, PATCH, scale=0.05),
        "embeddings.patch_embeddings.projection.bias": draw(generator, WIDTH),
        "layernorm.weight": 1 + draw(generator, WIDTH),
        "layernorm.bias": draw(generator, WIDTH),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        for norm in ("layernorm_before", "layernorm_after"):
            w[f"{name}.{norm}.weight"] = 1 + draw(generator, WIDTH)
            w[f"{name}.{norm}.bias"] = draw(generator, WIDTH)
        for part in ("query", "key", "value"):
            w[f"{name}.attention.attention.{part}.weight"] = draw(generator, WIDTH, WIDTH)
        w[f"{name}.attention.attention.q_bias"] = draw(generator, WIDTH)
        w[f"{name}.attention.attention.v_bias"] = draw(generator, WIDTH)
        shapes = {"attention.output": (WIDTH, WIDTH), "intermediate": (INNER, WIDTH), "output": (WIDTH, INNER)}
        for part, shape in shapes.items():
            w[f"{name}.{part}.dense.weight"] = draw(generator, *shape)
            w[f"{name}.{part}.dense.bias"] = draw(generator, shape[0])
    return w


def published(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A pre-training checkpoint: the encoder with its prefix, and a decoder beside it."""
    decoder = {
        "mask_token": torch.ones(1, 1, 8),
        "encoder_to_decoder.weight": torch.ones(8, WIDTH),
        "decoder.decoder_layers.0.attention.attention.q_bias": torch.ones(8),
        "decoder.norm.weight": torch.ones(8),
        "decoder.head.bias": torch.ones(8),
    }
    return {f"videomae.{name}": tensor for name, tensor in weights.items()} | decoder


def write(directory, tensors, config=CONFIG, processor=PROCESSOR, file="model.safetensors"):
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    if file == "model.safetensors":
        safetensors.torch.save_file(tensors, directory / file)
    elif file == "pytorch_model.bin":
        torch.save(tensors, directory / file)
    else:
        names = sorted(tensors)
        parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
        for part, chosen in parts.items():
            safetensors.torch.save_file({name: tensors[name] for name in chosen}, directory / part)
        weight_map = {name: part for part, chosen in parts.items() for name in chosen}
        (directory / file).write_text(json.dumps({"weight_map": weight_map}))
    return str(directory)


def clips(count=2):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, FRAMES, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def computed(weights, pixels, final_norm=True):
    """The features of `pixels`, written out: (B, L, S, D)."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    values = (pixels.double() / 255 - torch.tensor(MEAN).double().view(3, 1, 1)) / torch.tensor(STD).double().view(
        3, 1, 1
    )
    kernel = w["embeddings.patch_embeddings.projection.weight"]
    tokens = []
    for slice_ in range(FRAMES // TUBELET):
        for row in range(SIZE // PATCH):
            for column in range(SIZE // PATCH):
                tube = values[
                    :,
                    slice_ * TUBELET : (slice_ + 1) * TUBELET,
                    :,
                    row * PATCH : (row + 1) * PATCH,
                    column * PATCH : (column + 1) * PATCH,
                ]  # (B, tubelet, 3, patch, patch)
                tokens.append(torch.einsum("btchw,dcthw->bd", tube, kernel))
    x = torch.stack(tokens, dim=1) + w["embeddings.patch_embeddings.projection.bias"]
    x = x + sinusoids(x.shape[1], WIDTH)
    for layer in range(LAYERS):
        own = {name.removeprefix(f"encoder.layer.{layer}."): t for name, t in w.items() if f"layer.{layer}." in name}
        parts = {
            "norm1": "layernorm_before",
            "q": "attention.attention.query",
            "k": "attention.attention.key",
            "v": "attention.attention.value",
            "proj": "attention.output.dense",
            "norm2": "layernorm_after",
            "fc1": "intermediate.dense",
            "fc2": "output.dense",
        }
        named = {
            f"{short}.{kind}": own[f"{long}.{kind}"]
            for short, long in parts.items()
            for kind in ("weight", "bias")
            if f"{long}.{kind}" in own
        }
        named["q.bias"] = own["attention.attention.q_bias"]  # keys have no bias
        named["v.bias"] = own["attention.attention.v_bias"]
        x = block(x, named, HEADS, eps=1e-12)
    if final_norm:
        x = layer_norm(x, w["layernorm.weight"], w["layernorm.bias"], eps=1e-12)
    return x.view(len(pixels), FRAMES // TUBELET, (SIZE // PATCH) ** 2, WIDTH)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"])
def test_a_published_directory_gives_the_computed_features(tmp_path, file):
    weights = encoder_weights()
    encoder = load_visual_encoder(write(tmp_path / "videomae", published(weights), file=file))
    features = encoder.encode(clips())
    assert encoder.feature_shape == (2, 4, WIDTH) == tuple(features.shape[1:])
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.double(), computed(weights, clips()), atol=2e-5, rtol=1e-5)
    assert encoder.preparation.mean == MEAN
    assert encoder.preparation.std == STD
    assert (encoder.preparation.frames, encoder.preparation.crop) == (FRAMES, SIZE)


def test_every_published_tensor_shows_in_the_features(tmp_path):
    """Guards the comparison above: were some weight without influence, a wrong one would go unseen."""
    weights = encoder_weights()
    reference = computed(weights, clips(1))
    for name in weights:
        changed = computed(weights | {name: weights[name] * 1.1}, clips(1))
        assert (changed - reference).abs().max() > 1e-4, name


def test_a_classification_checkpoint_with_mean_pooling_has_no_final_norm(tmp_path):
    weights = encoder_weights()
    del weights["layernorm.weight"], weights["layernorm.bias"]
    tensors = {f"videomae.{name}": tensor for name, tensor in weights.items()}
    tensors |= {"classifier.weight": torch.ones(5, WIDTH), "fc_norm.weight": torch.ones(WIDTH)}
    encoder = load_visual_encoder(write(tmp_path / "v", tensors, CONFIG | {"use_mean_pooling": True}))
    expected = computed(weights, clips(), final_norm=False)
    torch.testing.assert_close(encoder.encode(clips()).double(), expected, atol=2e-5, rtol=1e-5)


def test_names_without_prefix_and_with_the_new_bias_names_are_the_same_model(tmp_path):
    weights = encoder_weights()
    new_names = {
        name.replace(".q_bias", ".query.bias").replace(".v_bias", ".value.bias"): tensor
        for name, tensor in weights.items()
    }
    one = load_visual_encoder(write(tmp_path / "one", published(weights)))
    two = load_visual_encoder(write(tmp_path / "two", new_names, file="pytorch_model.bin"))
    assert torch.equal(one.encode(clips()), two.encode(clips()))
    assert one.identity == two.identity  # neither the place nor the form of the file is part of it


def test_identity_changes_with_a_single_weight(tmp_path):
    weights = encoder_weights()
    one = load_visual_encoder(write(tmp_path / "one", published(weights))).identity
    weights["encoder.layer.1.attention.attention.v_bias"][3] += 1e-6
    two = load_visual_encoder(write(tmp_path / "two", published(weights))).identity
    assert {key for key in one if one[key] != two[key]} == {"weights_sha256"}
    assert json.loads(json.dumps(one))["architecture"]["hidden_size"] == WIDTH


def test_biases_lost_by_the_library_are_noticed(tmp_path, monkeypatch):
    """Some 5.x versions of transformers load q and v biases as zeros without a word."""
    directory = write(tmp_path / "v", published(encoder_weights()))
    true_load = VideoMAEModel.from_pretrained.__func__  # type: ignore[attr-defined]

    def loses_biases(cls, *args, **kwargs):
        model, report = true_load(cls, *args, **kwargs)
        for name, parameter in model.named_parameters():
            if "query.bias" in name or "q_bias" in name or "value.bias" in name or "v_bias" in name:
                parameter.data.zero_()
        return model, report

    monkeypatch.setattr(VideoMAEModel, "from_pretrained", classmethod(loses_biases))
    with pytest.raises(InputError, match=r"transformers [\d.]+ does not load .*bias.* as the file has it"):
        load_visual_encoder(directory)


def test_biases_that_are_zero_in_the_file_are_no_error(tmp_path):
    weights = encoder_weights()
    for name in weights:
        if name.endswith(("q_bias", "v_bias")):
            weights[name] = torch.zeros(WIDTH)
    encoder = load_visual_encoder(write(tmp_path / "v", published(weights)))
    torch.testing.assert_close(encoder.encode(clips()).double(), computed(weights, clips()), atol=2e-5, rtol=1e-5)


def test_half_precision_files_are_computed_in_float32(tmp_path):
    halves = {name: tensor.half() for name, tensor in encoder_weights().items()}
    encoder = load_visual_encoder(write(tmp_path / "v", published(halves)))
    features = encoder.encode(clips())
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.double(), computed(halves, clips()), atol=2e-5, rtol=1e-5)


def broken(kind):
    tensors = published(encoder_weights())
    if kind == "missing":
        del tensors["videomae.encoder.layer.1.attention.attention.q_bias"]
    elif kind == "left over":
        tensors["videomae.encoder.layer.1.gate.weight"] = torch.ones(3)
    elif kind == "shape":
        tensors["videomae.encoder.layer.0.intermediate.dense.weight"] = torch.ones(INNER, WIDTH + 1)
    return tensors


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"lacks weights: encoder\.layer\.1\.attention\.attention\.(q_bias|query\.bias);"),
        ("left over", r"no part uses: encoder\.layer\.1\.gate\.weight;"),
        ("shape", r"intermediate\.dense\.weight' has shape \(40, 25\), the configuration asks for \(40, 24\)"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, kind, message):
    with pytest.raises(InputError, match=message) as refusal:
        load_visual_encoder(write(tmp_path / "v", broken(kind)))
    assert "\n" not in str(refusal.value)


def test_a_configuration_without_weights_needs_the_word_random(tmp_path):
    directory = tmp_path / "v"
    write(directory, published(encoder_weights()))
    (directory / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no weights .*--random-weights"):
        load_visual_encoder(str(directory))
    encoder = load_visual_encoder(str(directory), random_weights=5)
    assert "RANDOM weights (seed 5)" in encoder.title
    assert encoder.identity["random_weights"] is True
    assert encoder.identity["seed"] == 5
    assert "weights_sha256" not in encoder.identity


def test_weights_without_processor_settings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no preprocessor_config\.json"):
        load_visual_encoder(write(tmp_path / "v", published(encoder_weights()), processor=None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": 5}, "describes no transformer"),
        ({"hidden_size": "wide"}, r"config\.json is no VideoMAEConfig|describes no transformer"),
        ({"num_channels": 4}, "takes 4 channels"),
        ({"image_size": [32, 48]}, "square frames"),
        ({"num_frames": 5}, "square frames that patches and tubelets divide"),
    ],
)
def test_configurations_that_cannot_be_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_visual_encoder(write(tmp_path / "v", {}, CONFIG | change, None), random_weights=0)


def test_random_weights_depend_on_the_seed_alone(tmp_path):
    directory = write(tmp_path / "v", published(encoder_weights()), processor=None)
    torch.manual_seed(1)
    one = load_visual_encoder(directory, random_weights=3).encode(clips())
    after_one = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after_one)  # and leave the program's own draws alone
    torch.manual_seed(2)
    assert torch.equal(load_visual_encoder(directory, random_weights=3).encode(clips()), one)
    assert not torch.equal(load_visual_encoder(directory, random_weights=4).encode(clips()), one)


@pytest.mark.slow
def test_random_weights_are_the_same_in_another_process(tmp_path):
    directory = write(tmp_path / "v", {}, processor=None)
    code = (
        "import sys, torch; from avcil.extract.encoders import load_visual_encoder;"
        "x = torch.arange(4 * 3 * 32 * 32).remainder(251).to(torch.uint8).view(1, 4, 3, 32, 32);"
        "print(load_visual_encoder(sys.argv[1], random_weights=0).encode(x).double().sum().item())"
    )
    run = subprocess.run([sys.executable, "-c", code, directory], capture_output=True, text=True, check=True)
    pixels = torch.arange(4 * 3 * 32 * 32).remainder(251).to(torch.uint8).view(1, 4, 3, 32, 32)
    here = load_visual_encoder(directory, random_weights=0).encode(pixels).double().sum().item()
    assert float(run.stdout) == here


def test_bfloat16_computes_in_bfloat16_and_says_so(tmp_path):
    directory = write(tmp_path / "v", published(encoder_weights()))
    exact = load_visual_encoder(directory)
    quick = load_visual_encoder(directory, precision="bfloat16")
    features = quick.encode(clips())
    assert features.dtype == torch.bfloat16
    assert (quick.identity["precision"], exact.identity["precision"]) == ("bfloat16", "float32")
    assert quick.identity["weights_sha256"] == exact.identity["weights_sha256"]
    similarity = torch.cosine_similarity(features.float(), exact.encode(clips()), dim=-1)
    assert similarity.min() > 0.999


def test_nothing_can_be_trained_and_dropout_is_off(tmp_path):
    directory = write(tmp_path / "v", published(encoder_weights()), CONFIG | {"hidden_dropout_prob": 0.5})
    encoder = load_visual_encoder(directory)
    model = cast(VideoMAE, encoder).model
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(encoder.encode(clips()), encoder.encode(clips()))
    assert encoder.encode(clips()).is_inference()
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.slow
def test_the_published_base_model_gives_eight_slices_of_196_tokens():
    encoder = load_visual_encoder("MCG-NJU/videomae-base", random_weights=0)
    pixels = torch.zeros(1, 16, 3, 224, 224, dtype=torch.uint8)
    assert tuple(encoder.encode(pixels).shape) == (1, 8, 196, 768)
    block = (3 * 768 * 768 + 2 * 768) + (768 * 768 + 768) + (2 * 768 * 3072 + 3072 + 768) + 4 * 768
    tubelets = 768 * 3 * 2 * 16 * 16 + 768
    count = sum(parameter.numel() for parameter in cast(VideoMAE, encoder).model.parameters())
    assert count == tubelets + 12 * block + 2 * 768
