"""Weights & Biases without a network: what it is told, in its offline mode."""

import json
from pathlib import Path

import pytest
from avcil.tests.incremental.synthetic import Made

from .told import resumed

pytestmark = pytest.mark.usefixtures("one_thread")
pytest.importorskip("wandb")


def test_a_resumed_run_goes_on_under_its_id(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    resumed(made, tmp_path / "out", "wandb")
    identity = json.loads((tmp_path / "out" / "trackers.json").read_text())["wandb"]
    sessions = sorted((tmp_path / "out" / "wandb").glob("offline-run-*"))
    assert sessions and all(session.name.endswith(identity) for session in sessions)
    assert all(list(session.glob("*.wandb")) for session in sessions)
