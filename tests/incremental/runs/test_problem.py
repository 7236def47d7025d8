"""What is to be learnt: a data set by name or by its TOML file, or a table of clips."""

import json
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.incremental.runs.call import configure
from avcil.incremental.runs.problem import load_problem


def test_a_data_set_of_ones_own_brings_its_settings_and_its_leaked_clips(tmp_path):
    (tmp_path / "mine.toml").write_text(
        "title = \"Mine\"\nsource_video = '(?P<source>[a-z]+)\\d'\n[protocol]\nclasses_per_task = 1\nmemory_size = 7\n"
    )
    (tmp_path / "mine.csv").write_text("video_id,label,split\na1,x,train\na2,x,test\nb1,y,train\nc1,y,test\n")
    (tmp_path / "mine.classes.csv").write_text("class_index,label\n0,y\n1,x\n")
    problem = load_problem(str(tmp_path / "mine.toml"), None, None)
    assert problem.manifest.name == "mine"
    assert problem.manifest.class_order == ("y", "x")
    assert problem.protocol == {"classes_per_task": 1, "memory_size": 7}
    assert problem.leaked == {"a2"}
    with pytest.raises(InputError, match="there is no file"):
        load_problem(str(tmp_path / "other.toml"), None, None)


def data_set(folder: Path, protocol: str) -> str:
    folder.mkdir()
    (folder / "mine.toml").write_text(f'title = "Mine"\n[protocol]\n{protocol}')
    (folder / "mine.csv").write_text("video_id,label,split\na,x,train\nb,x,test\nc,y,train\nd,y,test\n")
    (folder / "mine.classes.csv").write_text("class_index,label\n0,y\n1,x\n")
    (folder / "tasks.csv").write_text("task,label\n1,x\n2,y\n")
    return str(folder / "mine.toml")


def test_files_of_a_protocol_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And not where the run was started; a folder of features need not be given again."""
    dataset = data_set(tmp_path / "sets", 'tasks = "tasks.csv"\ncache = "../features"\n')
    monkeypatch.chdir(tmp_path)
    config = configure("fine-tuning", dataset="sets/mine.toml").config
    assert (config.dataset, config.tasks) == (dataset, str(tmp_path / "sets" / "tasks.csv"))
    assert config.cache == str(tmp_path / "features")
    assert configure("fine-tuning", dataset=dataset, cache="other").config.cache == str(tmp_path / "other")


def test_files_of_a_configuration_lie_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data_set(tmp_path / "sets", "classes_per_task = 1\n")
    (tmp_path / "sets" / "own.py").write_text(
        "from avcil.incremental import Method\nclass Own(Method):\n    name = 'own'\n    paper = 'none'\n"
    )
    run = {"method": "own", "dataset": "mine.toml", "cache": "features", "plugins": ["own.py"]}
    (tmp_path / "sets" / "config.json").write_text(json.dumps({"run": run, "provenance": {}}))
    monkeypatch.chdir(tmp_path)
    config = configure(config_file="sets/config.json").config
    assert config.dataset == str(tmp_path / "sets" / "mine.toml")
    assert config.cache == str(tmp_path / "sets" / "features")
    assert config.plugins == (str(tmp_path / "sets" / "own.py"),)


def test_the_modality_of_a_protocol_chooses_its_epochs(tmp_path: Path):
    protocol = 'classes_per_task = 1\nmodality = "audio"\nepochs.lwf = { audio = 7, audio-visual = 9 }\n'
    dataset = data_set(tmp_path / "sets", protocol)
    config = configure("lwf", dataset=dataset, cache="c").config
    assert (config.modality, config.epochs) == ("audio", 7)
    config = configure("lwf", dataset=dataset, cache="c", modality="audio-visual").config
    assert (config.modality, config.epochs) == ("audio-visual", 9)


def test_a_configuration_of_one_method_is_not_another_ones(tmp_path: Path):
    run = {"method": "av-cil", "dataset": "ave", "cache": "c", "settings": {"lambda_class": 0.5}}
    (tmp_path / "config.json").write_text(json.dumps({"run": run, "provenance": {}}))
    with pytest.raises(InputError, match="is of av-cil and sets 'lambda_class', which lwf has not: leave out --method"):
        configure("lwf", config_file=tmp_path / "config.json")
    assert configure("av-cil", config_file=tmp_path / "config.json").settings.lambda_class == 0.5


def test_a_setting_of_another_method_is_told_with_its_owner():
    with pytest.raises(InputError, match="the setting 'lambda_class' belongs to av-cil, not to lwf"):
        configure("lwf", dataset="ave", cache="c", lambda_class=1)
    with pytest.raises(InputError, match="unknown setting 'lambda_clas': did you mean 'lambda_class'"):
        configure("av-cil", dataset="ave", cache="c", lambda_clas=1)
