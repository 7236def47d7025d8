"""`avcil-extract` from end to end: real files, tiny encoders of the true architectures."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from avcil.cache import FeatureCache
from avcil.extract.cli import main
from avcil.manifests import read_manifest
from click.testing import CliRunner

from .conftest import write_clip

VIDEO_CONFIG = {
    "model_type": "videomae",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 16,
    "num_frames": 4,
    "tubelet_size": 2,
    "use_mean_pooling": False,
}
AUDIO_CONFIG = {
    "architecture": "vit_base_patch16_224",
    "model_args": {"embed_dim": 32, "depth": 1, "num_heads": 2},
    "pretrained_cfg": {"input_size": [1, 64, 32]},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Seven listed clips: four good, one without sound, one that is no video, one without a file."""
    root: Path = tmp_path_factory.mktemp("place")
    videos = root / "videos"
    videos.mkdir()
    for name in ("a", "b", "c", "d"):
        write_clip(videos / f"{name}.mp4", frames=8)
    write_clip(videos / "silent.mp4", frames=8, audio=None)
    (videos / "text.mp4").write_text("this is no video\n")
    clips = [("a", "x"), ("silent", "x"), ("b", "y"), ("text", "y"), ("c", "y"), ("d", "x"), ("gone", "z")]
    with (root / "clips.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("video_id", "label", "split"), *((i, label, "train") for i, label in clips)])
    for name, config in (("video", VIDEO_CONFIG), ("audio", AUDIO_CONFIG)):
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(config))
    return root


def choices(place: Path, *more: str, cache: Path | None = None) -> list[str]:
    words = ["--manifest", str(place / "clips.csv"), "--videos", str(place / "videos"), "--device", "cpu"]
    words += ["--video-encoder", str(place / "video"), "--audio-encoder", str(place / "audio"), "--random-weights"]
    words += ["--shard-size", "3", "--workers", "1", "--precision", "float32"]
    return [*words, *(["--cache", str(cache)] if cache else []), *more]


def invoke(*words: str, status: int = 0):
    result = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def files(cache: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (cache / "shards").glob("*.h5")}


@pytest.fixture(scope="module")
def cache(place, tmp_path_factory) -> Path:
    """A finished cache of the place; tests that change it copy it."""
    cache: Path = tmp_path_factory.mktemp("finished") / "cache"
    result = invoke("run", *choices(place, cache=cache))
    assert "encoded: 4" in result.stdout
    assert "quarantined: 2 (" in result.stdout
    assert "no audio 1" in result.stdout
    assert "cannot be decoded 1" in result.stdout
    assert "clips: 6 of 7 clips found, 1 missing (z 1)" in result.stdout
    assert "RANDOM weights" in result.stdout
    return cache


def test_run_writes_a_cache_that_verifies(cache):
    assert (cache / "missing.csv").read_text().splitlines() == ["video_id,label,split", "gone,z,train"]
    features = FeatureCache(cache)
    assert sorted(features.ids) == ["a", "b", "c", "d"]
    assert features.visual_shape == (2, 4, 32)
    assert features.audio_shape == (32,)
    assert features.storage == "float16"
    assert features.random_weights
    assert features.fingerprint.facts["recipe"]["name"] == "audiomae"
    assert features.quarantined["silent"]["reason"] == "no audio"
    assert "Invalid data" in features.quarantined["text"]["words"]
    assert "as it was written" in invoke("verify", "--cache", str(cache)).stdout


def test_a_second_run_does_nothing(place, cache):
    before = {path: path.stat().st_mtime_ns for path in (cache / "shards").iterdir()}
    result = invoke("run", *choices(place, cache=cache))
    assert "nothing to do" in result.stdout
    assert "in the cache before: 4" in result.stdout
    assert "quarantined before and left alone: 2 (--retry-quarantined" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in (cache / "shards").iterdir()} == before


def test_a_removed_shard_is_made_again_bit_for_bit_with_other_workers(place, cache):
    before = files(cache)
    lost = cache / "shards" / sorted(before)[0]
    lost.unlink()
    lost.with_suffix(".json").unlink()
    result = invoke("run", *choices(place, "--workers", "2", cache=cache))
    assert "encoded: 2" in result.stdout
    assert files(cache) == before


def test_labels_lists_and_folders_are_no_markup(place, tmp_path):
    """They go through rich on their way to the screen, which reads [words in brackets]."""
    for name, source in (("[/red]", "video"), ("[bold]", "audio")):
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(place / source / "config.json", tmp_path / name)
    clips = tmp_path / "[link=x].csv"
    clips.write_text("video_id,label,split\na,x,train\ngone,[/b] :dog:,train\n")
    words = choices(place, "--manifest", str(clips), cache=tmp_path / "[i]\x1b[2J")
    words += ["--video-encoder", str(tmp_path / "[/red]"), "--audio-encoder", str(tmp_path / "[bold]")]
    result = invoke("run", *words)
    assert "[link=x]: 1 of 2 clips found, 1 missing ([/b] :dog: 1)" in result.stderr
    assert f"VideoMAE {tmp_path}/[/red] with RANDOM weights" in result.stderr
    assert f"{tmp_path}/[bold] with RANDOM weights" in result.stderr
    assert "[link=x]: 1 of 2 clips found, 1 missing ([/b] :dog: 1)" in result.stdout
    assert f"cache: {tmp_path}/[i]\\u001b[2J" in result.stdout
    assert "\x1b" not in result.output


def test_silence_for_clips_without_sound(place, tmp_path):
    cache = tmp_path / "cache"
    result = invoke("run", *choices(place, "--missing-audio", "silence", cache=cache))
    assert "encoded: 5" in result.stdout
    assert "silent" in FeatureCache(cache).ids


def test_a_cache_of_random_weights_says_so_before_others_are_looked_for(place, cache):
    words = [word for word in choices(place, cache=cache) if word != "--random-weights"]
    result = invoke("run", *words, status=2)
    error = f"error: {cache} was begun with --random-weights 0: give that, or another --cache"
    assert result.stderr.splitlines()[-1] == error


def test_another_way_of_making_features_is_refused_by_name(place, cache):
    before = files(cache)
    for more, difference in (
        (("--recipe", "released"), "recipe"),
        (("--store", "float32"), "storage"),
        (("--random-weights", "1"), "seed"),
        (("--precision", "bfloat16"), "precision"),
    ):
        result = invoke("run", *choices(place, *more, cache=cache), status=2)
        assert "was made in another way" in result.stderr
        assert difference in result.stderr
        assert len([line for line in result.stderr.splitlines() if line.startswith("error:")]) == 1
    assert files(cache) == before


def test_the_precision_of_a_cache_is_kept_where_none_is_given(place, tmp_path):
    cache = tmp_path / "cache"
    invoke("run", *choices(place, "--precision", "bfloat16", cache=cache))
    words = choices(place, cache=cache)
    at = words.index("--precision")
    result = invoke("run", *words[:at], *words[at + 2 :])
    assert "nothing to do" in result.stdout


def test_the_released_recipe(place, tmp_path):
    cache = tmp_path / "cache"
    invoke("run", *choices(place, "--recipe", "released", "--store", "int8", "--limit", "1", cache=cache))
    facts = FeatureCache(cache).fingerprint.facts
    assert facts["recipe"]["sample_rate"] == 11_430
    assert facts["storage"] == "int8"
    assert FeatureCache(cache).ids == ("a",)


def test_plan_measures_and_writes_nothing(place, cache, tmp_path):
    before = sorted(tmp_path.rglob("*")) + sorted(cache.rglob("*"))
    fresh = invoke("plan", *choices(place, cache=tmp_path / "new")).stdout
    assert "clips: 6 of 7 clips found, 1 missing (z 1)" in fresh
    assert "to do: 6 clips in 2 shards" in fresh
    assert "3.46 kB as float16 (576 B a clip: 2 x 4 x 32 and 32)" in fresh
    assert "s a clip to decode" in fresh
    assert "of these 2 would be quarantined" in fresh
    assert "in all about" in fresh
    assert "nothing to do" in invoke("plan", *choices(place, cache=cache)).stdout
    assert sorted(tmp_path.rglob("*")) + sorted(cache.rglob("*")) == before


def test_a_data_set_of_ones_own_is_taken_by_its_toml_file(place, tmp_path):
    """Files are found by its naming habits, and its frame rate is the recipe's."""
    (tmp_path / "mine.toml").write_text(
        """
        title = "Mine"
        source_video = '(?P<source>[a-z]+)-\\d{3}'
        [[files]]
        pattern = '(?P<name>[a-z]+) (?P<number>\\d+)'
        id = "{name}-{number:0>3}"
        [protocol]
        classes_per_task = 1
        [released]
        frame_rate = 3
        """
    )
    (tmp_path / "mine.csv").write_text("video_id,label,split\nwalk-001,x,train\nwalk-002,y,train\nrun-001,y,test\n")
    (tmp_path / "mine.classes.csv").write_text("class_index,label\n0,y\n1,x\n")
    videos, cache = tmp_path / "videos", tmp_path / "cache"
    videos.mkdir()
    for name in ("walk 1", "run 01"):
        os.link(place / "videos" / "a.mp4", videos / f"{name}.mp4")
    words = choices(place, "--recipe", "released", "--videos", str(videos), cache=cache)
    words = ["--dataset", str(tmp_path / "mine.toml"), *words[words.index("--videos") :]]
    plan = invoke("plan", *words).stdout
    assert "mine: 2 of 3 clips found, 1 missing (y 1)" in plan
    assert "to do: 2 clips in 1 shard" in plan
    assert "encoded: 2" in invoke("run", *words).stdout
    features = FeatureCache(cache)
    assert features.ids == ("walk-001", "run-001")
    assert features.fingerprint.facts["recipe"]["jpeg_rate"] == 3
    status = invoke("status", "--cache", str(cache), "--dataset", str(tmp_path / "mine.toml")).stdout
    assert "mine train: 1 of 2 clips" in status
    (tmp_path / "mine.csv").unlink()
    assert "there is no mine.csv beside it" in invoke("plan", *words, status=2).stderr


def test_status_of_a_cache_and_of_a_list(place, cache):
    lines = invoke("status", "--cache", str(cache), "--manifest", str(place / "clips.csv")).stdout
    assert "4 clips in 2 shards" in lines
    assert "features: 2 x 4 x 32 and 32, float16" in lines
    assert "RANDOM weights" in lines
    assert "quarantined: 2" in lines
    assert "clips train: 4 of 7 clips" in lines


def test_verify_finds_a_flipped_bit_and_ends_with_status_1(place, tmp_path):
    cache = tmp_path / "cache"
    invoke("run", *choices(place, "--limit", "3", cache=cache))
    [shard] = (cache / "shards").glob("*.h5")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    result = invoke("verify", "--cache", str(cache), status=1)
    assert "its hash differs" in result.stdout
    assert "problems" in result.stdout


def test_export_in_the_order_of_the_list(place, cache, tmp_path):
    out = tmp_path / "plain"
    invoke("export", "--cache", str(cache), "--out", str(out), "--manifest", str(place / "clips.csv"))
    with (out / "clips.csv").open() as stream:
        assert [row["video_id"] for row in csv.DictReader(stream)] == ["a", "b", "c", "d"]
    visual = np.load(out / "visual.npy")
    np.testing.assert_array_equal(visual, FeatureCache(cache).read(["a", "b", "c", "d"]).visual.numpy())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--recipe", "relesed"), "unknown value for --recipe 'relesed': did you mean 'released'?"),
        (("--store", "float61"), "did you mean 'float16'?"),
        (("--precision", "bloat16"), "did you mean 'bfloat16'?"),
        (("--missing-audio", "silense"), "did you mean 'silence'?"),
        (("--workers", "0"), "--workers: Input should be greater than or equal to 1"),
        (("--batch-size", "-3"), "--batch-size"),
        (("--clip-timeout", "0"), "--clip-timeout"),
        (("--shard-size", "many"), "'--shard-size': 'many' is not a valid integer"),
        (("--device", "cuda:99"), "device 'cuda:99' cannot be used"),
        (("--dataset", "ave"), "not both"),
        (("--video-encoder", "/no/such/place"), "/no/such/place"),
        (("--wrokers", "2"), "No such option"),
    ],
)
def test_bad_values_are_one_line_and_write_nothing(place, tmp_path, words, message):
    cache = tmp_path / "cache"
    result = invoke("run", *choices(place, cache=cache), *words, status=2)
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert message in line
    assert not cache.exists()


def test_unknown_data_set(place, tmp_path):
    words = ["--dataset", "vggsound", "--videos", str(place / "videos"), "--cache", str(tmp_path / "cache")]
    assert "did you mean 'vggsound100'" in invoke("run", *words, status=2).stderr


def test_no_clip_has_a_file(place, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["--dataset", "ave", "--videos", str(empty), "--cache", str(tmp_path / "cache")]
    result = invoke("run", *words, status=2)
    assert "not one of the 4079 clips of ave has a file under" in result.stderr
    assert not (tmp_path / "cache").exists()


def test_every_clip_is_quarantined(place, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").write_text("no")
    (videos / "b.mp4").write_text("no")
    words = choices(place, "--videos", str(videos), cache=tmp_path / "cache")
    result = invoke("run", *words, status=2)
    assert "all 2 clips that have a file are quarantined (cannot be decoded 2)" in result.stderr
    again = invoke("run", *words, status=2)
    assert "--retry-quarantined tries them again" in again.stderr


def test_help_needs_neither_torch_nor_transformers():
    program = (
        "import sys; from avcil.extract.cli import main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'av', 'h5py'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_ends_cleanly_and_can_be_resumed(place, tmp_path, number, status):
    videos, clips, cache = tmp_path / "videos", tmp_path / "clips.csv", tmp_path / "cache"
    videos.mkdir()
    names = [f"clip{number:03d}" for number in range(150)]
    for name in names:
        os.link(place / "videos" / "a.mp4", videos / f"{name}.mp4")
    clips.write_text("\n".join(["video_id,label,split", *(f"{name},x,train" for name in names)]))
    words = choices(place, "--manifest", str(clips), "--videos", str(videos), cache=cache)
    program = "from avcil.extract.cli import main; main()"
    process = psutil.Popen([sys.executable, "-c", program, "run", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(cache.glob("shards/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    children = process.children(recursive=True)
    assert children
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == status
    assert "the same command resumes there" in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert not list(cache.glob("shards/*.part"))
    done = len(FeatureCache(cache).ids)
    assert 0 < done < 150
    assert f"encoded: {150 - done}\n" in invoke("run", *words).stdout


@pytest.fixture
def in_folders(place, tmp_path) -> list[str]:
    """Options for a folder of labels without a list: six clips of two classes."""
    for label, sources in (("big dog", "abc"), ("cat", "dca")):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number, source in enumerate(sources):
            end = f"{label} {number}".encode()  # so that none is a copy of another
            video = (place / f"videos/{source}.mp4").read_bytes() + (8 + len(end)).to_bytes(4) + b"free" + end
            (tmp_path / "clips" / label / f"{number}.mp4").write_bytes(video)
    words = ["--videos", str(tmp_path / "clips"), "--device", "cpu", "--precision", "float32", "--workers", "1"]
    words += ["--video-encoder", str(place / "video"), "--audio-encoder", str(place / "audio"), "--random-weights"]
    return [*words, "--cache", str(tmp_path / "cache")]


def test_a_folder_without_a_list_gets_one_that_stage_2_and_repair_take(in_folders, tmp_path):
    result = invoke("run", *in_folders)
    cache, table = tmp_path / "cache", tmp_path / "cache/clips.csv"
    assert "2 classes in folders, clips: 2 train, 2 val, 2 test" in result.stderr
    assert "divided by class with seed 0" in result.stderr
    assert result.stdout.splitlines()[-2:] == [
        f"list: {table} (2 classes, clips: 2 train, 2 val, 2 test)",
        f"next: avcil-incr run --method av-cil --manifest {table} --cache {cache} --classes-per-task 1 "
        "--out runs/av-cil",
    ]
    manifest = read_manifest(table)
    assert sorted(FeatureCache(cache).ids) == sorted(clip.id for clip in manifest.clips)
    written = table.read_bytes()
    again = invoke("run", *in_folders)
    assert "nothing to do" in again.stdout
    assert "not as it was" not in again.stderr
    assert table.read_bytes() == written
    shard = next((cache / "shards").glob("*.h5"))
    before = shard.read_bytes()
    shard.unlink()
    (tmp_path / "clips/cat/late.mp4").write_text("the list knows nothing of it")
    assert "mended" in invoke("repair", "--cache", str(cache)).stdout
    assert shard.read_bytes() == before


def test_a_changed_folder_and_other_shares_are_said(in_folders, tmp_path):
    invoke("run", *in_folders)
    result = invoke("run", *in_folders, "--split", "0.5/0.5")
    assert "the folder is not as it was when the list was written: " in result.stderr
    assert "in another split; the former list is" in result.stderr
    assert "(2 classes, clips: 4 train, 0 val, 2 test)" in result.stdout


def test_choices_that_do_not_go_with_a_folder_or_a_list(in_folders, place, tmp_path):
    table = str(place / "clips.csv")
    for more, words in (
        (("--split", "0.5/0.6"), "error: '0.5/0.6' adds up to 1.1, not to 1 or 100"),
        (("--classes", table), "error: --classes goes with --manifest"),
        (("--manifest", table, "--split", "0.5/0.5"), "error: --split divides a folder of videos without a list"),
    ):
        result = invoke("run", *in_folders, *more, status=2)
        assert result.stderr.startswith(words)
        assert result.stderr.count("\n") == 1
    (tmp_path / "clips/loose.mp4").write_text("x")
    result = invoke("run", *in_folders, status=2)
    assert "loose.mp4 lies beside the folders of labels, so it has no label: put them into" in result.stderr
    assert not (tmp_path / "cache").exists()
