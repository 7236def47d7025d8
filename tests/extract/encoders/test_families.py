"""The two loaders: families found by listing the package, and what they refuse."""

import json
from typing import Any, cast

import pytest
from avcil.errors import InputError
from avcil.extract import encoders
from avcil.extract.encoders import load_audio_encoder, load_visual_encoder


def test_every_family_of_the_package_is_found():
    found = {(family.modality, family.name) for family in encoders.families()}
    assert found == {
        ("visual", "videomae"),
        ("visual", "vivit"),
        ("visual", "timesformer"),
        ("visual", "image-transformer"),
        ("audio", "clap"),
        ("audio", "audiomae"),
        ("audio", "audio-spectrogram-transformer"),
        ("audio", "vit-spectrogram"),
    }


def test_adding_an_encoder_is_adding_a_file(tmp_path, monkeypatch):
    (tmp_path / "ear.py").write_text(
        "from avcil.extract.encoders.family import Family\n"
        "FAMILY = Family('ear', 'audio', lambda source: source.kind == 'ear', lambda source, _: source, {})\n"
    )
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "ear"}))
    monkeypatch.setattr(encoders, "__path__", [*encoders.__path__, str(tmp_path)])
    encoders.families.cache_clear()
    try:
        assert cast(Any, load_audio_encoder(str(tmp_path / "model"))).kind == "ear"
    finally:
        encoders.families.cache_clear()


@pytest.mark.parametrize("load", [load_visual_encoder, load_audio_encoder])
def test_a_model_of_another_kind_is_refused(tmp_path, load):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match=r"is of kind 'bert', which no (visual|audio) encoder here can hold"):
        load(str(tmp_path))


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="unknown precision 'bfloat61': did you mean 'bfloat16'"):
        load_visual_encoder(precision="bfloat61", random_weights=0)
