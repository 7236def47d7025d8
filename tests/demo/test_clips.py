import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import pytest
from avcil.demo import clips
from avcil.demo.clips import (
    CLASSES,
    CLASSES_PER_TASK,
    DataSet,
    PlannedClip,
    is_complete,
    plan,
    write_clip,
    write_data_set,
)
from avcil.demo.scenes import FRAME_RATE, FRAMES, MOTIONS, SAMPLE_RATE, SIDE, SOUNDS, draw_scene
from avcil.errors import InputError
from avcil.manifests import read_manifest, split_into_tasks

from .measure import decode, melody, velocity


def test_plan_is_balanced_and_repeatable():
    planned = plan()
    assert len(planned) == 300
    assert planned == plan()
    assert Counter((clip.motion, clip.sound, clip.split) for clip in planned) == {
        (*kind, split): count for kind in CLASSES for split, count in (("train", 15), ("val", 5), ("test", 5))
    }
    assert len({clip.id for clip in planned}) == len({clip.seed for clip in planned}) == 300
    assert {clip.seed for clip in planned}.isdisjoint(clip.seed for clip in plan(seed=1))


def test_one_modality_is_never_enough():
    """Each motion and each sound is shared by three classes, and in the first two tasks by two of the task's four."""
    assert len(set(CLASSES)) == 12
    assert Counter(motion for motion, _ in CLASSES) == dict.fromkeys(MOTIONS, 3)
    assert Counter(sound for _, sound in CLASSES) == dict.fromkeys(SOUNDS, 3)
    for task in split_into_tasks(tuple("-".join(kind) for kind in CLASSES), CLASSES_PER_TASK)[:2]:
        for part in (0, 1):
            assert set(Counter(name.split("-")[part] for name in task).values()) == {2}


def test_manifest_says_what_was_planned(small_set: DataSet, small_plan: tuple[PlannedClip, ...]):
    manifest = read_manifest(small_set.manifest, small_set.classes)
    assert [(clip.id, clip.label, clip.split) for clip in manifest.clips] == [
        (clip.id, f"{clip.motion}-{clip.sound}", clip.split) for clip in small_plan
    ]
    assert manifest.class_order == tuple(f"{motion}-{sound}" for motion, sound in CLASSES)
    assert {file.stem for file in small_set.videos.iterdir()} == {clip.id for clip in small_plan}


def seconds(stream: av.VideoStream | av.AudioStream) -> Fraction:
    assert stream.duration is not None
    assert stream.time_base is not None
    return stream.duration * stream.time_base


def test_files_are_h264_and_aac_of_two_seconds(small_set: DataSet):
    for path in small_set.videos.iterdir():
        with av.open(str(path)) as container:
            picture, sound = container.streams.video[0], container.streams.audio[0]
            assert container.format.name.split(",")[1] == "mp4"
            assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
            assert (picture.width, picture.height) == (SIDE, SIDE)
            assert picture.average_rate == Fraction(FRAME_RATE)
            assert (sound.rate, sound.channels) == (SAMPLE_RATE, 2)
            assert seconds(picture) == 2
            assert float(seconds(sound)) == pytest.approx(2, abs=0.05)
            assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_clips_show_and_sound_like_their_class(small_set: DataSet, small_plan: tuple[PlannedClip, ...]):
    directions = {"right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)}
    for clip in small_plan:
        frames, samples = decode(small_set.videos / f"{clip.id}.mp4")
        speed = draw_scene(clip.seed).speed * SIDE / FRAME_RATE
        expected = [speed * direction for direction in directions[clip.motion]]
        assert velocity(frames) == pytest.approx(expected, abs=0.15 * speed), clip.id
        heard = melody(samples, SAMPLE_RATE)
        kinds = {
            "rising": heard.rising > 0.9,
            "falling": heard.falling > 0.9,
            "wavering": min(heard.rising, heard.falling) > 0.25 and heard.held < 0.1,
            "skipping": heard.held > 0.3,
        }
        assert [kind for kind, is_so in kinds.items() if is_so] == [clip.sound], (clip.id, heard)


def test_the_same_clip_is_the_same_file(small_set: DataSet, small_plan: tuple[PlannedClip, ...], tmp_path: Path):
    clip = small_plan[5]
    path = tmp_path / "again.mp4"
    size = write_clip(clip, path)
    assert path.read_bytes() == (small_set.videos / f"{clip.id}.mp4").read_bytes()
    assert size == path.stat().st_size


def test_two_processes_write_what_one_writes(small_set: DataSet, small_plan: tuple[PlannedClip, ...], tmp_path: Path):
    counted: list[None] = []
    some = small_plan[:6]
    written = write_data_set(tmp_path, some, processes=2, on_clip=lambda: counted.append(None))
    assert len(counted) == written.clips == 6
    for file in written.videos.iterdir():
        assert file.read_bytes() == (small_set.videos / file.name).read_bytes()


class TestStartedAgain:
    @pytest.fixture
    def some(self, small_plan: tuple[PlannedClip, ...]) -> tuple[PlannedClip, ...]:
        return small_plan[:2]

    @pytest.fixture
    def written(self, some: tuple[PlannedClip, ...], tmp_path: Path) -> DataSet:
        return write_data_set(tmp_path, some, processes=1)

    def test_a_complete_data_set_is_left_alone(self, written: DataSet, some: tuple[PlannedClip, ...], tmp_path: Path):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        calls: list[None] = []
        assert write_data_set(tmp_path, some, processes=1, on_clip=lambda: calls.append(None)) == written
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        assert not calls

    @pytest.mark.parametrize("fault", ["no sign", "a clip cut short", "a clip gone", "another plan"])
    def test_what_is_not_complete_is_written_again(
        self, fault: str, written: DataSet, some: tuple[PlannedClip, ...], tmp_path: Path
    ):
        victim = written.videos / f"{some[0].id}.mp4"
        content = victim.read_bytes()
        if fault == "no sign":
            (tmp_path / "complete.json").unlink()
        elif fault == "a clip cut short":
            victim.write_bytes(content[:-100])
        elif fault == "a clip gone":
            victim.unlink()
        else:
            write_data_set(tmp_path, plan(seed=8, clips_per_class={"train": 1})[:3], processes=1)
        assert not is_complete(tmp_path, some)
        write_data_set(tmp_path, some, processes=1)
        assert is_complete(tmp_path, some)
        assert victim.read_bytes() == content
        assert len(list(written.videos.iterdir())) == 2

    def test_the_sign_is_written_last(
        self, some: tuple[PlannedClip, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def interrupted(clip: PlannedClip, path: Path) -> int:
            if clip == some[1]:
                raise KeyboardInterrupt
            return write_clip(clip, path)

        monkeypatch.setattr(clips, "write_clip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_data_set(tmp_path, some, processes=1)
        assert not is_complete(tmp_path, some)
        assert not (tmp_path / "complete.json").exists()


def test_a_pyav_without_the_encoders_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def without(name: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av.codec, "Codec", without)
    with pytest.raises(InputError, match=re.escape("cannot encode h264")) as caught:
        write_data_set(tmp_path, plan()[:1])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
