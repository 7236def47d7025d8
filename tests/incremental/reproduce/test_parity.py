"""`reproduce parity`: every recorded value is looked at, and one that differs is told."""

import math

import pytest
import torch
from avcil.incremental.cli import main
from avcil.incremental.learning import losses
from avcil.incremental.reproduce.parity import Check, checks, off
from click.testing import CliRunner


def test_all_values_agree_and_the_command_says_so():
    result = CliRunner().invoke(main, ["reproduce", "parity"])
    assert result.exit_code == 0, result.output
    found = checks()
    assert f"all {len(found)} values agree" in result.stdout
    assert all(one.agrees for one in found)
    assert result.stdout.count("agrees") == len(found)
    assert len({one.name for one in found}) == len(found)


def test_a_value_that_differs_is_told_and_the_status_says_so(monkeypatch: pytest.MonkeyPatch):
    right = losses.instance_audio_visual_similarity
    monkeypatch.setattr(losses, "instance_audio_visual_similarity", lambda scores: 1.001 * right(scores))
    result = CliRunner().invoke(main, ["reproduce", "parity"])
    assert result.exit_code == 1
    assert "values differ: I-AVSS (eq. 6) by a relative 1.0e-03" in result.stderr
    assert "DIFFERS" in result.stdout


def test_off_is_relative_to_the_largest_value_and_nan_agrees_with_nothing():
    assert off(torch.tensor([1.0, 4.0]), torch.tensor([1.5, -2.0])) == pytest.approx(3.0)
    assert not Check("x", math.nan, 1.0).agrees
    assert Check("x", 0.5, 0.5).agrees


def test_parity_takes_no_options():
    result = CliRunner().invoke(main, ["reproduce", "parity", "--epochs", "2"])
    assert result.exit_code == 2
    assert "takes no options" in result.stderr
