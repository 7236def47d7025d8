"""A writer killed by SIGKILL, at the worst moments, leaves nothing that a reader takes for data."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from avcil.cache import CacheWriter, FeatureCache, scan

from .conftest import features, fingerprint

# Writes one whole shard, then a second one up to the moment asked for; there it says so and waits to be killed.
PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
from avcil.cache import CacheWriter, Fingerprint
from avcil import files
from avcil.cache import shard_writer

directory, moment, facts, npz = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), np.load(sys.argv[4])
ids = [f"clip{number}" for number in range(8)]

def wait(*ignored):
    print("now", flush=True)
    time.sleep(600)

with CacheWriter(directory, Fingerprint(facts)) as cache:
    cache.write_shard("shard-0", ids[:4], npz["visual"][:4], npz["audio"][:4])
    cache.quarantine("lost", "no audio", "words")
    if moment == "before the hash":
        shard_writer.sha256_of = wait
    elif moment == "between shard and record":
        shard_writer.write_json = wait
    elif moment == "before the record's name":
        files.rename_durably = wait
    with cache.shard("shard-1", ids[4:], npz["visual"].shape[1:], npz["audio"].shape[1:]) as shard:
        for index in range(4):
            shard.put(index, npz["visual"][4 + index], npz["audio"][4 + index])
            if moment == "half of the clips" and index == 1:
                wait()
"""


def killed_at(moment: str, directory, tmp_path) -> None:
    visual, audio = features(8)
    np.savez(tmp_path / "features.npz", visual=visual, audio=audio)
    arguments = [str(directory), moment, repr(dict(fingerprint().facts)), str(tmp_path / "features.npz")]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "moment",
    ["half of the clips", "before the hash", "between shard and record", "before the record's name"],
)
@pytest.mark.slow
def test_only_the_finished_shard_is_data_and_the_rest_is_made_again_bit_for_bit(tmp_path, moment):
    directory = tmp_path / "cache"
    killed_at(moment, directory, tmp_path)
    assert any(path.stem.startswith("shard-1") for path in (directory / "shards").iterdir())
    reader = FeatureCache(directory)
    assert reader.ids == ("clip0", "clip1", "clip2", "clip3")
    assert reader.verify().ok
    assert set(reader.quarantined) == {"lost"}
    assert [path.name.partition(".")[0] for path in scan(directory).leftovers].count("shard-1") >= 1

    visual, audio = features(8)
    ids = [f"clip{number}" for number in range(8)]
    with CacheWriter(directory, fingerprint()) as cache:  # the kernel freed the dead writer's lock
        assert cache.have == set(ids[:4])
        assert cache.cleared
        cache.write_shard("shard-1", ids[4:], visual[4:], audio[4:])
    with CacheWriter(tmp_path / "undisturbed", fingerprint()) as cache:
        cache.write_shard("shard-0", ids[:4], visual[:4], audio[:4])
        cache.write_shard("shard-1", ids[4:], visual[4:], audio[4:])
    for name in ("shard-0", "shard-1"):
        for suffix in ("h5", "json"):
            twins = [base / "shards" / f"{name}.{suffix}" for base in (directory, tmp_path / "undisturbed")]
            assert twins[0].read_bytes() == twins[1].read_bytes()
    assert sorted(path.name for path in (directory / "shards").iterdir()) == sorted(
        path.name for path in (tmp_path / "undisturbed/shards").iterdir()
    )
    assert FeatureCache(directory).verify().ok
