from pathlib import Path

from avcil.extract.listing import keep_list, next_step, trainable
from avcil.manifests import Clip, Manifest, read_manifest

CLIPS = (
    Clip("cat__1", "cat", "train", "cat/1.mp4"),
    Clip("cat__2", "cat", "test", "cat/2.mp4"),
    Clip("dog__1", "dog", "train", "dog/1.mp4"),
)


def listed(*clips: Clip) -> Manifest:
    return Manifest("clips", clips, tuple(dict.fromkeys(clip.label for clip in clips)))


def test_the_list_is_written_once_and_left_alone_while_it_says_the_same(tmp_path):
    path = tmp_path / "clips.csv"
    assert keep_list(listed(*CLIPS), path) == []
    assert read_manifest(path).clips == CLIPS
    before = path.stat().st_mtime_ns
    assert keep_list(listed(*CLIPS), path) == []
    assert path.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_changed_is_said_and_the_former_list_is_kept(tmp_path):
    path = tmp_path / "clips.csv"
    keep_list(listed(*CLIPS), path)
    former = path.read_bytes()
    after = (CLIPS[0], Clip("cat__2", "cat", "val", "cat/2.mp4"), Clip("dog__3", "dog", "train", "dog/3.mp4"))
    (line,) = keep_list(listed(*after), path)
    (kept,) = tmp_path.glob("clips.before-*.csv")
    assert line == (
        "the folder is not as it was when the list was written: 1 new, 1 gone, 1 in another split; "
        f"the former list is {kept}"
    )
    assert kept.read_bytes() == former
    assert read_manifest(path).clips == after


def test_a_list_that_cannot_be_read_is_kept_too(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("my notes")
    (line,) = keep_list(listed(*CLIPS), path)
    assert line.startswith("the list that was there could not be read (")
    (kept,) = tmp_path.glob("clips.before-*.csv")
    assert kept.read_text() == "my notes"
    assert read_manifest(path).clips == CLIPS


def test_a_run_needs_clips_of_every_class_to_learn_from_and_to_test_with():
    clips = [Clip(f"{label}-{split}", label, split) for label in ("cat", "dog") for split in ("train", "test")]
    manifest = listed(*clips)
    everything = {clip.id for clip in clips}
    assert trainable(manifest, everything)
    assert not any(trainable(manifest, everything - {clip.id}) for clip in clips)


def test_the_next_command_can_be_typed_as_it_stands(tmp_path):
    lines = next_step(listed(*CLIPS), Path("my caches/a"))
    assert lines == [
        "list: my caches/a/clips.csv (2 classes, clips: 2 train, 0 val, 1 test)",
        "next: avcil-incr run --method av-cil --manifest 'my caches/a/clips.csv' --cache 'my caches/a' "
        "--classes-per-task 1 --model-choice last --out runs/av-cil",
    ]
    validated = next_step(listed(*CLIPS, *(Clip(f"{label}__9", label, "val") for label in ("cat", "dog"))), Path("a"))
    assert validated[1].endswith("--classes-per-task 1 --out runs/av-cil")
