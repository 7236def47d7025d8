"""Methods from the package, from a file of one's own, from an installed package; and what is wrong with some."""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.files import sha256_of
from avcil.incremental import methods as room
from avcil.incremental.config import described
from avcil.incremental.methods import all_methods, find_method, load_plugin, methods_in
from avcil.incremental.reproduce import paper
from avcil.incremental.results.cause import facts_of
from avcil.incremental.runs.call import configure, run
from avcil.incremental.runs.provenance import code_of
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import METHODS, Made

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "logit_replay.py"
OWN = """
from avcil.incremental import Method
class Own(Method):
    name = "own"
    paper = "none"
"""

SETTINGS = """
import dataclasses
from avcil.incremental import Settings
from pydantic.dataclasses import dataclass
@dataclasses.dataclass(frozen=True)
class of_the_library(Settings):
    weight: float = 1.0
class undecorated(Settings):
    weight: float = 1.0
@dataclass(frozen=True)
class shadowing(Settings):
    epochs: int = 3
"""


def written(path: Path, text: str = OWN) -> Path:
    path.write_text(text)
    return path


def offer(monkeypatch: pytest.MonkeyPatch, values: Sequence[str]) -> None:
    """Let installed packages offer `values`, as "module:Class"."""
    points = [EntryPoint("an-entry", value, room.GROUP) for value in values]
    monkeypatch.setattr(room, "entry_points", lambda group: points if group == room.GROUP else [])


def refusal(*plugins: Path) -> str:
    with pytest.raises(InputError) as error:
        all_methods(plugins)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------------------------------------- what is there


def test_the_package_has_the_rows_of_the_paper():
    assert set(paper.METHODS.values()) <= set(all_methods())


@pytest.mark.parametrize("method", METHODS)
def test_every_file_says_its_paper_in_its_first_line(method: str):
    kind = find_method(method)
    first_line = (sys.modules[kind.__module__].__doc__ or "").splitlines()[0]
    author = kind.paper.split()[0]
    assert author in first_line
    assert set(kind.modalities) <= {"audio-visual", "audio", "visual"}


def test_a_method_that_is_not_there():
    with pytest.raises(InputError) as error:
        find_method("avcil")
    assert str(error.value) == "unknown method 'avcil': did you mean 'av-cil'?"


def test_bases_and_imported_methods_are_not_a_modules_own():
    from avcil.incremental.methods import av_cil, icarl

    assert set(methods_in(av_cil)) == {"av-cil"}  # not ss-il, which it builds on
    assert set(methods_in(icarl)) == {"icarl-fc", "icarl-nme"}


# ------------------------------------------------------------------------------------------- a file of one's own


def test_a_file_of_ones_own(tmp_path: Path):
    plugin = written(tmp_path / "own.py")
    assert set(all_methods([plugin])) == {*all_methods(), "own"}
    assert find_method("own", [plugin]).paper == "none"
    assert "own" not in all_methods()


def test_the_example_of_the_documents_runs_and_is_resumed(made: Made, tmp_path: Path):
    kind = find_method("logit-replay", [EXAMPLE])
    assert described(kind.Settings)["weight"][0] == 0.5
    for out in ("one", "two"):
        synthetic.run(made, "logit-replay", tmp_path / out, plugins=[str(EXAMPLE)], weight="2")
    assert synthetic.differing(tmp_path / "one", tmp_path / "two") == []
    assert "old_logits" in (tmp_path / "one" / "history.csv").read_text()


def test_a_plugin_may_put_off_its_annotations(tmp_path: Path):
    """Then a dataclass looks its own module up by name."""
    text = EXAMPLE.read_text().replace(
        "from collections.abc", "from __future__ import annotations\n\nfrom collections.abc"
    )
    kind = find_method("logit-replay", [written(tmp_path / "late.py", text)])
    assert described(kind.Settings)["weight"][0] == 0.5


def test_a_method_may_build_on_another(tmp_path: Path):
    text = "from avcil.incremental.methods.av_cil import AvCil\nclass Mine(AvCil):\n    name = 'mine'\n"
    assert set(methods_in(load_plugin(written(tmp_path / "mine.py", text)))) == {"mine"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "defines no subclass of avcil.incremental.Method or StatisticsMethod with a name"),
        ("from avcil.incremental.methods.lwf import LwF\n", "defines no subclass"),
        ("from avcil.incremental import Method\nclass A(Method):\n    pass\n", "defines no subclass"),
        ("import nowhere_to_be_found\n", "line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("x = 1\nclass A(:\n", "line 2: SyntaxError: invalid syntax"),
        ("x = 1\n\ny = x / 0\n", "line 3: ZeroDivisionError: division by zero"),
        ("def f():\n    raise ValueError('a\\nb')\nf()\n", "line 2: ValueError: a b"),
        ("import sys\nsys.exit(0)\n", "line 2: SystemExit: 0"),
        ("from avcil.incremental import Nothing\n", "line 1: ImportError: cannot import name 'Nothing'"),
    ],
)
def test_a_plugin_that_is_none_is_told_in_one_line_with_its_place(tmp_path: Path, text: str, words: str):
    plugin = written(tmp_path / "bad.py", text)
    message = refusal(plugin)
    assert message.startswith(f"--plugin {plugin}")
    assert words in message


def test_a_plugin_that_is_not_there_or_is_no_python_file(tmp_path: Path):
    assert refusal(tmp_path / "gone.py") == f"--plugin {tmp_path / 'gone.py'}: no such file"
    assert "not a Python file" in refusal(written(tmp_path / "notes.txt"))


def test_two_methods_of_one_name(tmp_path: Path):
    one, other = written(tmp_path / "one.py"), written(tmp_path / "other.py")
    message = refusal(one, other)
    assert "two methods are called 'own'" in message
    assert "one" in message
    assert "other" in message
    clash = written(tmp_path / "clash.py", OWN.replace('"own"', '"lwf"'))
    assert "two methods are called 'lwf'" in refusal(clash)


# --------------------------------------------------------------------------------------- an installed package


def test_an_installed_package_offers_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(tmp_path / "a_package_for_this_test.py")
    monkeypatch.syspath_prepend(tmp_path)
    offer(monkeypatch, ["a_package_for_this_test:Own"])
    assert find_method("own").__module__ == "a_package_for_this_test"
    clash = written(tmp_path / "clash.py")
    assert "two methods are called 'own'" in refusal(clash)


def test_an_installed_package_that_ends_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(tmp_path / "a_package_that_exits.py", "import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    offer(monkeypatch, ["a_package_that_exits:Own"])
    assert "cannot be loaded: SystemExit: 0" in refusal()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nowhere_to_be_found:Own", "cannot be loaded: ModuleNotFoundError"),
        ("avcil.incremental.methods.lwf:Nothing", "cannot be loaded: AttributeError"),
        ("avcil.incremental.methods.lwf:LwfSettings", "is no subclass of avcil.incremental.Method"),
        (
            "avcil.incremental.learning.gradient:Method",
            "is no subclass of avcil.incremental.Method or StatisticsMethod with a name",
        ),
    ],
)
def test_an_installed_package_that_offers_something_else(monkeypatch: pytest.MonkeyPatch, value: str, words: str):
    offer(monkeypatch, [value])
    message = refusal()
    assert f"an-entry = {value}" in message
    assert words in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('paper = ""', "'paper' has to be a text"),
        ("name = 3", "'name' has to be a text"),
        ('replay = "seperate"', "'seperate': did you mean 'separate'?"),
        ('modalities = ("sound",)', "unknown modality of method"),
        ('modalities = "audio"', "'modalities' has to be a tuple"),
        ("Settings = dict", "'Settings' has to be a dataclass that extends avcil.incremental.Settings"),
        ("Settings = of_the_library", "under @dataclass of pydantic.dataclasses"),
        ("Settings = undecorated", "under @dataclass of pydantic.dataclasses"),
        ("Settings = shadowing", "its setting 'epochs' has the name of a setting of every run"),
    ],
)
def test_a_method_with_wrong_words_is_refused_before_it_runs(tmp_path: Path, line: str, words: str):
    assert words in refusal(written(tmp_path / "own.py", f"{SETTINGS}{OWN}    {line}\n"))


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("HerdingMemory", "its Settings need a field 'herding_repeats', which HerdingMemory reads"),
        ("NearestMeanReadout", "its Settings need a field 'herding_repeats', which NearestMeanReadout reads"),
    ],
)
def test_settings_that_a_base_reads_have_to_be_there(tmp_path: Path, base: str, words: str):
    assert words in refusal(written(tmp_path / "own.py", OWN.replace("Method", base)))


def test_two_files_of_one_name_are_two_modules(tmp_path: Path):
    for folder, name in (("one", "own"), ("two", "other")):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "own.py", OWN.replace('"own"', f'"{name}"'))
    kinds = all_methods([tmp_path / "one" / "own.py", tmp_path / "two" / "own.py"])
    assert sys.modules[kinds["own"].__module__].__file__ == str(tmp_path / "one" / "own.py")
    assert sys.modules[kinds["other"].__module__].__file__ == str(tmp_path / "two" / "own.py")


def test_what_is_recorded_of_a_plugin_is_what_was_executed(made: Made, tmp_path: Path):
    """Whatever its file, or a later configuration, holds by the time the run begins."""
    plugin = written(tmp_path / "own.py")
    before = sha256_of(plugin)
    where = {"manifest": str(made.manifest), "cache": str(made.cache)} | synthetic.SETTINGS
    first = configure("own", plugins=[plugin], **where)
    written(plugin, OWN + "# another version\n")
    second = configure("own", plugins=[plugin], **where)
    after = sha256_of(plugin)
    written(plugin, "this is no Python\n")
    for configured, digest in ((first, before), (second, after)):
        run(configured, tmp_path / digest)
        provenance = json.loads((tmp_path / digest / "config.json").read_text())["provenance"]
        assert provenance["plugins"] == {str(plugin): digest}
    assert before != after


def test_the_version_of_an_installed_package_is_a_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(tmp_path / "a_versioned_package.py")
    monkeypatch.syspath_prepend(tmp_path)
    recorded = []
    for version in ("1.0", "1.1"):
        metadata = tmp_path / f"own_methods-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: own-methods\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text("[avcil.methods]\nown = a_versioned_package:Own\n")
        recorded.append(code_of(find_method("own"), {}))
        (metadata / "METADATA").unlink()
        (metadata / "entry_points.txt").unlink()
        metadata.rmdir()
    assert recorded == [{"entry point own": "own-methods 1.0"}, {"entry point own": "own-methods 1.1"}]
    causes = [facts_of({"run": {}, "provenance": {"plugins": found}}) for found in recorded]
    assert causes[0] != causes[1]
    assert code_of(find_method("lwf"), {}) is None


def test_a_method_without_a_paper_is_refused(tmp_path: Path):
    text = OWN.replace('    paper = "none"\n', "")
    assert "'paper' has to be a text" in refusal(written(tmp_path / "own.py", text))


def test_a_setting_may_not_have_the_name_of_a_setting_of_every_run(tmp_path: Path):
    text = EXAMPLE.read_text().replace("weight", "batch_size")
    message = refusal(written(tmp_path / "own.py", text))
    assert "its setting 'batch_size' has the name of a setting of every run" in message


def test_a_statistics_method_has_no_replay(tmp_path: Path):
    text = OWN.replace("Method", "StatisticsMethod") + '    replay = "mixed"\n'
    assert "replay 'mixed' is for methods that are learnt by gradient" in refusal(written(tmp_path / "own.py", text))


@pytest.mark.parametrize(("name", "near"), [("losss", "loss"), ("scors", "scores"), ("after_epochs", "after_epoch")])
def test_a_function_that_nothing_calls_is_told_where_its_name_is_nearly_another(tmp_path: Path, name: str, near: str):
    plugin = written(tmp_path / "own.py", OWN + f"    def {name}(self, batch):\n        return {{}}\n")
    assert f"nothing calls its function '{name}': did you mean '{near}'?" in refusal(plugin)
    written(
        plugin, OWN + "    def loss_of_memory(self, batch):\n        return {}\n    def _loss(self):\n        pass\n"
    )
    assert "own" in all_methods([plugin])
