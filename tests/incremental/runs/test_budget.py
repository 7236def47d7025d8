"""Bytes of exemplars, statistics and weights against what run folders hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from avcil.cache import FeatureCache
from avcil.incremental.runs.budget import clip_bytes
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("one_thread")


def kept(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "metrics.json").read_text()))


def weights(out: Path) -> int:
    return sum(tensor.nbytes for tensor in load_file(out / "weights" / "task-03.safetensors").values())


def test_exemplars_and_weights_of_a_method_that_replays(made: Made, tmp_path: Path):
    """The most exemplars after any task, at the bytes of the cache's tokens and sound."""
    synthetic.run(made, "av-cil", tmp_path / "out", epochs=1)
    cache = FeatureCache(made.cache)
    most = max(len(file.read_text().splitlines()) - 1 for file in (tmp_path / "out" / "memory").iterdir())
    found = kept(tmp_path / "out")
    visual, audio = cache[cache.ids[0]]
    assert visual is not None and audio is not None
    assert found["exemplar_bytes"] == most * (visual.numel() + audio.numel()) * cache.dtype.itemsize
    assert found["weight_bytes"] == weights(tmp_path / "out")
    assert found["statistics_bytes"] == 0
    assert found["kept_bytes"] == found["exemplar_bytes"] + found["weight_bytes"]


def test_a_head_that_is_solved_keeps_sums_and_no_exemplars(made: Made, tmp_path: Path):
    synthetic.run(made, "ridge", tmp_path / "out")
    found = kept(tmp_path / "out")
    assert found["exemplar_bytes"] == 0
    assert found["statistics_bytes"] > 0
    assert found["weight_bytes"] == weights(tmp_path / "out")
    assert "expected_calibration_error" not in found


def test_fine_tuning_keeps_nothing_and_the_oracle_everything(made: Made, tmp_path: Path):
    synthetic.run(made, "fine-tuning", tmp_path / "fine-tuning", epochs=1)
    synthetic.run(made, "oracle", tmp_path / "oracle", epochs=1)
    assert kept(tmp_path / "fine-tuning")["exemplar_bytes"] == 0
    train = made.manifest.read_text().count(",train")
    cache = FeatureCache(made.cache)
    assert kept(tmp_path / "oracle")["exemplar_bytes"] == train * clip_bytes(cache, "tokens", audio=True)


def test_what_is_read_of_a_clip(made: Made):
    cache = FeatureCache(made.cache)
    sound = cache.audio_shape[-1] * cache.dtype.itemsize
    assert clip_bytes(cache, "none", audio=True) == sound
    assert clip_bytes(cache, "mean", audio=False) == cache.visual_shape[-1] * 4
    assert clip_bytes(cache, "mean", audio=True) == sound + cache.visual_shape[-1] * 4


def test_a_run_says_how_well_its_figures_are_known(made: Made, tmp_path: Path):
    synthetic.run(made, "fine-tuning", tmp_path / "out", epochs=1)
    found = kept(tmp_path / "out")
    low, high = found["test_noise"]["mean_accuracy"]
    assert low <= found["mean_accuracy"] <= high
    assert found["mean_accuracy_noise"] == (high - low) / 2
    assert len(found["test_noise"]["accuracy_by_task"]) == 3
    assert 0 <= found["expected_calibration_error"] <= 100
    assert found["negative_log_likelihood"] > 0
    assert len(found["forgetting_by_task"]) == 2
