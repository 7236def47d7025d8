"""Ridge against the reference implementation's recorded scores and plain least squares."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avcil.incremental.learning.closed_form.packed import Packed
from avcil.incremental.learning.closed_form.penalties import ridge_weights
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.methods import closed_form_clips
from avcil.tests.incremental.synthetic import Made
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("one_thread")

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "data" / "ridge.json").read_text())["after"]


def one_hot(labels: Any, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.as_tensor(labels), classes).double()


def test_scores_are_those_that_the_reference_implementation_gives():
    clips = closed_form_clips.make()
    gram, moments = torch.zeros(32, 32, dtype=torch.float64), torch.zeros(32, 6, dtype=torch.float64)
    for number, ((rows, labels), recorded) in enumerate(zip(clips.train, RECORDED, strict=True), start=1):
        features = torch.from_numpy(rows).double()
        gram += features.T @ features
        moments += features.T @ one_hot(labels, 6)
        seen = 2 * number
        test = torch.from_numpy(clips.test[0][: 10 * seen]).double()
        scores = test @ ridge_weights(Packed.of(gram), moments[:, :seen], recorded["ridge"])
        torch.testing.assert_close(
            scores[:5], torch.tensor(recorded["scores_first_rows"], dtype=torch.float64), rtol=1e-9, atol=1e-12
        )
        assert float(scores.sum()) == pytest.approx(recorded["scores_sum"], rel=1e-9)
        assert float(scores.norm()) == pytest.approx(recorded["scores_norm"], rel=1e-9)
        assert scores.argmax(dim=1).tolist() == recorded["predictions"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return synthetic.make(tmp_path_factory.mktemp("ridge"), 6, counts={"train": 9, "val": 0, "test": 4})


def weights_after(out: Path, task: int) -> torch.Tensor:
    return load_file(out / "weights" / f"task-{task:02d}.safetensors")["weights"]


@pytest.mark.parametrize("modality", ["audio-visual", "audio", "visual"])
def test_weights_after_the_last_task_are_those_of_all_clips_at_once(made: Made, tmp_path: Path, modality: str):
    """Joint least squares by numpy, on features standardised with the first task's clips."""
    synthetic.run(made, "ridge", tmp_path / "out", modality=modality, penalty=0.1)
    ids = [row["video_id"] for row in csv.DictReader(made.manifest.open()) if row["split"] == "train"]
    labels = np.array([int(clip[1:3]) for clip in ids])
    rows = []
    for clip, label in zip(ids, labels, strict=True):
        visual, audio = synthetic.features(clip, int(label))
        parts = {
            "audio-visual": (visual.mean(dim=(0, 1)), audio),
            "visual": (visual.mean(dim=(0, 1)),),
            "audio": (audio,),
        }
        rows.append(torch.cat(parts[modality]).double().numpy())
    every = np.stack(rows)
    first = every[labels < 2]
    every = (every - first.mean(axis=0)) / first.std(axis=0)
    strength = 0.1 * np.trace(every.T @ every) / every.shape[1]
    stacked = np.concatenate([every, np.sqrt(strength) * np.eye(every.shape[1])])
    targets = np.concatenate([np.eye(6)[labels], np.zeros((every.shape[1], 6))])
    joint = np.linalg.lstsq(stacked, targets, rcond=None)[0]
    np.testing.assert_allclose(weights_after(tmp_path / "out", 3).numpy(), joint, rtol=1e-6, atol=1e-7)


def test_batches_and_seeds_change_nothing_but_rounding(made: Made, tmp_path: Path):
    synthetic.run(made, "ridge", tmp_path / "a", evaluation_batch_size=1)
    synthetic.run(made, "ridge", tmp_path / "b", evaluation_batch_size=50, seed=7)
    for task in (1, 2, 3):
        torch.testing.assert_close(
            weights_after(tmp_path / "a", task), weights_after(tmp_path / "b", task), rtol=1e-8, atol=1e-10
        )


def test_a_constant_channel_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain = synthetic.features

    def constant(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        visual, audio = plain(*given)
        audio[3] = 2.5
        return visual, audio

    monkeypatch.setattr(synthetic, "features", constant)
    made = synthetic.make(tmp_path / "data", 4)
    synthetic.run(made, "ridge", tmp_path / "out", modality="audio")
    weights = weights_after(tmp_path / "out", 2)
    assert torch.isfinite(weights).all()
    assert weights[3].tolist() == [0.0] * 4


def test_sums_are_resumed_from_and_no_part_of_the_weights(made: Made, tmp_path: Path):
    saved: list[set[str]] = []
    synthetic.run(made, "ridge", tmp_path / "out", lambda progress: saved.append(set(progress.finished or {})))
    kept = set(load_file(tmp_path / "out" / "weights" / "task-03.safetensors"))
    assert saved[-1] - kept == {"sums.counts", "sums.totals", "sums.moments"}
    assert kept == {"weights", "inputs.centre", "inputs.deviation"}


def test_what_was_chosen_is_in_the_history(made: Made, tmp_path: Path):
    synthetic.run(made, "ridge", tmp_path / "out")
    lines = list(csv.DictReader((tmp_path / "out" / "history.csv").open()))
    assert [(line["task"], line["epoch"]) for line in lines] == [("1", "0"), ("2", "0"), ("3", "0")]
    assert all(float(line["penalty"]) in {10.0**power for power in range(-8, 3)} for line in lines)
    assert all(0 < float(line["leave_one_out_error"]) < 1 for line in lines)


def test_the_released_rule_for_the_penalty_is_an_option(made: Made, tmp_path: Path):
    synthetic.run(made, "ridge", tmp_path / "out", penalty_choice="held-out")
    lines = list(csv.DictReader((tmp_path / "out" / "history.csv").open()))
    assert all(float(line["absolute_penalty"]) in {10.0**power for power in range(-8, 9)} for line in lines)
    assert all(0 < float(line["held_out_error"]) < 1 for line in lines)


def test_whitened_features_have_no_covariance_within_the_first_tasks_classes(made: Made, tmp_path: Path):
    """Up to the shrinkage, which is the same factor for all but a multiple of the identity."""
    synthetic.run(made, "ridge", tmp_path / "out", features="whitened")
    state = load_file(tmp_path / "out" / "weights" / "task-03.safetensors")
    whitening = state["inputs.whitening"]
    torch.testing.assert_close(whitening, whitening.T)
    assert bool((torch.linalg.eigvalsh(whitening) > 0).all())
    synthetic.run(made, "ridge", tmp_path / "raw", features="raw")
    assert not any(
        name.startswith("inputs") for name in load_file(tmp_path / "raw" / "weights" / "task-01.safetensors")
    )
