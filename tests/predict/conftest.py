"""Video files taken through both stages, once: a run of ridge regression and one by gradient on their features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from avcil.demo.clips import DataSet, plan, write_data_set
from avcil.demo.encoders import write_encoders
from avcil.extract.config import ExtractionConfig
from avcil.extract.run import run as extract
from avcil.incremental import configure
from avcil.incremental import run as learn
from rich.console import Console


@dataclass(frozen=True)
class Taught:
    """What lies where."""

    data: DataSet
    encoders: tuple[Path, Path]
    cache: Path
    ridge: Path
    av_cil: Path

    def video(self, clip: str) -> Path:
        return self.data.videos / f"{clip}.mp4"


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    folder = tmp_path_factory.mktemp("taught")
    clips = plan(seed=7, clips_per_class={"train": 1, "val": 1, "test": 1})
    data = write_data_set(folder / "data", clips, processes=1)
    video, audio = write_encoders(folder / "encoders")
    config = ExtractionConfig(
        manifest=data.manifest,
        classes=data.classes,
        videos=data.videos,
        cache=folder / "cache",
        video_encoder=str(video),
        audio_encoder=str(audio),
        random_weights=0,
        device="cpu",
        precision="float32",
        workers=1,
    )
    extract(config, Console(quiet=True))
    common: dict[str, Any] = {
        "manifest": str(data.manifest),
        "classes": str(data.classes),
        "cache": str(folder / "cache"),
    }
    common |= {"classes_per_task": 3, "device": "cpu"}
    learn(configure("ridge", **common), folder / "ridge")
    learn(configure("av-cil", **common, epochs=1, precision="float32", memory_size=9), folder / "av-cil")
    return Taught(data, (video, audio), folder / "cache", folder / "ridge", folder / "av-cil")
