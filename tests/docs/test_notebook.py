"""docs/notebook.ipynb, executed as it stands, beside a small demo."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from avcil.docs import pages
from avcil.tests.predict.conftest import Taught, taught
from nbclient import NotebookClient

__all__ = ["taught"]  # a fixture

NOTEBOOK = pages.ROOT / "docs" / "notebook.ipynb"


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_no_output_is_kept_that_nothing_reproduces():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert len(code_cells(notebook)) >= 10
    assert [cell.outputs for cell in code_cells(notebook) if cell.outputs or cell.execution_count] == []


@pytest.fixture(scope="module")
def executed(taught: Taught, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The notebook with its outputs, and the folder in whose docs/ it was executed."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "docs").mkdir()
    (folder / "build").mkdir()
    (folder / "build" / "demo").symlink_to(taught.cache.parent)  # as `make demo` would have left it
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    context = {"metadata": {"path": str(folder / "docs")}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=context).execute()
    return notebook, folder


def shown_by(notebook: Any, code: str) -> list[Any]:
    """The outputs of the one cell that has `code` in it."""
    (cell,) = [cell for cell in code_cells(notebook) if code in cell.source]
    outputs: list[Any] = cell.outputs
    return outputs


@pytest.mark.slow
def test_the_table_has_the_means_of_its_runs(executed: tuple[Any, Path]):
    notebook, folder = executed
    (table,) = shown_by(notebook, "found.table()")
    for method in ("fine-tuning", "av-cil"):
        files = sorted((folder / "build" / "notebook" / method).glob("seed-*/metrics.json"))
        assert [file.parent.name for file in files] == ["seed-0", "seed-1", "seed-2"]
        accuracies = [json.loads(file.read_text())["mean_accuracy"] for file in files]
        line = next(line for line in table["data"]["text/plain"].splitlines() if line.startswith(method))
        assert float(line.split()[1]) == pytest.approx(sum(accuracies) / 3, abs=0.051)


@pytest.mark.slow
@pytest.mark.parametrize("code", ['found.draw("curves"', 'found.draw("matrix"', "draw_attention(recogniser"])
def test_figures_are_shown(executed: tuple[Any, Path], code: str):
    (figure,) = shown_by(executed[0], code)
    assert len(figure["data"]["image/png"]) > 10_000


@pytest.mark.slow
def test_the_run_answers_for_clips_and_files(executed: tuple[Any, Path], taught: Taught):
    notebook, _ = executed
    (answer,) = shown_by(notebook, "recogniser.predict(")
    file, *labels = answer["text"].strip().split("  ")
    assert Path(file).stem in taught.data.manifest.read_text()
    assert len(labels) == 3
    (maps,) = shown_by(notebook, "maps.spatial.argmax")
    assert maps["text"].startswith("patches (8, 49) slices (8,)")
    patches = [(int(row), int(column)) for row, column in re.findall(r"\((\d), (\d)\)", maps["text"].splitlines()[1])]
    assert len(patches) == 8
    assert all(row < 7 and column < 7 for row, column in patches)


@pytest.mark.slow
def test_nothing_is_complained_of(executed: tuple[Any, Path]):
    outputs = [output for cell in code_cells(executed[0]) for output in cell.outputs]
    said = "".join(output["text"] for output in outputs if output.get("name") == "stderr")
    # tqdm, which transformers imports, wants ipywidgets.
    lines = [line for line in said.splitlines() if "IProgress" not in line and "notebook_tqdm" not in line]
    assert lines == []
