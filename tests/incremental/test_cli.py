"""`avcil-incr` as a user meets it: what it prints, what it leaves, and one line for every mistake."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.called import call, done, mistake
from avcil.tests.incremental.synthetic import Made
from avcil.tests.incremental.test_config import DATASETS, EPOCHS, LAMBDAS, SHARED

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = (
    *("--epochs", "2", "--batch-size", "4", "--memory-size", "9", "--memory-batch-size", "3", "--device", "cpu"),
    *("--precision", "float32", "--set", "evaluation_batch_size=5", "--set", "checkpoint_seconds=0"),
    *("--set", "learning_rate=0.02", "--classes-per-task", "2"),
)
"""`synthetic.SETTINGS` as options."""


def run_words(made: Made, out: Path, method: str = "av-cil") -> tuple[str | Path, ...]:
    return ("run", "--method", method, "--manifest", made.manifest, "--cache", made.cache, "--out", out, *SMALL)


# ---------------------------------------------------------------------------------------------------- a run


def test_a_run_says_what_it_does_and_leaves_what_it_promises(
    made: Made, tmp_path: Path, reference: Callable[[str], Path]
):
    said = done(*run_words(made, tmp_path / "out"))
    assert "av-cil: 67 clips, 6 classes in 3 tasks; 2 epochs a task; cpu, float32" in said
    assert "all 67 clips x" in said
    assert "RANDOM weights" in said
    assert re.search(
        r"^task 3/3: test [\d.]+ % \(new [\d.]+, old [\d.]+\), forgetting -?[\d.]+, epoch [12] of 2", said, re.M
    )
    assert "Mean Accuracy" in said
    assert said.endswith(f"results: {tmp_path / 'out'}\n")
    assert synthetic.differing(reference("av-cil"), tmp_path / "out") == []


def test_clips_left_out_are_said(tmp_path: Path):
    """By split and class, and the classes that are learnt but not tested any more; the run goes on."""
    tests = [f"c{label:02d}_test_{number:02d}" for label in (1, 4) for number in range(3)]
    made = synthetic.make(tmp_path / "data", not_cached=["c00_train_00", "c00_val_00", *tests, "c03_test_00"])
    said = done(*run_words(made, tmp_path / "out", "fine-tuning")).splitlines()
    assert (
        "not in the cache and left out: 9 of 60 clips (1 train, 1 val, 7 test): "
        "class 01 3, class 04 3, class 00 2, class 03 1"
    ) in said
    assert "no test clip is left of these classes, which no figure counts: class 01 3, class 04 3" in said
    provenance = json.loads((tmp_path / "out" / "config.json").read_text())["provenance"]
    assert provenance["clips_missing_from_cache"] == 9
    one = synthetic.make(tmp_path / "one", not_cached=["c01_test_00"])
    said = done(*run_words(one, tmp_path / "two", "fine-tuning")).splitlines()
    assert "not in the cache and left out: 1 of 60 clips (1 test): class 01 1" in said
    assert not any("no test clip is left" in line for line in said)


def test_several_seeds_in_one_table(made: Made, tmp_path: Path):
    said = done(*run_words(made, tmp_path / "out", "fine-tuning"), "--seeds", "3", "--seed", "4")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["seed-4", "seed-5", "seed-6"]
    (line,) = [line for line in said.splitlines() if line.split()[:3] == ["fine-tuning", "†", "3"]]
    assert line.count("±") == 6
    assert "seed 6, task 3/3" in said
    again = done(*run_words(made, tmp_path / "out", "fine-tuning"), "--seeds", "3", "--seed", "4")
    assert "task 3/3" not in again  # nothing was left to do


def test_a_run_is_repeated_from_its_configuration(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From another folder, with nothing but config.json, to the same bits; other options win over it."""
    monkeypatch.chdir(made.manifest.parent)
    relative = Made(Path("clips.csv"), Path("cache"))
    done(*run_words(relative, tmp_path / "one", "icarl-nme"), "--set", "normalise_means=true", "--seed", "3")
    monkeypatch.chdir(tmp_path)
    done("run", "--config", tmp_path / "one" / "config.json", "--out", tmp_path / "two")
    assert synthetic.differing(tmp_path / "one", tmp_path / "two") == []
    config = [json.loads((tmp_path / name / "config.json").read_text())["run"] for name in ("one", "two")]
    assert config[0] == config[1]
    assert config[0]["settings"]["normalise_means"] is True
    done("run", "--config", tmp_path / "one" / "config.json", "--out", tmp_path / "three", "--seed", "4")
    assert "seed" in synthetic.differing(tmp_path / "one", tmp_path / "three")


def test_a_run_by_a_plugin_is_repeated_from_its_configuration(made: Made, tmp_path: Path):
    plugin = tmp_path / "own.py"
    plugin.write_text(
        "from avcil.incremental import Method\nclass Own(Method):\n    name = 'own'\n    paper = 'none'\n"
    )
    done(*run_words(made, tmp_path / "one", "own"), "--plugin", plugin)
    config = tmp_path / "one" / "config.json"
    result = call("run", "--config", config, "--out", tmp_path / "two")
    assert result.exit_code == 0
    assert result.stderr == f"the configuration {config} runs the plugin {plugin}\n"
    assert synthetic.differing(tmp_path / "one", tmp_path / "two") == []
    printing = call("run", "--config", config, "--print-config")
    assert printing.stderr == result.stderr
    assert json.loads(printing.stdout)["method"] == "own"
    plugin.write_text(plugin.read_text() + "\n")
    assert "which has changed since: give it with --plugin" in mistake("run", "--config", config, "--print-config")


def test_a_file_can_be_taken_out_of_a_repeated_configuration(made: Made, tmp_path: Path):
    tasks = synthetic.write_csv(
        tmp_path / "tasks.csv", ("task", "label"), [(label < 5, f"class {label:02d}") for label in range(6)]
    )
    done(*run_words(made, tmp_path / "one", "fine-tuning"), "--tasks", tasks)
    repeat = ("run", "--config", tmp_path / "one" / "config.json", "--print-config", "--set", "tasks=none")
    assert json.loads(done(*repeat))["tasks"] is None


# -------------------------------------------------------------------------------------------- --print-config


def printed(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done("run", "--print-config", *words))
    return found


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", EPOCHS)
def test_printed_presets_are_the_published_ones(method: str, dataset: str):
    audio, visual, both = EPOCHS[method][DATASETS.index(dataset)].split("/")
    for modality, epochs in (("audio", audio), ("visual", visual), ("audio-visual", both)):
        words = ("--method", method, "--dataset", dataset, "--modality", modality)
        if epochs == "-":
            assert "needs --modality audio-visual" in mistake("run", "--print-config", *words)
            continue
        config = printed(*words)
        assert config["epochs"] == int(epochs)
        assert config.items() >= SHARED[dataset].items()
        assert (config["batch_size"], config["memory_batch_size"]) == (256, 128)
        if method == "av-cil":
            lambdas = ("lambda_instance", "lambda_class", "lambda_spatial", "similarity_temperature")
            assert tuple(config["settings"][name] for name in lambdas) == LAMBDAS[dataset]


def test_printing_needs_neither_cache_nor_out_and_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    config = printed("--method", "av-cil", "--dataset", "ave", "--set", "class_similarity=equation7", "--epochs", "3")
    assert (config["epochs"], config["settings"]["class_similarity"]) == (3, "equation7")
    assert list(tmp_path.iterdir()) == []


def test_several_seeds_do_not_go_into_the_folder_of_one_run(made: Made, tmp_path: Path):
    done(*run_words(made, tmp_path / "one", "fine-tuning"))
    words = run_words(made, tmp_path / "one", "fine-tuning")
    assert "holds a single run; choose another --out" in mistake(*words, "--seeds", "2")
    assert not (tmp_path / "one" / "seed-0").exists()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("logits.sum()", "named terms, not Tensor"),
        ("{}", "at least one term"),
        ("{'epoch': logits.sum()}", "terms of other names than 'epoch', which is a column of history.csv by itself"),
        ("{'mine': 0.5}", "tensors: 'mine' is of type float"),
        ("{'mine': logits.sum().reshape(1)}", "scalars: 'mine' has the shape (1,)"),
    ],
)
def test_a_loss_that_cannot_be_minimised_is_told_in_one_line(made: Made, tmp_path: Path, returned: str, words: str):
    plugin = tmp_path / "bare.py"
    plugin.write_text(
        "from avcil.incremental import Method\n"
        "class Bare(Method):\n"
        "    name = 'bare'\n    paper = 'none'\n"
        "    def loss(self, clips):\n"
        f"        logits = self.heads(clips).logits\n        return {returned}\n"
    )
    result = call(*run_words(made, tmp_path / "out", "bare"), "--plugin", plugin)
    assert result.exit_code == 2
    assert f"error: method 'bare': loss must return {words}\n" in result.stderr


def test_what_a_plugin_raises_in_a_later_task_is_told_in_one_line_with_its_place(made: Made, tmp_path: Path):
    plugin = tmp_path / "late.py"
    plugin.write_text(
        "from avcil.incremental import Method\n"
        "class Late(Method):\n"
        "    name = 'late'\n    paper = 'none'\n"
        "    def loss(self, batch):\n"
        "        return super().loss(batch) if self.task.number == 1 else {'x': batch.techer}\n"
    )
    words = (*run_words(made, tmp_path / "out", "late"), "--plugin", plugin)
    result = call(*words)
    assert result.exit_code == 2
    [error] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert error.startswith(f"error: --plugin {plugin}, line 6: AttributeError: ") and "techer" in error
    plugin.write_text(plugin.read_text().replace("techer", "teacher"))
    assert "choose another --out, or delete the unfinished run" in call(*words).stderr


def test_an_option_can_also_be_set(tmp_path: Path):
    config = printed("--dataset", "ave", "--set", "method=lwf", "--set", "epochs=3")
    assert (config["method"], config["epochs"]) == ("lwf", 3)


def test_a_value_given_twice_is_refused(tmp_path: Path):
    words = "run", "--print-config", "--method", "lwf", "--dataset", "ave", "--set", "epochs=3"
    assert "epochs is given twice: as --epochs and by --set" in mistake(*words, "--epochs", "9")
    assert "--set gives epochs twice" in mistake(*words, "--set", "epochs=9")


# ----------------------------------------------------------------------------------- show, table and methods


BRACKETS = """
from pydantic.dataclasses import dataclass
from avcil.incremental import STRICT, Method, Settings

@dataclass(frozen=True, kw_only=True, config=STRICT)
class Own(Settings):
    w: str = "[/red]"
    '''One of [bold] or [link=x].'''

class Mine(Method):
    '''What it is, [i].'''
    name = "[/red]"
    paper = "[1] \\x1b[2J"
    Settings = Own
"""


def test_methods_settings_and_papers_are_no_markup(tmp_path: Path):
    (tmp_path / "own.py").write_text(BRACKETS)
    listed = done("methods", "--plugin", tmp_path / "own.py").splitlines()
    assert "[1] \\u001b[2J" in next(line for line in listed if "[/red]" in line)
    one = done("methods", "[/red]", "--plugin", tmp_path / "own.py")
    assert one.startswith("[/red]: What it is, [i].\n[1] \\u001b[2J\n")
    assert "One of [bold] or [link=x]." in one


def test_methods():
    listed = done("methods")
    for method in EPOCHS:
        assert any(line.split()[:1] == [method] for line in listed.splitlines())
    one = done("methods", "av-cil")
    assert "ICCV 2023" in one
    for setting in ("lambda_instance", "class_similarity", "temperature", "learning_rate", "memory_size", "precision"):
        assert setting in one
    assert "learning_rate" not in done("methods", "ridge")


def test_a_run_that_ends_tasks_early_says_so_everywhere(made: Made, tmp_path: Path):
    where = ("--manifest", made.manifest, "--cache", made.cache, "--classes-per-task", "2", "--epochs", "9")
    early = ("--patience", "1", "--validate-every", "2")
    told = done("run", "--method", "fine-tuning", *where, *early, "--out", tmp_path / "out")
    assert "at most 9 epochs a task (patience 1), validated every 2;" in told
    assert "ended early" in told
    notes = ("patience 1: a task ended once", "validate_every 2: validation came after every 2 epochs")
    assert all(note in told for note in notes)
    assert "(patience 1, validate_every 2)" in " ".join(done("show", tmp_path / "out").split())
    run = json.loads((tmp_path / "out" / "config.json").read_text())["run"]
    assert (run["patience"], run["validate_every"]) == (1, 2)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    lines = list(csv.DictReader((tmp_path / "out" / "history.csv").open()))
    assert [sum(int(line["task"]) == task for line in lines) for task in (1, 2, 3)] == metrics["epochs_by_task"]
    assert min(metrics["epochs_by_task"]) < 9
    for line in lines:
        assert bool(line["validation_accuracy"]) == (int(line["epoch"]) % 2 == 0 or line["epoch"] == "9")
    plain = ("run", "--method", "fine-tuning", *where, "--out", tmp_path / "out")
    assert "holds a run with patience = 1, not None; choose another --out" in mistake(*plain)
    again = ("run", "--config", tmp_path / "out" / "config.json", "--out", tmp_path / "again")
    done(*again)
    assert synthetic.differing(tmp_path / "out", tmp_path / "again") == []


# ----------------------------------------------------------------------------------------- one line a mistake

LAST = ("--model-choice", "last")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--metod", "lwf"), "--metod"),
        (("run", "--method", "avcil", "--dataset", "ave"), "unknown method 'avcil': did you mean 'av-cil'?"),
        (("run", "--method", "lwf", "--dataset", "avee"), "unknown dataset 'avee': did you mean 'ave'?"),
        (
            ("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--set", "temperatur=1"),
            "did you mean 'temperature'?",
        ),
        (("run", "--method", "lwf", "--dataset", "ave", "--set", "temperature"), "--set takes FIELD=VALUE"),
        (("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--set", "temperature=warm"), "temperature: "),
        (
            ("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--modality", "smell"),
            "unknown value for modality 'smell'",
        ),
        (("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--modality", "audi"), "did you mean 'audio'"),
        (
            ("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--set", "penalty=1"),
            "the setting 'penalty' belongs to anacp, ranpac, ridge, not to lwf",
        ),
        (("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--epochs", "0"), "epochs: "),
        (("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--patience", "0"), "patience: "),
        (("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", "--validate-every", "0"), "validate_every: "),
        (
            ("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", *LAST, "--patience", "9"),
            "--patience is about accuracy on validation clips, which --model-choice last never looks at",
        ),
        (
            ("run", "--method", "lwf", "--dataset", "ave", "--cache", "c", *LAST, "--set", "validate_every=2"),
            "--validate-every is about accuracy on validation clips, which --model-choice last never looks at",
        ),
        (("run", "--method", "lwf", "--dataset", "ave", "--epochs", "ten"), "'ten' is not a valid integer"),
        (("run", "--method", "lwf", "--dataset", "ave", "--seeds", "0"), "--seeds"),
        (("run", "--method", "lwf", "--dataset", "ave"), "say where the features are: --cache DIR"),
        (("run", "--method", "lwf", "--dataset", "ave", "--classes", "c.csv"), "--classes goes with --manifest"),
        (("run", "--method", "lwf"), "either --dataset NAME or --manifest FILE"),
        (("run", "--dataset", "ave"), "say what to run: --method NAME"),
        (("run", "--method", "lwf", "--manifest", "gone.csv", "--cache", "c"), "there is no file gone.csv"),
        (("run", "--method", "lwf", "--dataset", "ave", "--cache", "gone"), "gone is not a feature cache"),
        (("run", "--config", "gone.json"), "gone.json cannot be read as JSON"),
        (("run", "--method", "own", "--plugin", "gone.py", "--dataset", "ave"), "gone.py: no such file"),
        (("run", "--log", "tensorbord"), "unknown tracker 'tensorbord': did you mean 'tensorboard'?"),
        (("rum",), "unknown command 'rum': did you mean 'run'?"),
        (("show", "gone"), "gone: no finished run there"),
        (("show",), "Missing argument 'RUN'"),
        (("table", "gone"), "gone: no finished run there"),
        (("table",), "Missing argument 'RUN...'"),
        (("methods", "avcil"), "did you mean 'av-cil'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_in_words(words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    if words[0] == "run" and "--cache" in words:
        words = (*words, "--out", "out")
    assert said in mistake(*words)
    assert list(tmp_path.iterdir()) == []


def mistake_after_telling(*words: str | Path) -> str:
    """One that shows only after the data were looked at and described."""
    result = call(*words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    return result.stderr


@pytest.mark.parametrize("device", ["cuda:9", "gpu", "cpu:x"])
def test_a_device_that_is_not_there(made: Made, tmp_path: Path, device: str):
    said = mistake(*run_words(made, tmp_path / "out"), "--device", device)
    assert f"device '{device}' cannot be used" in said
    assert not (tmp_path / "out").exists()


def test_no_place_for_results(made: Made, tmp_path: Path):
    words = run_words(made, tmp_path / "out")
    cut = words.index("--out")
    assert "say where the results go: --out DIR" in mistake(*words[:cut], *words[cut + 2 :])
    (tmp_path / "file").touch()
    assert "is a file" in mistake(*run_words(made, tmp_path / "file"))
    assert "cannot be made" in mistake_after_telling(*run_words(made, tmp_path / "file" / "out"))


def test_a_configuration_file_that_is_none(tmp_path: Path):
    (tmp_path / "list.json").write_text("[1]")
    assert "not a run's config.json" in mistake("run", "--config", tmp_path / "list.json")


@pytest.mark.parametrize("fault", ["cut short", "no record", "record damaged", "description damaged"])
def test_a_damaged_cache(tmp_path: Path, fault: str):
    made = synthetic.make(tmp_path / "data")
    shards = made.cache / "shards"
    if fault == "cut short":
        with (shards / "shard-00001.h5").open("r+b") as file:
            file.truncate(1000)
    elif fault == "record damaged":
        (shards / "shard-00001.json").write_text("{")
    elif fault == "description damaged":
        (made.cache / "cache.json").write_text("{}")
    else:
        for record in shards.glob("*.json"):
            record.unlink()
    assert str(made.cache) in mistake(*run_words(made, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_another_run_in_the_same_place(made: Made, tmp_path: Path, reference: Callable[[str], Path]):
    words = run_words(made, reference("lwf"), "lwf")
    assert "epochs = 2, not 5" in mistake(*words, "--epochs", "5")
    assert "temperature = 2.0, not 1.5" in mistake(*words, "--set", "temperature=1.5")


def test_a_finished_run_is_no_mistake_and_left_as_it_is(made: Made, tmp_path: Path):
    """With one seed and with several alike: a script may be run again."""
    for words in (
        run_words(made, tmp_path / "one", "lwf"),
        (*run_words(made, tmp_path / "two", "lwf"), "--seeds", "2"),
    ):
        first = done(*words)
        assert "left as it is" not in first
        again = done(*words)
        assert again.count("this run is finished, and left as it is") == (2 if "--seeds" in words else 1)
        assert again.splitlines()[-6:] == first.splitlines()[-6:]  # the same table
        assert "task 1/3" not in again


# ------------------------------------------------------------------------------------------- as real processes


def process(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = "from avcil.incremental.cli import main; main(prog_name='avcil-incr')"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_help_and_no_words_at_all():
    helped = process("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("Usage: avcil-incr")
    assert "methods" in helped.stdout
    silent = process()
    assert silent.returncode == 2
    assert "Usage: avcil-incr" in silent.stderr
    misspelt = process("run", "--metod", "x")
    assert (misspelt.returncode, misspelt.stdout, misspelt.stderr.count("\n")) == (2, "", 1)


@pytest.mark.slow
def test_a_run_and_a_mistake_in_processes_of_their_own(made: Made, tmp_path: Path, reference: Callable[[str], Path]):
    ended = process(*run_words(made, tmp_path / "out"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert synthetic.differing(reference("av-cil"), tmp_path / "out") == []
    again = process(*run_words(made, tmp_path / "out"))
    assert (again.returncode, again.stderr) == (0, "")
    other = process(*run_words(made, tmp_path / "out"), "--epochs", "5")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
