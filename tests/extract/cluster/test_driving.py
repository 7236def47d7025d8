"""Workers and drivers that die: nothing is lost, nothing is made twice, and what kills is named."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from avcil.cache import FeatureCache, scan, verify
from avcil.tests.extract.test_cli import choices, files, invoke

from .conftest import LETHAL

pytestmark = pytest.mark.slow  # Ray and its workers take seconds to start
MARK = "AVCIL_TEST_OF_DRIVING"


def lethal(place: Path, *more: str, cache: Path) -> list[str]:
    encoders = "--video-encoder", f"lethal:{place}", "--audio-encoder", "loudness"
    words = choices(place, "--plugin", str(place / "lethal.py"), *encoders, *more, cache=cache)
    return [word for word in words if word != "--random-weights"]


@pytest.fixture(scope="module")
def alone(place, tmp_path_factory):
    """What one process makes."""
    cache = tmp_path_factory.mktemp("alone") / "cache"
    invoke("run", *lethal(place, cache=cache))
    return cache


@pytest.fixture
def deed(place):
    """`deed("once")` says what the encoder does to its process."""
    yield (place / "deed").write_text
    (place / "deed").write_text("none")
    (place / "done").unlink(missing_ok=True)


def is_whole(cache: Path) -> bool:
    """Whether every byte and every record is right, and nothing else is there."""
    return verify(cache).ok and not list(cache.rglob("*.part"))


def test_a_worker_that_is_killed_costs_no_clip(cluster, place, alone, deed, tmp_path):
    deed("once")
    cache = tmp_path / "cache"
    result = invoke("run", *lethal(place, "--ray", cluster, cache=cache))
    assert (place / "done").exists()
    assert "a worker died over shard-00003-" in result.stderr
    assert "which is tried again (1)" in result.stderr
    assert "workers that died: 1\n" in result.stdout
    assert files(cache) == files(alone)
    assert (cache / "quarantine.json").read_bytes() == (alone / "quarantine.json").read_bytes()
    assert is_whole(cache)


@pytest.mark.parametrize("kind", ["always", "error"])
def test_a_clip_that_kills_every_worker_is_quarantined_and_its_shard_made(cluster, place, deed, tmp_path, kind):
    deed(kind)
    cache = tmp_path / "cache"
    result = invoke("run", *lethal(place, "--ray", cluster, cache=cache))
    assert "quarantined: 3 (" in result.stdout
    assert "kills its worker 1" in result.stdout
    assert "encoded: 17" in result.stdout
    said = json.loads((cache / "quarantine.json").read_text())[LETHAL]
    assert said["reason"] == "kills its worker"
    assert said["words"].startswith("each of the last 3 worker processes that encoded it, alone, died: ")
    assert ("device-side assert" in said["words"]) == (kind == "error")
    assert is_whole(cache)

    deed("none")  # as one process makes it of the same list, without that clip
    other = tmp_path / "videos"
    shutil.copytree(place / "videos", other)
    (other / f"{LETHAL}.mp4").write_text("no video")
    invoke("run", *lethal(place, "--videos", str(other), cache=tmp_path / "without"))
    assert files(cache) == files(tmp_path / "without")


def started(place: Path, *more: str, cache: Path) -> "subprocess.Popen[bytes]":
    """The command in a process of its own, once it has finished a shard."""
    program = "from avcil.extract.cli import main; import sys; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "run", *lethal(place, *more, cache=cache)]
    environment = {**os.environ, MARK: str(cache)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while process.poll() is None and not list((cache / "shards").glob("*.json")):
        time.sleep(0.05)
    return process


def marked(cache: Path) -> list[psutil.Process]:
    """Processes that such a command started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(cache):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_driver_that_is_killed_resumes(cluster, place, alone, deed, tmp_path):
    deed("slow")
    cache = tmp_path / "cache"
    process = started(place, "--ray", cluster, cache=cache)
    process.kill()
    process.communicate()
    done = {record.name for record in scan(cache).shards}
    assert 0 < len(done) < 7
    before = {name: (cache / "shards" / f"{name}.h5").stat().st_mtime_ns for name in done}
    result = invoke("run", *lethal(place, "--ray", cluster, cache=cache))
    assert f"in the cache before: {sum(len(record.ids) for record in scan(cache).shards if record.name in done)}" in (
        result.stdout
    )
    assert {name: (cache / "shards" / f"{name}.h5").stat().st_mtime_ns for name in done} == before
    assert files(cache) == files(alone)
    assert is_whole(cache)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_driver_takes_the_ray_that_it_started_with_it(place, deed, tmp_path, number, status):
    pytest.importorskip("ray")
    deed("slow")
    cache = tmp_path / "cache"
    process = started(place, "--ray", "--ray-workers", "1", cache=cache)
    assert len(marked(cache)) > 3
    process.send_signal(number)
    said, _ = process.communicate()
    assert process.returncode == status, said.decode()
    assert b"Traceback" not in said
    until = time.monotonic() + 60
    while (left := marked(cache)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left
    assert 0 < len(FeatureCache(cache).ids) < 18
    if number != signal.SIGKILL:
        assert is_whole(cache)
