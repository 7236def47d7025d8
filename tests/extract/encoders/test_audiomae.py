"""AudioMAE checkpoints in their published forms load to exactly what the architecture computes."""

import pickle
from pathlib import Path

import pytest
import torch
from avcil.errors import InputError
from avcil.extract.encoders import load_audio_encoder
from avcil.extract.preparation.encoder_input import AudioPreparation
from avcil.tests.extract.encoders.audio_checkpoints import (
    BINS,
    FRAMES,
    TIMM_CONFIG,
    WIDTH,
    computed,
    encoder_weights,
    spectrograms,
    with_decoder,
    write_pth,
    write_timm,
)


def assert_computes(encoder, expected):
    features = encoder.encode(spectrograms())
    assert encoder.feature_shape == (WIDTH,) == tuple(features.shape[1:])
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.double(), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old pickle"])
def test_the_authors_checkpoint_gives_the_computed_features(tmp_path, zipped):
    weights = encoder_weights()
    path = write_pth(tmp_path / "pretrained.pth", with_decoder(weights), _use_new_zipfile_serialization=zipped)
    encoder = load_audio_encoder(path)
    assert_computes(encoder, computed(weights, spectrograms()))
    assert isinstance(encoder.preparation, AudioPreparation)
    assert (encoder.preparation.frames, encoder.preparation.bins) == (FRAMES, BINS)
    assert (encoder.preparation.mean, encoder.preparation.std) == (-4.2677393, 4.5689974)


def test_every_tensor_shows_in_the_features():
    weights = encoder_weights()
    reference = computed(weights, spectrograms(1))
    for name in weights:
        changed = computed(weights | {name: weights[name] * 1.2}, spectrograms(1))
        assert (changed - reference).abs().max() > 1e-4, name


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
def test_the_timm_port_is_the_same_model(tmp_path, file):
    weights = encoder_weights()
    port = weights | {"norm.weight": torch.ones(WIDTH), "norm.bias": torch.ones(WIDTH)}
    directory = write_timm(tmp_path / "port", port, file=file)
    encoder = load_audio_encoder(directory)
    assert_computes(encoder, computed(weights, spectrograms()))
    authors = load_audio_encoder(write_pth(tmp_path / "pretrained.pth", with_decoder(weights)))
    assert encoder.identity == authors.identity
    by_file = load_audio_encoder(f"{directory}/{file}")
    assert by_file.identity == encoder.identity


def test_a_fine_tuned_port_brings_its_own_last_norm(tmp_path):
    weights = encoder_weights()
    scale, shift = torch.linspace(0.5, 2, WIDTH), torch.linspace(-1, 1, WIDTH)
    tuned = weights | {"fc_norm.weight": scale, "fc_norm.bias": shift, "head.weight": torch.ones(527, WIDTH)}
    encoder = load_audio_encoder(write_timm(tmp_path / "tuned", tuned))
    assert_computes(encoder, computed(weights, spectrograms(), scale.double(), shift.double()))
    plain = load_audio_encoder(write_timm(tmp_path / "plain", weights))
    assert plain.identity["weights_sha256"] != encoder.identity["weights_sha256"]


def broken(kind):
    weights = with_decoder(encoder_weights())
    if kind == "missing":
        del weights["blocks.1.attn.qkv.bias"]
    elif kind == "missing block":
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("blocks.0.attn")}
    elif kind == "left over":
        weights["blocks.0.ls1.gamma"] = torch.ones(WIDTH)
    elif kind == "shape":
        weights["blocks.1.mlp.fc1.weight"] = torch.ones(7, WIDTH)
    elif kind == "half a norm":
        weights["fc_norm.weight"] = torch.ones(WIDTH)
    return weights


FAULTS = [
    ("missing", r"lacks weights: blocks\.1\.attn\.qkv\.bias;"),
    ("missing block", r"lacks weights: .*blocks\.0\.attn\..* and 1 more;"),
    ("left over", r"no part uses: blocks\.0\.ls1\.gamma;"),
    ("shape", r"'blocks\.1\.mlp\.fc1\.weight' has shape \(7, 192\), not \(256, 192\)"),
    ("half a norm", r"lacks weights: fc_norm\.bias;"),
]


@pytest.mark.parametrize(("kind", "message"), FAULTS, ids=[kind for kind, _ in FAULTS])
@pytest.mark.parametrize("form", ["pth", "timm"])
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, kind, message, form):
    weights = broken(kind)
    path = write_pth(tmp_path / "a.pth", weights) if form == "pth" else write_timm(tmp_path / "a", weights)
    with pytest.raises(InputError, match=message) as refusal:
        load_audio_encoder(path)
    assert "\n" not in str(refusal.value)


class Payload:
    """Unpickling this touches a file: the harmless stand-in for an attack."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("form", ["torch", "torch, beside the weights", "plain pickle"])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path, form):
    mark, path = tmp_path / "mark", tmp_path / "pretrained.pth"
    payload = Payload(mark)
    if form == "plain pickle":
        path.write_bytes(pickle.dumps({"model": payload}))
    else:
        torch.save({"model": encoder_weights(), "args": payload} if "beside" in form else payload, path)
    with pytest.raises(InputError, match=r"would run code when read|damaged or no PyTorch checkpoint") as refusal:
        load_audio_encoder(str(path))
    assert "\n" not in str(refusal.value)
    assert not mark.exists()
    pickle.loads(pickle.dumps(payload))
    assert mark.exists()  # the payload does work


def test_the_forbidden_name_is_told(tmp_path):
    torch.save({"model": Payload(tmp_path / "mark")}, tmp_path / "pretrained.pth")
    with pytest.raises(InputError, match=r"it asks for [\w.]+\) and has been refused"):
        load_audio_encoder(str(tmp_path / "pretrained.pth"))


@pytest.mark.parametrize("content", [b"hello, I am text\n", b"", b"\x80\x02garbage", b"PK\x03\x04 not really a zip"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "pretrained.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"pretrained\.pth is damaged or no PyTorch checkpoint"):
        load_audio_encoder(str(path))


def test_a_cut_off_download_is_refused(tmp_path):
    path = Path(write_pth(tmp_path / "pretrained.pth", with_decoder(encoder_weights())))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="is damaged or no PyTorch checkpoint"):
        load_audio_encoder(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"cls_token": 3}}, r"holds more than named tensors \(cls_token\)"),
        ([torch.ones(2)], "holds no named tensors"),
        ({"model": {"weight": torch.ones(2)}}, "is no AudioMAE checkpoint: it has no cls_token, pos_embed"),
        ({"model": encoder_weights() | {"cls_token": torch.ones(1, 1, 200)}}, "200 channels wide"),
        ({"model": encoder_weights() | {"pos_embed": torch.ones(1, 1213, WIDTH)}}, "1212 patches of 16 make no image"),
    ],
)
def test_other_content_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=message):
        load_audio_encoder(str(tmp_path / "a.pth"))


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "resnet50"},
        {"pretrained_cfg": {}},
        {"pretrained_cfg": {"input_size": [1, 64]}},
        {"model_args": {"depth": "deep"}},
    ],
)
def test_a_timm_configuration_of_another_kind_is_refused(tmp_path, change):
    directory = write_timm(tmp_path / "port", encoder_weights(), TIMM_CONFIG | change)
    with pytest.raises(InputError, match=r"a plain timm ViT .* is needed"):
        load_audio_encoder(directory)


def test_random_weights_take_the_architecture_from_any_form(tmp_path):
    weights = encoder_weights()
    directory = write_timm(tmp_path / "port", weights)
    (tmp_path / "port" / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        load_audio_encoder(directory)
    by_config = load_audio_encoder(directory, random_weights=9)
    by_shapes = load_audio_encoder(write_pth(tmp_path / "a.pth", weights), random_weights=9)
    assert by_config.identity == by_shapes.identity
    assert by_config.identity["random_weights"] is True
    assert torch.equal(by_config.encode(spectrograms()), by_shapes.encode(spectrograms()))
    assert "RANDOM weights (seed 9)" in by_config.title
    other = load_audio_encoder(directory, random_weights=10)
    assert not torch.equal(by_config.encode(spectrograms()), other.encode(spectrograms()))


def test_bfloat16_still_averages_in_float32(tmp_path):
    path = write_pth(tmp_path / "a.pth", with_decoder(encoder_weights()))
    quick = load_audio_encoder(path, precision="bfloat16").encode(spectrograms())
    exact = load_audio_encoder(path).encode(spectrograms())
    assert quick.dtype == torch.float32
    assert torch.cosine_similarity(quick, exact, dim=-1).min() > 0.999
    assert not torch.equal(quick, quick.bfloat16().float())  # not rounded to bfloat16 at the end


@pytest.mark.slow
def test_the_published_base_model_takes_1024_frames():
    encoder = load_audio_encoder("gaunernst/vit_base_patch16_1024_128.audiomae_as2m", random_weights=0)
    assert tuple(encoder.encode(torch.zeros(1, 1024, 128)).shape) == (1, 768)
