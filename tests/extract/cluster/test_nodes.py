"""How workers are spread over machines, and what a machine says that sees other files."""

import pytest

pytest.importorskip("ray")

from avcil.errors import InputError
from avcil.extract.cluster.nodes import Place, Share, kind_of, shares, unseen


def machine(node, cpus, gpus=0, memory=64e9):
    return Place(node, node, cpus, gpus, memory)


def test_a_worker_on_each_gpu_or_on_a_share_of_one():
    among = [machine("a", 64, 8), machine("b", 15, 2)]
    assert shares(among, "cuda", gpu_share=1, most=None) == {"a": Share(8, 8, 1.0), "b": Share(2, 7, 1.0)}
    assert shares(among, "cuda", gpu_share=0.5, most=None) == {"a": Share(16, 4, 0.5), "b": Share(4, 3, 0.5)}
    assert shares(among, "cuda", gpu_share=1 / 3, most=None)["b"] == Share(6, 2, 1 / 3)


def test_on_processors_as_many_as_cores_and_memory_allow():
    among = [machine("a", 2, memory=20e9), machine("b", 16, memory=12.5e9), machine("c", 0)]
    assert shares(among, "cpu", gpu_share=1, most=None) == {"a": Share(2, 1, 0.0), "b": Share(4, 4, 0.0)}


def test_few_workers_are_on_many_machines_and_divide_their_cores():
    among = [machine("a", 8), machine("b", 8)]
    assert shares(among, "cpu", gpu_share=1, most=3) == {"a": Share(2, 4, 0.0), "b": Share(1, 8, 0.0)}
    assert shares(among, "cpu", gpu_share=1, most=1) == {"a": Share(1, 8, 0.0)}


def test_auto_is_a_gpu_where_there_is_one():
    assert kind_of("auto", [machine("a", 4), machine("b", 4, 1)]) == "cuda"
    assert kind_of("auto", [machine("a", 4)]) == "cpu"
    assert kind_of("cpu", [machine("b", 4, 1)]) == "cpu"
    with pytest.raises(InputError, match="no machine of this cluster has a GPU"):
        kind_of("cuda", [machine("a", 4)])
    with pytest.raises(InputError, match="--device cuda:1: with --ray"):
        kind_of("cuda:1", [machine("a", 4, 2)])


def test_a_machine_names_what_it_sees_otherwise(tmp_path):
    (tmp_path / "cache/shards").mkdir(parents=True)
    token, video = tmp_path / "cache/shards/token", tmp_path / "a.mp4"
    assert unseen(token, "word", []) == f"does not see the cache at {tmp_path}/cache (No such file or directory)"
    token.write_text("other")
    assert unseen(token, "word", []) == f"sees another cache at {tmp_path}/cache"
    token.write_text("word")
    assert unseen(token, "word", [(video, 3)]) == f"does not see the video {video} (No such file or directory)"
    video.write_text("ab")
    assert unseen(token, "word", [(video, 3)]) == f"sees another file at {video}"
    assert unseen(token, "word", [(video, 2)]) == ""
