"""What contracts over imports cannot hold: stage 2 needs nothing of stage 1, commands start without heavy libraries."""

import subprocess
import sys
from pathlib import Path

import pytest
from avcil.files import locked
from avcil.tests.incremental.results.finished import write

STAGE_ONE_ONLY = ("transformers", "decord", "librosa", "av", "soxr", "PIL", "torchvision", "torchcodec")

BLOCKED = f"""
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {STAGE_ONE_ONLY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
for name in {STAGE_ONE_ONLY!r}:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{{name}} could be imported")
"""

WHOLE_RUN = """
import pkgutil, importlib
from pathlib import Path
import avcil.incremental
for module in pkgutil.walk_packages(avcil.incremental.__path__, "avcil.incremental."):
    if not module.name.endswith(("triton", "triton_kernels", "report.page")) and ".figures." not in module.name:
        importlib.import_module(module.name)
from avcil.incremental.cli import main
from avcil.tests.incremental import synthetic
folder = Path(sys.argv[1])
made = synthetic.make(folder / "data")
main(["run", "--method", "av-cil", "--manifest", str(made.manifest), "--cache", str(made.cache), "--out",
      str(folder / "out"), "--classes-per-task", "3", "--epochs", "1", "--device", "cpu"])
"""


@pytest.mark.slow
def test_a_whole_run_of_stage_two_without_stage_ones_libraries(tmp_path: Path):
    command = [sys.executable, "-c", BLOCKED + WHOLE_RUN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Mean Accuracy" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("extract", "run", "--dataset", "ave", "--videos", ".", "--cache", "cache"),
        ("extract", "plan", "--dataset", "ave", "--videos", "."),
        ("predict", "run", "clip.mp4"),
        ("demo", "--out", "demo"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_without_the_extra_one_line_says_what_to_install(words: tuple[str, ...], tmp_path: Path):
    (tmp_path / "clip.mp4").touch()
    program = BLOCKED + f"from avcil.cli import main\nmain({list(words)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: this needs ")
    assert done.stderr.endswith("which is not installed: pip install 'avcil[extract]'\n")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("script", ["avcil.cli", "avcil.predict.cli", "avcil.incremental.cli", "avcil.extract.cli"])
def test_a_console_script_starts_without_the_heavy_libraries(script: str):
    """`--help` has to come at once: PyTorch alone takes seconds to import."""
    heavy = ("torch", "transformers", "pandas", "sklearn", "scipy", "librosa", "h5py")
    program = f"""
import sys
from {script} import main
try:
    main(["--help"])
except SystemExit as ended:
    assert not ended.code, ended.code
assert not [name for name in {heavy!r} if name in sys.modules], [name for name in {heavy!r} if name in sys.modules]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage:")


def test_results_are_read_without_the_heavy_libraries(tmp_path: Path):
    """`table` and `show` have to start at once, and on machines without PyTorch."""
    write(tmp_path / "0", seed=0)
    write(tmp_path / "1", seed=1)
    program = f"""
import importlib, pkgutil, sys
import avcil.incremental.results
from avcil.incremental.cli import main
for module in pkgutil.walk_packages(avcil.incremental.results.__path__, "avcil.incremental.results."):
    importlib.import_module(module.name)
for words in (["table", {str(tmp_path)!r}], ["show", {str(tmp_path / "0")!r}]):
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code, ended.code
heavy = [name for name in ("torch", "pandas", "scipy.stats", "sklearn", "h5py") if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Mean Accuracy" in done.stdout


def test_what_is_wrong_with_a_folder_or_a_plugin_is_told_before_pytorch_is_imported(tmp_path: Path):
    """It takes a second and more, and a cluster's file system makes ten of it."""
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    write(tmp_path / "taken", "lwf", batch_size=64)
    write(tmp_path / "seeds" / "seed-0", "lwf")
    (tmp_path / "bad.py").write_text("class A(:\n")
    for name, seed in (("busy", 0), ("seed-7", 7)):
        (write(tmp_path / name, "lwf", seed=seed).path / "metrics.json").unlink()
    words = ["--method", "lwf", "--dataset", "ave", "--cache", "c", "--out"]
    cases = [
        ([*words, str(tmp_path / "file")], "is a file"),
        ([*words, str(tmp_path / "thesis")], "is not empty and holds no run"),
        ([*words, str(tmp_path / "seeds")], "holds runs of several seeds: give --seeds"),
        ([*words, str(tmp_path / "taken"), "--batch-size", "32"], "holds a run with batch_size = 64, not 32"),
        ([*words, str(tmp_path / "taken"), "--method", "ridge"], "holds a run with method = 'lwf', not 'ridge'"),
        ([*words, str(tmp_path / "taken"), "--seeds", "2"], "taken holds a single run; choose another --out"),
        (
            [*words, str(tmp_path / "seeds"), "--seeds", "2", "--method", "ridge"],
            "seed-0 holds a run with method = 'lwf'",
        ),
        ([*words, str(tmp_path / "busy")], "another process runs in"),
        ([*words, str(tmp_path), "--seeds", "1", "--seed", "7"], "another process runs in"),
        ([*words, str(tmp_path / "new"), "--plugin", str(tmp_path / "gone.py")], "gone.py: no such file"),
        ([*words, str(tmp_path / "new"), "--plugin", str(tmp_path / "bad.py")], "bad.py, line 1: SyntaxError"),
    ]
    program = f"""
import contextlib, io, sys
from avcil.incremental.cli import main
for words, said in {cases!r}:
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard):
        try:
            main(["run", *words])
        except SystemExit as ended:
            assert ended.code == 2, ended.code
    assert said in heard.getvalue(), heard.getvalue()
    heavy = [name for name in ("torch", "pandas", "scipy", "sklearn", "h5py") if name in sys.modules]
    assert not heavy, (words, heavy)
"""
    with locked(tmp_path / "busy" / ".lock", "busy"), locked(tmp_path / "seed-7" / ".lock", "busy"):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_begins_without_what_it_does_not_need(tmp_path: Path):
    """PyTorch's compiler and the libraries of tables and statistics take longer to import than PyTorch itself."""
    heavy = ("torch._dynamo", "torch._inductor", "sympy", "pandas", "scipy", "sklearn", "matplotlib")
    program = f"""
import sys
from pathlib import Path
from avcil.incremental.cli import main
from avcil.incremental.learning.gradient import GradientLearning
from avcil.tests.incremental import synthetic
folder = Path({str(tmp_path)!r})
made = synthetic.make(folder / "data")
before = {{name for name in {heavy!r} if name in sys.modules}}
step = GradientLearning._step

def second(self, *args, **named):
    if hasattr(self, "_stepped"):
        found = [name for name in {heavy!r} if name in sys.modules and name not in before]
        sys.exit(f"imported: {{found}}" if found else 77)
    self._stepped = True
    return step(self, *args, **named)

GradientLearning._step = second
main(["run", "--method", "av-cil", "--manifest", str(made.manifest), "--cache", str(made.cache), "--out",
      str(folder / "out"), "--classes-per-task", "3", "--epochs", "3", "--device", "cpu"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 77, done.stderr


def test_windows_is_told_where_to_go_instead_of_a_missing_module():
    program = "import sys; sys.platform = 'win32'\nimport avcil"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: avcil runs on Linux and macOS, not on Windows itself: install it within WSL 2"
    )
