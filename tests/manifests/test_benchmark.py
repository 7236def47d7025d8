import shutil
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.manifests import (
    NAMED_BY_ID,
    SPLITS,
    benchmark,
    gaps,
    published,
    published_figures,
    published_names,
    split_into_tasks,
)

METHODS = ("fine-tuning", "oracle", "lwf", "icarl", "ss-il", "afc", "av-cil")

# The presets of the published tables; epochs as audio / visual / both.
PUBLISHED: dict[str, Any] = {
    "ave": {
        "title": "AVE-CI",
        "clips": (3294, 391, 394),
        "tasks": (7, 4),
        "memory": 340,
        "lambdas": (0.5, 1.0, 0.5, 0.05),
        "epochs": ["300/200/150", "300/200/150", "300/200/200", "300/200/150", "300/200/200", "300/200/150"],
        "others": {"4x7": (4, 7)},
        "frame_rate": 10,
        "ends": ("Acoustic guitar", "Cat"),
    },
    "kinetics-sounds": {
        "title": "K-S-CI",
        "clips": (19220, 1947, 1958),
        "tasks": (6, 5),
        "memory": 500,
        "lambdas": (0.1, 1.0, 0.5, 0.05),
        "epochs": ["300/150/150", "200/100/100", "200/200/100", "200/100/100", "300/100/100", "300/100/100"],
        "others": {"5x6": (5, 6)},
        "frame_rate": 8,
        "ends": ("playing drums", "bowling"),
    },
    "vggsound100": {
        "title": "VS100-CI",
        "clips": (51195, 5000, 5000),
        "tasks": (10, 10),
        "memory": 1500,
        "lambdas": (0.1, 1.0, 0.5, 0.05),
        "epochs": ["300/200/200"] * 6,
        "others": {},
        "frame_rate": 8,
        "ends": ("playing theremin", "donkey, ass braying"),
    },
}


def test_the_published_lists_are_found():
    assert published_names() == tuple(sorted(PUBLISHED))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_list_is_as_published(name):
    given, facts = published(name), PUBLISHED[name]
    manifest, protocol = given.manifest, given.protocol
    assert (given.name, given.title, manifest.name) == (name, facts["title"], name)
    assert tuple(len(manifest.of_split(split)) for split in SPLITS) == facts["clips"]
    assert gaps(manifest) == ()
    assert manifest.class_order[:2] == facts["ends"]
    assert "ICCV 2023" in given.source
    assert "uploaded" in given.licence
    assert given.released_frame_rate == facts["frame_rate"]
    classes, tasks = facts["tasks"]
    assert protocol["classes_per_task"] == classes
    assert len(split_into_tasks(manifest.class_order, classes)) == tasks
    assert len(manifest.class_order) == classes * tasks
    assert protocol["memory_size"] == facts["memory"]
    keys = ("lambda_instance", "lambda_class", "lambda_spatial", "similarity_temperature")
    assert tuple(protocol[key] for key in keys) == facts["lambdas"]
    sizes = ("batch_size", "memory_batch_size", "evaluation_batch_size")
    assert tuple(protocol[key] for key in sizes) == (256, 128, 128)


@pytest.mark.parametrize("name", PUBLISHED)
def test_epochs_are_as_published(name):
    epochs, facts = published(name).protocol["epochs"], PUBLISHED[name]
    assert tuple(sorted(epochs)) == tuple(sorted(METHODS))
    for method, numbers in zip(METHODS, facts["epochs"], strict=False):
        assert "/".join(str(epochs[method][key]) for key in ("audio", "visual", "audio-visual")) == numbers
    assert epochs["av-cil"] == {"audio-visual": 200}


@pytest.mark.parametrize("name", PUBLISHED)
def test_other_settings_are_as_published(name):
    given, facts = published(name), PUBLISHED[name]
    others = given.protocol.get("other_settings", {})
    assert set(others) == set(facts["others"])
    for setting, (classes, tasks) in facts["others"].items():
        assert others[setting]["classes_per_task"] == classes
        assert len(split_into_tasks(given.manifest.class_order, classes)) == tasks


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown dataset 'vggsound': did you mean 'vggsound100'\?; one of your own"):
        published("vggsound")


def test_a_data_set_is_added_by_adding_three_files(tmp_path, monkeypatch):
    for suffix in (".csv", ".classes.csv", ".toml"):
        shutil.copy(benchmark.DIRECTORY / f"ave{suffix}", tmp_path / f"new{suffix}")
    monkeypatch.setattr(benchmark, "DIRECTORY", tmp_path)
    assert published_names() == ("new",)
    new, by_path = published("new"), published(str(tmp_path / "new.toml"))
    assert new == by_path
    assert (new.name, new.manifest.name, len(new.manifest.clips)) == ("new", "new", 4079)


@pytest.mark.parametrize(
    ("name", "val", "test"),
    [("ave", 0, 0), ("kinetics-sounds", 0, 0), ("vggsound100", 1671, 1627)],
)
def test_clips_whose_video_gave_training_clips_too(name, val, test):
    given = published(name)
    assert len(given.seen_in_training("val")) == val
    assert len(given.seen_in_training()) == test
    trained = {clip.id.rpartition("_")[0] if val else clip.id for clip in given.manifest.of_split("train")}
    for clip in given.seen_in_training():
        assert clip.split == "test"
        assert clip.id.rpartition("_")[0] in trained


def test_a_data_set_of_ones_own_that_says_its_title_only(tmp_path):
    (tmp_path / "mine.toml").write_text('title = "Mine"\n')
    (tmp_path / "mine.csv").write_text("video_id,label,split\na_1,dog,train\na_2,cat,train\na_3,dog,test\n")
    (tmp_path / "mine.classes.csv").write_text("class_index,label\n0,cat\n1,dog\n")
    mine = published(str(tmp_path / "mine.toml"))
    assert (mine.name, mine.title, mine.manifest.class_order) == ("mine", "Mine", ("cat", "dog"))
    assert (mine.file_names, mine.protocol, mine.published) == (NAMED_BY_ID, {}, {})
    assert mine.seen_in_training() == ()
    assert mine.released_frame_rate is None
    (tmp_path / "mine.csv").write_text("video_id,label,split\nb,dog,train\nc,cat,train\n")
    assert len(published(str(tmp_path / "mine.toml")).manifest.clips) == 2  # read again: it may have been mended


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("mine.toml", r"there is no file .*mine\.toml"),
        ("mine.csv", r"mine\.toml: there is no mine\.csv beside it, the table of its clips"),
        ("mine.classes.csv", r"mine\.toml: there is no mine\.classes\.csv beside it, the table of the order"),
    ],
)
def test_each_of_the_three_files_is_asked_for(tmp_path, lost, words):
    for suffix in (".csv", ".classes.csv", ".toml"):
        if f"mine{suffix}" != lost:
            shutil.copy(benchmark.DIRECTORY / f"ave{suffix}", tmp_path / f"mine{suffix}")
    with pytest.raises(InputError, match=words):
        published(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_figures_can_be_had_without_the_clips(name: str):
    assert published_figures(name) == published(name).published
