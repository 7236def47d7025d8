import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avcil.cache import FeatureCache
from avcil.errors import InputError
from avcil.extract.decoding.frames import READING, read_frames
from avcil.incremental.results.collect import FinishedRun
from avcil.predict.encoding import encoding_of
from avcil.predict.frames import files_of, first_of_each_slice, frames_of, preparation_of
from avcil.predict.recogniser import load
from avcil.tests.predict.conftest import Taught


@pytest.fixture
def run(taught: Taught) -> FinishedRun:
    return load(taught.av_cil, device="cpu").trained.finished


@pytest.fixture
def clip(taught: Taught) -> str:
    return FeatureCache(taught.cache).ids[0]


def with_provenance(run: FinishedRun, **changes: Any) -> FinishedRun:
    return replace(run, content={**run.content, "provenance": {**run.content["provenance"], **changes}})


def with_choices(run: FinishedRun, **changes: Any) -> FinishedRun:
    return with_provenance(run, cache_choices={**run.content["provenance"]["cache_choices"], **changes})


def test_frames_are_those_that_the_encoder_saw(taught: Taught, run: FinishedRun, clip: str):
    encoding = encoding_of(run, device="cpu")
    assert preparation_of(run).recipe == encoding.preparation.recipe
    assert preparation_of(run).visual == encoding.preparation.visual
    seen = read_frames(taught.video(clip), encoding.preparation.recipe, encoding.encoders.visual.preparation, "pyav")
    frames = frames_of(run, taught.video(clip))
    assert frames.shape == (16, 3, 112, 112)
    np.testing.assert_array_equal(frames, seen)
    assert len(np.unique(frames.reshape(16, -1), axis=0)) > 8  # the clip moves


def test_a_processor_of_other_sizes_is_followed(taught: Taught, run: FinishedRun, clip: str):
    facts = run.content["provenance"]["cache_made_by"]
    processor = {**facts["visual_encoder"]["processor"], "frames": 4, "shortest_edge": 64, "crop": 48}
    other = with_provenance(run, cache_made_by={**facts, "visual_encoder": {"processor": processor}})
    assert frames_of(other, taught.video(clip)).shape == (4, 3, 48, 48)


def test_the_first_frame_of_each_slice():
    frames = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1).repeat(3, axis=1)
    assert [(number, int(frame[0, 0, 0])) for number, frame in first_of_each_slice(frames, 3)] == [
        (1, 0),
        (3, 2),
        (5, 4),
    ]
    assert [number for number, _ in first_of_each_slice(frames, 6)] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(InputError, match="6 frames do not divide into 4 time slices"):
        first_of_each_slice(frames, 4)


def test_the_file_is_found_where_the_features_were_made(taught: Taught, run: FinishedRun, clip: str, tmp_path: Path):
    assert files_of(run, clip) == (taught.video(clip),)
    with pytest.raises(InputError, match=r"clip 'none' has no file under "):
        files_of(run, "none")
    with pytest.raises(InputError, match=r"there is no directory .*moved"):
        files_of(with_choices(run, videos=str(tmp_path / "moved")), clip)
    settings = {**run.content["run"], "cache": str(tmp_path / "gone")}
    unsaid = with_provenance(replace(run, content={**run.content, "run": settings}), cache_choices=None)
    with pytest.raises(InputError, match=r"neither .* nor its cache says where the videos lay"):
        files_of(unsaid, clip)


def test_several_files_of_a_clip(taught: Taught, run: FinishedRun, clip: str, tmp_path: Path):
    """Between different files nothing tells: neither is drawn. Where one has the better name it comes first."""
    videos = sorted(taught.data.videos.iterdir())
    for folder, file in zip(("a", "b"), videos, strict=False):
        (tmp_path / "disputed" / folder).mkdir(parents=True)
        shutil.copy(file, tmp_path / "disputed" / folder / f"{clip}.mp4")
    with pytest.raises(InputError, match=rf"clip '{clip}' has 2 different files under "):
        files_of(with_choices(run, videos=str(tmp_path / "disputed")), clip)


def test_of_several_files_the_first_that_can_be_decoded(taught: Taught, run: FinishedRun, clip: str, tmp_path: Path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    np.testing.assert_array_equal(frames_of(run, broken, taught.video(clip)), frames_of(run, taught.video(clip)))
    with pytest.raises(InputError, match=r"broken\.mp4: cannot be decoded: "):
        frames_of(run, broken)
    with pytest.raises(InputError, match="a folder, not a video file"):
        frames_of(run, tmp_path)


def test_features_whose_frames_are_not_known(taught: Taught, run: FinishedRun, clip: str):
    with pytest.raises(InputError, match="does not record which frames its features were made from"):
        frames_of(with_provenance(run, cache_made_by={"origin": "imported"}), taught.video(clip))
    facts = json.loads(json.dumps(run.content["provenance"]["cache_made_by"]))
    with pytest.raises(InputError, match="another version of avcil, which reads other frames"):
        frames_of(with_provenance(run, cache_made_by={**facts, "reading": READING - 1}), taught.video(clip))
