"""A Ray cluster on this machine, started for the tests of a module and stopped behind them; and clips for it."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray")

from avcil.tests.extract.conftest import write_clip  # noqa: E402 - needs the libraries that a skip spares
from avcil.tests.extract.test_cli import AUDIO_CONFIG, VIDEO_CONFIG  # noqa: E402

STORE = 100 * 2**20
LETHAL_FRAMES = 256
"""The last picture of so long a clip is white on top, which encoders of the tests know it by."""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, in this machine; gives the address."""
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
            write_clip(root / "videos" / f"{clip}.mp4", frames=8 + number, audio=None if number == 13 else "aac")
    with (root / "clips.csv").open("w", newline="") as stream:
        rows = [(clip, "xy"[number % 2], "train") for number, clip in enumerate(clips)]
        csv.writer(stream).writerows([("video_id", "label", "split"), *rows])
    for name, config in (("video", VIDEO_CONFIG), ("audio", AUDIO_CONFIG)):
        (root / name).mkdir()
        (root / name / "config.json").write_text(json.dumps(config))
    return root
