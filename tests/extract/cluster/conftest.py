"""A Ray cluster on this machine, started for the tests of a module and stopped behind them; and clips for it."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from avcil.tests.extract.conftest import write_clip
from avcil.tests.extract.test_cli import AUDIO_CONFIG, VIDEO_CONFIG

STORE = 100 * 2**20
LETHAL = "c11"
"""The clip whose last picture is white on top, which the encoder below knows it by."""
LETHAL_ENCODER = """
import os, signal, time
from pathlib import Path
import torch
from avcil.extract.encoders import FrameEncoder, SoundEncoder, VisualPreparation

class Lethal(FrameEncoder):
    name = "lethal"
    preparation = VisualPreparation(frames=4, shortest_edge=32, crop=32)

    def load(self, source):
        self.place = Path(source)
        model = torch.nn.Linear(3 * 32 * 8, 8)
        model.load_state_dict({"weight": torch.arange(8 * 768).reshape(8, 768) / 6144, "bias": torch.zeros(8)})
        return model

    def encode(self, model, pixels):
        deed = (self.place / "deed").read_text()
        if "slow" in deed:
            time.sleep(0.2)
        if (pixels[:, -1, :, :6].mean((1, 2, 3)) > 0.75).any() and len(pixels):
            if "always" in deed or ("once" in deed and not (self.place / "done").exists()):
                (self.place / "done").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if "error" in deed:
                raise RuntimeError("CUDA error: device-side assert triggered")
        return model(pixels.unflatten(3, (4, 8)).transpose(2, 3).flatten(3))

class Loudness(SoundEncoder):
    name = "loudness"

    def load(self, source):
        return torch.nn.Identity()

    def encode(self, model, waveform):
        return waveform[:, : waveform.shape[1] // 8 * 8].unflatten(1, (8, -1)).abs().mean(2)
"""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, in this machine; gives the address."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    node: dict[str, Any] = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Twenty clips, of which one has no sound and one is no video; and the two encoders' configurations."""
    root: Path = tmp_path_factory.mktemp("place")
    (root / "videos").mkdir()
    clips = [f"c{number:02}" for number in range(20)]
    for number, clip in enumerate(clips):
        if number == 6:
            (root / "videos" / f"{clip}.mp4").write_text("this is no video\n")
        else:
            frames = 256 if clip == LETHAL else 8 + number
            write_clip(root / "videos" / f"{clip}.mp4", frames=frames, audio=None if number == 13 else "aac")
    with (root / "clips.csv").open("w", newline="") as stream:
        rows = [(clip, "xy"[number % 2], "train") for number, clip in enumerate(clips)]
        csv.writer(stream).writerows([("video_id", "label", "split"), *rows])
    for name, config in (("video", VIDEO_CONFIG), ("audio", AUDIO_CONFIG)):
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(config))
    (root / "lethal.py").write_text(LETHAL_ENCODER)
    (root / "deed").write_text("none")
    return root
