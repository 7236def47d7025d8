"""Ridge against the reference implementation's recorded scores, plain least squares, and refitting clip by clip."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.methods.ridge import leave_one_out_errors, ridge_weights
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
        scores = test @ ridge_weights(gram, moments[:, :seen], recorded["ridge"])
        torch.testing.assert_close(
            scores[:5], torch.tensor(recorded["scores_first_rows"], dtype=torch.float64), rtol=1e-9, atol=1e-12
        )
        assert float(scores.sum()) == pytest.approx(recorded["scores_sum"], rel=1e-9)
        assert float(scores.norm()) == pytest.approx(recorded["scores_norm"], rel=1e-9)
        assert scores.argmax(dim=1).tolist() == recorded["predictions"]


def test_leaving_a_clip_out_equals_refitting_without_it():
    """Also where other clips, of earlier tasks, are in the sums."""
    draw = torch.Generator().manual_seed(0)
    every = torch.randn(30, 6, generator=draw, dtype=torch.float64)
    targets = one_hot(torch.randint(0, 3, (30,), generator=draw), 3)
    gram, moments = every.T @ every, every.T @ targets
    penalties = (1e-4, 0.3, 20.0)
    found = leave_one_out_errors(gram, moments, every[18:], targets[18:], penalties)
    for penalty, error in zip(penalties, found, strict=True):
        strength = penalty * float(gram.diagonal().mean())
        residuals = []
        for left_out in range(18, 30):
            kept = [clip for clip in range(30) if clip != left_out]
            weights = ridge_weights(every[kept].T @ every[kept], every[kept].T @ targets[kept], strength)
            residuals.append(targets[left_out] - every[left_out] @ weights)
        assert error == pytest.approx(float(torch.stack(residuals).square().mean()), rel=1e-10)


def test_a_penalty_that_explains_a_clip_by_itself_alone_is_never_chosen():
    """More channels than clips and hardly any penalty: the leave-one-out residual is 0 / 0."""
    features = torch.eye(3, 5, dtype=torch.float64)
    gram, moments = features.T @ features, features.T @ one_hot([0, 1, 0], 2)
    errors = leave_one_out_errors(gram, moments, features, one_hot([0, 1, 0], 2), (1e-12, 1.0))
    assert errors[0] == float("inf")
    assert np.isfinite(errors[1])


def test_a_matrix_that_cannot_be_factorised_names_penalty_and_condition():
    gram = torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
    with pytest.raises(InputError, match=r"penalty 1e-08: the condition number is 3\.0e\+00") as error:
        ridge_weights(gram, torch.ones(2, 1, dtype=torch.float64), 1e-8)
    assert "\n" not in str(error.value)


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


def test_what_was_chosen_is_in_the_history(made: Made, tmp_path: Path):
    synthetic.run(made, "ridge", tmp_path / "out")
    lines = list(csv.DictReader((tmp_path / "out" / "history.csv").open()))
    assert [(line["task"], line["epoch"]) for line in lines] == [("1", "0"), ("2", "0"), ("3", "0")]
    assert all(float(line["penalty"]) in {10.0**power for power in range(-8, 3)} for line in lines)
    assert all(0 < float(line["leave_one_out_error"]) < 1 for line in lines)
