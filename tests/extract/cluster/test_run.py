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


def test_an_address_where_nothing_answers_is_one_line(place, tmp_path):
    pytest.importorskip("ray")
    result = invoke("run", *choices(place, "--ray", "ray://host:10001", cache=tmp_path / "cache"), status=2)
    assert result.stderr == "error: --ray ray://host:10001: run this on a node of the cluster, with --ray auto\n"
    result = invoke("run", *choices(place, "--ray", "auto", cache=tmp_path / "cache"), status=2)
    assert result.stderr.startswith("error: no Ray cluster answers at --ray auto (")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_a_plan_is_for_one_machine(place):
    result = invoke("plan", *choices(place, "--ray"), status=2)
    assert result.stderr.startswith("error: a plan is measured on this machine alone: leave --ray out")


def test_without_ray_one_line_says_what_to_install(place, tmp_path, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith("avcil.extract.cluster.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    result = invoke("run", *choices(place, "--ray", cache=tmp_path / "cache"), status=2)
    assert result.stderr == "error: this needs ray, which is not installed: pip install 'avcil[cluster]'\n"
    assert not (tmp_path / "cache").exists()
