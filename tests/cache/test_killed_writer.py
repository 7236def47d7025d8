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
from avcil.cache import shard_writer, writer

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
    elif moment == "before the shard's name":
        shard_writer.sync_directory = wait
    elif moment == "between shard and record":
        shard_writer.rename_durably = wait
    elif moment == "before the list":
        writer.add_to_list = wait
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
    ["half of the clips", "before the hash", "before the shard's name", "between shard and record", "before the list"],
)
@pytest.mark.slow
def test_only_finished_shards_are_data_and_the_rest_is_made_again_bit_for_bit(tmp_path, moment):
    directory = tmp_path / "cache"
    killed_at(moment, directory, tmp_path)
    ids = [f"clip{number}" for number in range(8)]
    assert any(path.name.startswith("shard-1") for path in (directory / "shards").iterdir())
    finished = moment == "before the list"
    reader = FeatureCache(directory)
    assert list(reader.ids) == (ids if finished else ids[:4])
    assert reader.verify().ok
    assert set(reader.quarantined) == {"lost"}
    left = [path.name.partition(".")[0] for path in scan(directory).leftovers]
    assert left == [] if finished else set(left) == {"shard-1"}

    visual, audio = features(8)
    with CacheWriter(directory, fingerprint()) as cache:  # the kernel freed the dead writer's lock
        assert bool(cache.lines) != finished
        assert cache.lost == ()
        if moment == "between shard and record":  # nothing but the record's name was lacking
            assert cache.lines == ("shard-1 was written and lacked its record: finished",)
            assert cache.have == set(ids)
        elif not finished:
            assert cache.have == set(ids[:4])
            cache.write_shard("shard-1", ids[4:], visual[4:], audio[4:])
    with CacheWriter(tmp_path / "undisturbed", fingerprint()) as cache:
        cache.write_shard("shard-0", ids[:4], visual[:4], audio[:4])
        cache.quarantine("lost", "no audio", "words")
        cache.write_shard("shard-1", ids[4:], visual[4:], audio[4:])
    there, undisturbed = (
        {path.relative_to(base): path.read_bytes() for path in base.rglob("*") if path.is_file()}
        for base in (directory, tmp_path / "undisturbed")
    )
    assert there == undisturbed
    assert FeatureCache(directory).verify().ok
