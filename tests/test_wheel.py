"""What a user installs: a wheel, in an environment that knows nothing of the repository."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALLED = ("__init__.py", "errors.py", "manifests", "cache", "extract", "incremental", "demo", "interface", "predict")
SUFFIXES = (".py", ".csv", ".toml", ".typed", ".html", ".css")
NOT_INSTALLED = ("tests", "benchmarks", "docs", "setup.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git tracks or would, so that nothing is left in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    listing = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "source" / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(folder / "source")], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; the libraries it depends on are borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


def run(environment: Path, *words: str) -> str:
    """What an installed command prints, run where the repository is not."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(environment / "bin" / words[0]), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=environment, env=outside)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_package_and_data_file_is_in_the_wheel(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in INSTALLED:
        sources = [ROOT / folder] if folder.endswith(".py") else (ROOT / folder).rglob("*")
        wanted = {str(path.relative_to(ROOT)) for path in sources if path.suffix in SUFFIXES}
        assert wanted
        assert {f"avcil/{name}" for name in wanted} <= names
    examples = {f"avcil/examples/{path.name}" for path in (ROOT / "docs" / "examples").glob("*.py")}
    assert "avcil/examples/logit_replay.py" in examples <= names
    assert not [name for name in names if name.split("/")[1] in NOT_INSTALLED]
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


@pytest.mark.slow
def test_the_commands_run_from_the_wheel(environment: Path):
    where = run(environment, "python", "-c", "import avcil; print(avcil.__file__)")
    assert str(environment) in where
    for script in ("avcil", "avcil-extract", "avcil-incr"):
        assert run(environment, script, "--help").startswith("Usage:")
        assert "version" in run(environment, script, "--version")
    printed = run(environment, "avcil-incr", "run", "--method", "av-cil", "--dataset", "ave", "--print-config")
    config = json.loads(printed)
    assert (config["classes_per_task"], config["memory_size"], config["epochs"]) == (7, 340, 200)
    assert "av-cil" in run(environment, "avcil-incr", "methods")
    example = run(environment, "python", "-c", "from avcil.examples import logit_replay; print(logit_replay.__file__)")
    assert "logit-replay" in run(environment, "avcil-incr", "methods", "--plugin", example.strip())
