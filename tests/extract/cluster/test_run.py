"""`avcil-extract run --ray` from end to end: the same cache as from one process."""

import pytest
from avcil.cache import scan, verify
from avcil.tests.extract.test_cli import choices, files, invoke

pytestmark = pytest.mark.slow  # Ray and its workers take seconds to start


@pytest.fixture(scope="module")
def alone(place, tmp_path_factory):
    """What one process makes."""
    cache = tmp_path_factory.mktemp("alone") / "cache"
    invoke("run", *choices(place, cache=cache))
    return cache


def test_two_workers_make_what_one_process_makes_and_resume_it(cluster, place, alone, tmp_path):
    cache = tmp_path / "cache"
    result = invoke("run", *choices(place, "--ray", cluster, cache=cache))
    assert "20 clips to do, 7 shards; 2 workers on 2 machines" in result.stderr
    assert "encoded: 18" in result.stdout
    assert "quarantined: 2 (" in result.stdout
    assert len(files(cache)) == 7
    assert files(cache) == files(alone)
    for name in ("quarantine.json", "missing.csv"):
        assert (cache / name).read_bytes() == (alone / name).read_bytes()
    assert scan(cache).shards == scan(alone).shards
    assert verify(cache).ok
    assert not list(cache.rglob("*.part"))

    assert "nothing to do" in invoke("run", *choices(place, "--ray", cluster, cache=cache)).stdout
    for name in sorted(files(cache))[2:4]:
        for suffix in (".h5", ".json"):
            (cache / "shards" / name).with_suffix(suffix).unlink()
    invoke("run", *choices(place, "--ray", cluster, "--ray-workers", "1", cache=cache))
    assert files(cache) == files(alone)
