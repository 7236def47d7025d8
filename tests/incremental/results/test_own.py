import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import load_runs
from avcil.incremental.results.metrics import FIGURES, Predictions
from avcil.incremental.results.own import own_figures, rescored, saved_predictions

FIGURE_FILE = """
import numpy as np

def worst_class(after):
    last = after[-1]
    return 100 * min(np.mean(last.right[last.labels == label]) for label in np.unique(last.labels))

metrics = {"worst class": worst_class, "tasks": len, "undefined": lambda after: None}
"""


def plugin_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def test_saved_answers_give_the_figures_of_the_run_again(reference: Callable[[str], Path]):
    """So they are the answers from which metrics.json was made."""
    (run,) = load_runs(reference("av-cil"))
    after = saved_predictions(run)
    assert [len(answers.clips) for answers in after] == [6, 12, 18]
    by_predictions = [figure for figure in FIGURES.values() if figure.of == "predictions"]
    assert len(by_predictions) >= 3
    for figure in by_predictions:
        assert figure.work(after) == pytest.approx(run.metrics[figure.name])
    assert set(after[0].clips) < set(after[1].clips) < set(after[2].clips) == set(range(18))


def test_own_figures_are_worked_out(reference: Callable[[str], Path], tmp_path: Path):
    (run,) = load_runs(reference("av-cil"))
    plugin = plugin_of(tmp_path, FIGURE_FILE)
    last: Predictions = saved_predictions(run)[-1]
    worst = min(100 * np.mean((last.predicted == label)[last.labels == label]) for label in range(6))
    values = rescored(run, own_figures(plugin), plugin)
    assert values == {"worst class": pytest.approx(worst), "tasks": 3.0, "undefined": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metrics = {}", "has to have a dictionary metrics"),
        ("metrics = [len]", "has to have a dictionary metrics"),
        ("metrics = {'x': 3}", "has to have a dictionary metrics"),
        ("metrics = {3: len}", "has to have a dictionary metrics"),
        ("other = 1", "has to have a dictionary metrics"),
        ("\nimport nothing_of_the_kind", "mine.py, line 2: ModuleNotFoundError: "),
        ("metrics = {", "mine.py, line 1: SyntaxError: "),
    ],
)
def test_a_file_without_figures(text: str, words: str, tmp_path: Path):
    with pytest.raises(InputError) as raised:
        own_figures(plugin_of(tmp_path, text))
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("lambda after: 1 / 0", r"figure 'x' of .*, line 1: ZeroDivisionError: division by zero$"),
        ("lambda after: float('nan')", r"figure 'x' of .* has become nan: give None where it is not defined$"),
        ("lambda after: 'good'", r"figure 'x' of .* has to be a number or None, not str$"),
    ],
)
def test_a_figure_that_fails(function: str, words: str, reference: Callable[[str], Path], tmp_path: Path):
    (run,) = load_runs(reference("ridge"))
    plugin = plugin_of(tmp_path, f"metrics = {{'x': {function}}}")
    with pytest.raises(InputError, match=words):
        rescored(run, own_figures(plugin), plugin)


def test_predictions_that_are_gone_or_damaged(reference: Callable[[str], Path], tmp_path: Path):
    shutil.copytree(reference("ridge"), tmp_path / "run")
    (run,) = load_runs(tmp_path / "run")
    file = tmp_path / "run" / "predictions.csv"
    whole = file.read_text()
    file.write_text("\n".join(whole.splitlines()[:7]) + "\n")
    with pytest.raises(InputError, match=r"it has the answers after 1 task, and the run had 3$"):
        saved_predictions(run)
    file.write_text(whole.replace("class 00", "class xx", 1))
    with pytest.raises(InputError, match=r"predictions.csv is damaged: KeyError: 'class xx'$"):
        saved_predictions(run)
    file.unlink()
    with pytest.raises(InputError, match=r"predictions.csv cannot be read \(No such file"):
        saved_predictions(run)
