"""A configuration that comes from elsewhere: its plugins are code, and its entries may be anything."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.files import sha256_of
from avcil.incremental.runs.call import ConfiguredRun, configure, run
from avcil.incremental.runs.listeners import Listener, StartedRun
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made
from hypothesis import given, settings
from hypothesis import strategies as st

OWN = """
import sys
from pathlib import Path
from avcil.incremental import Method

class Own(Method):
    name = "own"
    paper = "none"

(Path(__file__).parent / "it-has-run").touch()
print("here it runs", file=sys.stderr)
"""


def written(folder: Path, provenance: dict[str, Any] | None = None, **run: Any) -> Path:
    """A config.json of a run by the plugin own.py beside it."""
    (folder / "own.py").write_text(OWN)
    plugin = str(folder / "own.py")
    known = {"plugins": {plugin: sha256_of(folder / "own.py")}} if provenance is None else provenance
    content = {"method": "own", "seed": 0, "dataset": "ave", "cache": "c", "plugins": [plugin]} | run
    (folder / "config.json").write_text(json.dumps({"run": content, "provenance": known}))
    return folder / "config.json"


def test_a_plugin_that_a_configuration_names_is_said_before_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = written(tmp_path)
    assert configure(config_file=config).kind.name == "own"
    said = capsys.readouterr()
    assert said.err == f"the configuration {config} runs the plugin {tmp_path / 'own.py'}\nhere it runs\n"


def test_a_plugin_that_has_changed_since_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = written(tmp_path)
    (tmp_path / "own.py").write_text(OWN + "# another version\n")
    with pytest.raises(InputError) as error:
        configure(config_file=config)
    assert str(error.value) == (
        f"{config} names the plugin {tmp_path / 'own.py'}, which has changed since: "
        "give it with --plugin to use it as it is"
    )
    assert not (tmp_path / "it-has-run").exists()
    assert configure(config_file=config, plugins=[tmp_path / "own.py"]).kind.name == "own"
    assert capsys.readouterr().err == "here it runs\n"


def test_a_plugin_of_which_nothing_is_known_is_said_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    configure(config_file=written(tmp_path, {}))
    assert f"runs the plugin {tmp_path / 'own.py'}" in capsys.readouterr().err


def test_a_plugin_that_is_gone_is_said(tmp_path: Path):
    config = written(tmp_path)
    (tmp_path / "own.py").unlink()
    with pytest.raises(InputError, match=r"--plugin .*own\.py: no such file"):
        configure(config_file=config)


def test_nothing_of_the_run_hides_among_the_methods_settings(tmp_path: Path):
    """There it would be taken for what a user gave, plugins too."""
    config = written(tmp_path, plugins=[], settings={"plugins": [str(tmp_path / "own.py")]})
    with pytest.raises(InputError, match=r"run\.settings\.plugins belongs into run"):
        configure(config_file=config)
    assert not (tmp_path / "it-has-run").exists()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ave", "lwf", "x.toml"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
ENTRIES = (
    *(
        "method",
        "dataset",
        "manifest",
        "classes",
        "cache",
        "tasks",
        "plugins",
        "settings",
        "modality",
        "epochs",
        "seed",
    ),
    *("classes_per_task", "class_order_seed", "learning_rate", "model_choice", "device", "nothing"),
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(ENTRIES), VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["plugins", "way", "tasks"]), VALUES, max_size=2),
    st.sampled_from([{}, {"run": {}}, {"run": {}, "provenance": {}}, {"run": {"settings": {"temperature": "hot"}}}]),
)
def test_whatever_a_configuration_holds_it_is_used_or_refused(tmp_path_factory, run, provenance, over):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    content: dict[str, Any] = {
        "run": {"method": "lwf", "dataset": "ave", "cache": "c", "seed": 0} | run,
        "provenance": provenance,
    }
    path.write_text(json.dumps(content | over if len(over) == 1 else content))
    with contextlib.suppress(InputError):
        configure(config_file=path)


# ---------------------------------------------------------------------------------------- data loaded elsewhere


def configured(made: Made, method: str = "fine-tuning", **given: Any) -> ConfiguredRun:
    where = {"manifest": str(made.manifest), "cache": str(made.cache)}
    return configure(method, **where | synthetic.SETTINGS | given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"classes_per_task": 3}, "loaded with classes_per_task = 2, and this run has 3"),
        ({"class_order_seed": 1}, "loaded with class_order_seed = None, and this run has 1"),
        ({"precision": "bfloat16"}, "loaded with precision = 'float32', and this run has 'bfloat16'"),
        ({"modality": "audio"}, "loaded with visual features as 'tokens', not 'none'"),
        ({"batch_size": 64}, "loaded for batches of another size"),
    ],
)
def test_data_loaded_for_another_problem_are_refused(made: Made, tmp_path: Path, given: dict[str, Any], words: str):
    with pytest.raises(InputError, match=f"{words}.*: load them with this run's own load"):
        run(configured(made, **given), tmp_path / "out", data=configured(made).load())
    assert not (tmp_path / "out").exists()


def test_data_of_a_list_that_has_changed_are_refused(tmp_path: Path):
    made = synthetic.make(tmp_path / "data")
    data = configured(made).load()
    text = made.manifest.read_text()
    made.manifest.write_text(text.replace("class 01", "x").replace("class 02", "class 01").replace("x", "class 02"))
    with pytest.raises(InputError, match="the list of clips has changed since the data were loaded"):
        run(configured(made), tmp_path / "out", data=data)


def test_methods_and_settings_share_data(made: Made, tmp_path: Path):
    data = configured(made).load()
    for method, other in (("fine-tuning", {"epochs": 1}), ("ss-il", {"learning_rate": 0.1}), ("lwf", {"seed": 3})):
        assert run(configured(made, method, **other), tmp_path / method, data=data)[0]["method"] == method


# ------------------------------------------------------------------------------------------------------- notes


@pytest.mark.parametrize(
    ("method", "given", "lines"),
    [
        ("ss-il", {"memory_size": 9}, []),
        ("ss-il", {"memory_size": 31}, ["memory_size 31 is more than the 30 training clips: all of them are kept"]),
        ("lwf", {"memory_size": 31}, []),
        ("ridge", {"epochs": 3}, ["not used, since ridge is solved in one pass: epochs"]),
        (
            "ridge",
            {"patience": 3, "validate_every": 2, "model_choice": "last"},
            ["not used, since ridge is solved in one pass: model_choice, patience, validate_every"],
        ),
        ("lwf", {"epochs": 9, "patience": 8, "validate_every": 8}, []),
        ("lwf", {"epochs": 1, "validate_every": 1}, []),
        (
            "lwf",
            {"epochs": 9, "patience": 9, "validate_every": 9},
            ["patience 9 ends no task: they have 9 epochs", "validate_every 9: only the last of 9 epochs is validated"],
        ),
    ],
)
def test_what_may_not_be_meant_is_said(tmp_path: Path, method: str, given: dict[str, Any], lines: list[str]):
    made = synthetic.make(tmp_path / "data", counts={"train": 5, "val": 1, "test": 1})
    found = configure(method, manifest=made.manifest, cache=made.cache, classes_per_task=2, **given)
    assert found.notes(found.load()) == lines


def test_aves_memory_is_said_to_be_aves(tmp_path: Path):
    made = synthetic.make(tmp_path / "data", counts={"train": 60, "val": 1, "test": 1})
    found = configure("ss-il", manifest=made.manifest, cache=made.cache, classes_per_task=2)
    (line,) = found.notes(found.load())
    assert line == "memory_size is 340, which is AVE's, since nothing else was given; this list has 360 training clips"
    assert not configure("ss-il", dataset="ave", cache="c").memory_by_default


# ------------------------------------------------------------------------------------------------ odd arguments


def test_plugins_given_as_one_word():
    words: Any
    for words in ("own.py", Path("own.py")):
        with pytest.raises(InputError, match=r"plugins is a list of files: plugins=\['own.py'\]"):
            configure("lwf", plugins=words, dataset="ave", cache="c")


def test_files_given_as_paths(made: Made, tmp_path: Path):
    found = configure("lwf", manifest=made.manifest, cache=made.cache, classes_per_task=2)
    assert (
        found.config == configure("lwf", manifest=str(made.manifest), cache=str(made.cache), classes_per_task=2).config
    )
    with pytest.raises(InputError, match="unknown dataset 'avee': did you mean 'ave'"):
        configure("lwf", dataset=Path("avee"), cache="c")


@pytest.mark.parametrize("seeds", [0, -1, "3", 2.0, True])
def test_odd_numbers_of_seeds(made: Made, tmp_path: Path, seeds: Any):
    with pytest.raises(InputError, match="seeds is how many seeds to run, a number from 1 on, not"):
        run(configured(made), tmp_path / "out", seeds=seeds)
    assert not (tmp_path / "out").exists()


def test_results_do_not_go_into_a_file(made: Made, tmp_path: Path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="out is a file, and results need a folder"):
        run(configured(made), tmp_path / "out")


def test_what_users_need_has_one_home():
    from avcil import incremental
    from avcil.incremental.learning import state
    from avcil.incremental.runs import problem

    assert incremental.InputError is InputError
    assert (incremental.Progress, incremental.Stopped, incremental.Data) == (
        state.Progress,
        state.Stopped,
        problem.Data,
    )
    assert all(getattr(incremental, name) for name in incremental.__all__)


# --------------------------------------------------------------------------------------------------- listeners


class Failing(Listener):
    """Fails in one event, and counts what it hears."""

    def __init__(self, event: str, error: BaseException) -> None:
        self.heard = 0

        def fail(run: StartedRun, of: Any) -> None:
            self.heard += 1
            raise error

        setattr(self, event, fail)


@pytest.mark.parametrize("event", ["run_begins", "epoch_ended", "task_ended", "run_ended"])
def test_a_listener_that_fails_is_dropped_and_the_run_goes_on(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], event: str
):
    failing = Failing(event, ConnectionError("the tracker\nis gone"))
    assert len(run(configured(made, epochs=1), tmp_path / "out", seeds=2, listeners=[failing])) == 2
    assert failing.heard == 1
    assert capsys.readouterr().err == (
        f"warning: the listener Failing failed in {event} and is told nothing more, the run goes on: "
        "ConnectionError: the tracker is gone\n"
    )


def test_a_listener_may_still_end_the_program(made: Made, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        run(configured(made), tmp_path / "out", listeners=[Failing("epoch_ended", KeyboardInterrupt())])


def test_a_state_that_cannot_be_saved_ends_the_run(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*given: Any) -> None:
        raise InputError("no room")

    monkeypatch.setattr("avcil.incremental.runs.directory.write_state", full)
    with pytest.raises(InputError, match="no room"):
        run(configured(made), tmp_path / "out")
