"""The rooms and their walls: who may import whom, and that stage 2 needs nothing of stage 1."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from avcil.tests.incremental.results.finished import write

ROOT = Path(__file__).parents[1]
GROUND = ("errors", "devices", "files", "options", "threads", "versions", "wording")
MAY_IMPORT = {
    "errors": set[str](),
    "devices": {"errors"},
    "files": {"errors"},
    "options": {"errors"},
    "threads": set(),
    "versions": set(),
    "wording": set(),
    "manifests": {"errors", "files"},
    "cache": {"errors", "files", "threads"},
    "extract": {*GROUND, "manifests", "cache"},
    "incremental": {*GROUND, "manifests", "cache"},
    "demo": {*GROUND, "manifests", "cache", "extract", "incremental"},
}
"""What each room may import of the package besides itself."""
STAGE_ONE_ONLY = ("transformers", "decord", "librosa", "av", "soxr", "PIL", "torchvision", "torchcodec")


def files_of(room: str) -> list[Path]:
    return [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else sorted((ROOT / room).rglob("*.py"))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a file imports, wherever in it."""
    package = ["avcil", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def test_the_reader_of_imports_reads_them():
    found = {name for _, name in imports_of(ROOT / "incremental" / "methods" / "afc.py")}
    assert {
        "torch",
        "avcil.incremental.data.batch",
        "avcil.incremental.config.STRICT",
        "sklearn.cluster",
    } <= found
    assert "avcil.errors.unknown" in {name for _, name in imports_of(ROOT / "incremental" / "methods" / "__init__.py")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_its_walls_let_through(room: str):
    files = files_of(room)
    assert files
    rooms = set(MAY_IMPORT) | {"tests", "benchmarks"}
    for path in files:
        for line, name in imports_of(path):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top == "avcil" and other in rooms - {room}:
                assert other in MAY_IMPORT[room], f"{path.relative_to(ROOT)}:{line} imports {name}"


@pytest.mark.parametrize("room", [room for room in MAY_IMPORT if room not in ("extract", "demo")])
def test_only_stage_one_and_the_demo_name_stage_ones_libraries(room: str):
    for path in files_of(room):
        for line, name in imports_of(path):
            assert name.partition(".")[0] not in STAGE_ONE_ONLY, f"{path.relative_to(ROOT)}:{line} imports {name}"


def test_manifests_know_no_tensor():
    for path in files_of("manifests"):
        assert not {name for _, name in imports_of(path) if name.partition(".")[0] in ("torch", "h5py")}


def test_every_room_is_known_here():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {path.stem for path in ROOT.glob("*.py")}
    assert rooms - {"__init__", "setup"} == set(MAY_IMPORT)


# ------------------------------------------------------------------------------- without stage 1's libraries

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
import pkgutil, importlib, tempfile
from pathlib import Path
import avcil.incremental
for module in pkgutil.walk_packages(avcil.incremental.__path__, "avcil.incremental."):
    if not module.name.endswith(("triton", "triton_kernels")):
        importlib.import_module(module.name)
from avcil.incremental.cli import main
from avcil.tests.incremental import synthetic
folder = Path(tempfile.mkdtemp())
made = synthetic.make(folder / "data")
main(["run", "--method", "av-cil", "--manifest", str(made.manifest), "--cache", str(made.cache), "--out",
      str(folder / "out"), "--classes-per-task", "3", "--epochs", "1", "--device", "cpu"])
"""


@pytest.mark.slow
def test_a_whole_run_of_stage_two_without_stage_ones_libraries():
    done = subprocess.run([sys.executable, "-c", BLOCKED + WHOLE_RUN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Mean Accuracy" in done.stdout


@pytest.mark.parametrize("script", ["avcil.incremental.cli", "avcil.extract.cli"])
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
