from pathlib import Path

import avcil
import pytest
from avcil.errors import InputError
from avcil.predict import draw_attention
from avcil.predict.attention_cli import main
from avcil.predict.attention_figure import save
from avcil.tests.predict.conftest import Taught
from click.testing import CliRunner

CLIP = "left-rising-test-00"


def test_a_notebook_gets_the_figure_that_the_command_draws(taught: Taught, tmp_path: Path):
    words = ["--run", str(taught.av_cil), "--clip", CLIP, "--tasks", "1,3", "--out", str(tmp_path / "command.png")]
    assert CliRunner().invoke(main, words).exit_code == 0
    save(draw_attention(avcil.load(taught.av_cil), CLIP, tasks=[1, 3]), tmp_path / "notebook.png")
    assert (tmp_path / "notebook.png").read_bytes() == (tmp_path / "command.png").read_bytes()


def test_several_runs_stand_side_by_side(taught: Taught):
    run = avcil.load(taught.av_cil)
    alone, both = draw_attention(run, CLIP, tasks=[1]), draw_attention([run, run], CLIP, tasks=[1])
    pictures = [len(figure.axes[0].images) for figure in (alone, both)]
    assert pictures == [16, 32]  # of each of 8 slices the frame and the map


def test_what_has_no_attention_is_refused(taught: Taught):
    with pytest.raises(InputError, match="has no attention: method 'ridge' learns none"):
        draw_attention(avcil.load(taught.ridge), CLIP)
    with pytest.raises(InputError, match="no clip"):
        draw_attention(avcil.load(taught.av_cil))
