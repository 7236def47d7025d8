"""A table says which of its rows were not given the same."""

from pathlib import Path
from typing import Any

from avcil.incremental.results.collect import rows_of
from avcil.incremental.results.comparable import not_comparable

from .finished import write


def test_rows_that_were_given_the_same_are_not_spoken_of(tmp_path: Path):
    same: dict[str, Any] = {"modality": "audio", "memory_size": 36, "epochs": 60, "tasks": [["a"], ["b"]]}
    runs = [write(tmp_path / name, name, learning_rate=rate, **same) for name, rate in (("x", 0.1), ("y", 0.2))]
    assert not_comparable(rows_of(runs)) == []


def test_what_differs_between_the_same_rows_is_one_line(tmp_path: Path):
    runs = [
        write(tmp_path / "a", "av-cil", modality="audio-visual", memory_size=340, epochs=3),
        write(tmp_path / "b", "ss-il", modality="audio", memory_size=36, epochs=60),
        write(tmp_path / "c", "icarl-nme", modality="audio", memory_size=36, epochs=60),
    ]
    assert not_comparable(rows_of(runs)) == [
        "not comparable: modality audio-visual, memory_size 340, epochs 3 (av-cil); "
        "modality audio, memory_size 36, epochs 60 (ss-il, icarl-nme)"
    ]


def test_memory_counts_among_methods_that_keep_exemplars(tmp_path: Path):
    runs = [
        write(tmp_path / "a", "av-cil", memory_size=340),
        write(tmp_path / "b", "oracle", memory_size=36),
        write(tmp_path / "c", "fine-tuning", memory_size=0),
    ]
    assert not_comparable(rows_of(runs)) == []
    runs.append(write(tmp_path / "d", "ss-il", memory_size=36))
    assert not_comparable(rows_of(runs)) == ["not comparable: memory_size 340 (av-cil); memory_size 36 (ss-il)"]


def test_clips_tasks_and_features(tmp_path: Path):
    first, second = [["a", "b"], ["c"]], [["a"], ["b"], ["c"]]
    runs = [
        write(tmp_path / "a", "x", clips_sha256="a" * 64, labels_sha256="1" * 64, tasks=first),
        write(tmp_path / "b", "y", clips_sha256="b" * 64, labels_sha256="2" * 64, tasks=first),
    ]
    assert not_comparable(rows_of(runs)) == ["not comparable: clips aaaaaaaa (x); clips bbbbbbbb (y)"]
    runs = [
        write(tmp_path / "c", "x", tasks=first, cache_fingerprint="a" * 64),
        write(tmp_path / "d", "y", tasks=second, cache_fingerprint="b" * 64),
    ]
    (line,) = not_comparable(rows_of(runs))
    assert line.startswith("not comparable: 2 tasks of 3 classes, ")
    assert "features aaaaaaaa (x); 3 tasks of 3 classes, " in line


def test_epochs_that_were_published_for_each_method_are_no_difference(tmp_path: Path):
    runs = [
        write(tmp_path / "a", "av-cil", epochs=200, published=[74.04, 7.63]),
        write(tmp_path / "b", "oracle", epochs=100, published=[76.85]),
    ]
    assert not_comparable(rows_of(runs)) == []
    runs.append(write(tmp_path / "c", "mine", epochs=100))
    assert not_comparable(rows_of(runs)) == ["not comparable: epochs 200 (av-cil); epochs 100 (oracle, mine)"]
