"""The same bits again: the same run twice, a run stopped wherever it may be, and several runs on one residence."""

import json
import multiprocessing
import multiprocessing.process
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.learning.randomness import generator
from avcil.incremental.learning.state import Progress
from avcil.incremental.methods import afc
from avcil.incremental.runs import experiment
from avcil.incremental.runs.directory import RunDirectory
from avcil.incremental.runs.experiment import run_once, run_repeats
from avcil.incremental.runs.repeats import Repeats
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import METHODS, QUICK_FIRST, SOME, Made
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits

pytestmark = pytest.mark.usefixtures("one_thread")

Reference = Callable[[str], Path]


class Killed(BaseException):
    """As little as SIGKILL is this caught by anything on the way."""


# ------------------------------------------------------------------------------------------------ run twice


@pytest.mark.parametrize("method", METHODS)
def test_same_configuration_and_seed_same_bits(made: Made, tmp_path: Path, method: str, reference: Reference):
    torch.manual_seed(hash(tmp_path) % 1000)  # global random states have no say
    synthetic.run(made, method, tmp_path / "again")
    assert synthetic.differing(reference(method), tmp_path / "again") == []


@pytest.mark.parametrize("given", [{"precision": "bfloat16"}, {"modality": "audio"}, {"modality": "visual"}])
@pytest.mark.parametrize("method", ["ss-il", "afc-nme"])
def test_so_in_bfloat16_and_with_one_modality(made: Made, tmp_path: Path, method: str, given: dict[str, Any]):
    for name in ("one", "two"):
        synthetic.run(made, method, tmp_path / name, **given)
    assert synthetic.differing(tmp_path / "one", tmp_path / "two") == []


@pytest.mark.parametrize("method", QUICK_FIRST)
def test_another_seed_gives_another_run(made: Made, tmp_path: Path, method: str, reference: Reference):
    """First weights, shuffles and exemplars are all drawn from it."""
    synthetic.run(made, method, tmp_path / "other", seed=1)
    names = set(synthetic.differing(reference(method), tmp_path / "other"))
    assert {"seed", "history.csv", "scores.safetensors"} < names
    assert {f"weights/task-{number:02d}.safetensors" for number in (1, 2, 3)} < names
    assert "memory/task-01.csv" in names


# ---------------------------------------------------------------------------------------- stopped and resumed


def stopped_at(made: Made, method: str, out: Path, calls: int, **given: Any) -> bool:
    """Run until `report` is called for the `calls`-th time and die there; whether that was before the end."""
    left = calls

    def report(progress: Progress) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    try:
        synthetic.run(made, method, out, report, **given)
    except Killed:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint_seconds", [0, 3600])
@pytest.mark.parametrize("method", METHODS)
def test_stopped_after_any_epoch_or_task(
    made: Made, tmp_path: Path, method: str, checkpoint_seconds: float, reference: Reference
):
    """Three tasks of two epochs give nine places. With an hour between states only task ends are written."""
    for calls in range(1, 10):
        out = tmp_path / str(calls)
        assert stopped_at(made, method, out, calls, checkpoint_seconds=checkpoint_seconds)
        assert not (out / "metrics.json").exists()
        synthetic.run(made, method, out, checkpoint_seconds=checkpoint_seconds)
        assert synthetic.differing(reference(method), out) == []


@pytest.mark.parametrize("method", QUICK_FIRST)
def test_stopped_after_every_single_epoch(
    made: Made, tmp_path: Path, method: str, reference: Reference, monkeypatch: pytest.MonkeyPatch
):
    """Each session dies as soon as it has written one state: six of them, the last of which finishes."""
    expected = reference(method)  # which has to be run before nothing can be kept
    keep = RunDirectory.keep

    def keep_and_die(directory: RunDirectory, progress: Progress) -> None:
        keep(directory, progress)
        raise Killed

    monkeypatch.setattr(RunDirectory, "keep", keep_and_die)
    what = synthetic.prepare(made, method)
    out = tmp_path / "out"
    for _ in range(6):
        with pytest.raises(Killed):
            run_once(*what, out)
    run_once(*what, out)
    assert synthetic.differing(expected, out) == []


def test_stopped_while_results_are_written(
    made: Made, tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
):
    """metrics.json comes last: without it the run is not finished, whatever else is there."""
    with monkeypatch.context() as patch:
        patch.setattr("avcil.incremental.runs.directory.class_accuracies", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            synthetic.run(made, "ss-il", tmp_path / "out")
    assert (tmp_path / "out" / "predictions.csv").exists()
    assert not RunDirectory(tmp_path / "out", {}).finished
    synthetic.run(made, "ss-il", tmp_path / "out")
    assert synthetic.differing(reference("ss-il"), tmp_path / "out") == []


def test_seconds_add_up_over_sessions(made: Made, tmp_path: Path):
    seen: list[float] = []

    def report(progress: Progress) -> None:
        seen.append(progress.seconds)
        if len(seen) == 5:
            raise Killed

    with pytest.raises(Killed):
        synthetic.run(made, "fine-tuning", tmp_path / "out", report)
    metrics = synthetic.run(made, "fine-tuning", tmp_path / "out", report)
    del seen[4]  # the epoch that was lost
    assert len(seen) == 9
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[3] < seen[4] < seen[-1] == metrics["seconds"]


@pytest.mark.slow
@pytest.mark.parametrize("method", SOME)
def test_killed_for_good_again_and_again(made: Made, tmp_path: Path, method: str):
    """SIGKILL at no particular moment, three times, in a process of its own."""
    synthetic.run(made, method, tmp_path / "whole", epochs=30)
    out = tmp_path / "killed"
    # Forked off a process that has imported what they need and done nothing else: importing takes each of them seconds.
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([synthetic.__name__, "sklearn.cluster", "torch._dynamo"])

    def started() -> multiprocessing.process.BaseProcess:
        process = forks.Process(target=synthetic.run_in_one_thread, args=(made, method, out), kwargs={"epochs": 30})
        process.start()
        return process

    for states in (1, 9, 17):
        process = started()
        seen, last = 0, None
        while seen < states and process.is_alive():
            now = (out / "state.pt").stat().st_mtime_ns if (out / "state.pt").exists() else None
            seen, last = seen + (now != last), now
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the run ended before it could be killed"
    assert (out / "state.pt").exists()
    process = started()
    process.join()
    assert process.exitcode == 0
    assert synthetic.differing(tmp_path / "whole", out) == []


# ------------------------------------------------------------------------------------- several runs, one load


def test_seeds_share_one_residence_and_each_is_the_run_it_would_be_alone(
    made: Made, tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
):
    what = synthetic.prepare(made, "av-cil")
    cache = type(what.data.cache)
    read: list[str] = []
    read_into = cache.read_into

    def noted(self: Any, ids: Any, visual: Any, audio: Any, **given: Any) -> None:
        read.extend(ids)
        read_into(self, ids, visual, audio, **given)

    monkeypatch.setattr(cache, "read_into", noted)
    every = run_repeats(*what, tmp_path / "seeds", Repeats(3))
    assert sorted(read) == sorted(what.data.table.ids)  # each clip once for all three
    assert [metrics["seed"] for metrics in every] == [0, 1, 2]
    assert synthetic.differing(reference("av-cil"), tmp_path / "seeds" / "seed-0") == []
    synthetic.run(made, "av-cil", tmp_path / "alone", seed=2)
    assert synthetic.differing(tmp_path / "alone", tmp_path / "seeds" / "seed-2") == []


def test_seeds_that_are_finished_are_left_and_a_stopped_one_is_resumed(
    made: Made, tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
):
    what = synthetic.prepare(made, "fine-tuning")
    reports: list[tuple[int, int, int]] = []

    def stop_in_the_second(seed: int, progress: Progress) -> None:
        reports.append((seed, progress.task, progress.epoch))
        if reports[-1] == (1, 2, 1):
            raise Killed

    with pytest.raises(Killed):
        run_repeats(*what, tmp_path / "seeds", Repeats(2), [synthetic.Reporter(stop_in_the_second)])
    first = (tmp_path / "seeds" / "seed-0" / "metrics.json").read_bytes()
    reports.clear()
    started = []
    build = experiment.build_method

    def noted(*given: Any) -> Any:
        started.append(given[1].seed)
        return build(*given)

    monkeypatch.setattr(experiment, "build_method", noted)
    every = run_repeats(
        *what, tmp_path / "seeds", Repeats(2), [synthetic.Reporter(lambda seed, _: reports.append((seed, 0, 0)))]
    )
    assert started == [1]
    assert {seed for seed, _, _ in reports} == {1}
    assert (tmp_path / "seeds" / "seed-0" / "metrics.json").read_bytes() == first
    assert [metrics["seed"] for metrics in every] == [0, 1]
    assert synthetic.differing(reference("fine-tuning"), tmp_path / "seeds" / "seed-0") == []


def test_weights_on_disk_are_those_after_each_task(made: Made, reference: Reference):
    shapes = [
        load_file(reference("av-cil") / "weights" / f"task-{number:02d}.safetensors")["heads.classifier.weight"].shape
        for number in (1, 2, 3)
    ]
    assert [tuple(shape) for shape in shapes] == [(2, 8), (4, 8), (6, 8)]


def test_k_means_gives_the_same_bits_whatever_the_threads_do(monkeypatch: pytest.MonkeyPatch):
    """scikit-learn's threads add their parts in the order in which they come, from three threads on."""
    monkeypatch.setenv("OMP_NUM_THREADS", "8")  # otherwise it takes no more threads than there are cores
    features = torch.nn.functional.normalize(torch.rand(4000, 64, generator=generator(0)), dim=1)
    with threadpool_limits(8, user_api="openmp"):
        centres = [afc._centres(features, 10, generator(0)) for _ in range(6)]
    assert all(torch.equal(centres[0], again) for again in centres[1:])


def test_more_seeds_are_refused_where_the_cache_was_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """At the same path and in the same way, from other videos: neither list of runs would give such a mean."""
    made = synthetic.make(tmp_path / "data", 4)
    run_repeats(*synthetic.prepare(made, "fine-tuning", epochs=1), tmp_path / "out", Repeats(1))
    shutil.rmtree(made.cache)
    plain = synthetic.features

    def others(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        visual, audio = plain(*given)
        return visual + 1, audio

    monkeypatch.setattr(synthetic, "features", others)
    again = synthetic.make(tmp_path / "again", 4)
    again.cache.rename(made.cache)
    with pytest.raises(InputError, match="other features, though made in the same way"):
        run_repeats(*synthetic.prepare(made, "fine-tuning", epochs=1), tmp_path / "out", Repeats(2))
    assert not (tmp_path / "out" / "seed-1").exists()


def test_more_seeds_are_refused_where_labels_were_mended(tmp_path: Path):
    made = synthetic.make(tmp_path / "data", 4)
    run_repeats(*synthetic.prepare(made, "fine-tuning", epochs=1), tmp_path / "out", Repeats(1))
    text = made.manifest.read_text()
    swapped = text.replace("c00_train_00,class 00", "c00_train_00,class 01")
    assert swapped != text
    made.manifest.write_text(swapped)
    with pytest.raises(InputError, match="other labels or splits of the same clips"):
        run_repeats(*synthetic.prepare(made, "fine-tuning", epochs=1), tmp_path / "out", Repeats(2))


def test_more_seeds_are_refused_beside_a_run_of_which_less_is_known(made: Made, tmp_path: Path):
    """A table would show them in rows of their own."""
    what = synthetic.prepare(made, "fine-tuning", epochs=1)
    run_repeats(*what, tmp_path / "out", Repeats(1))
    config = tmp_path / "out" / "seed-0" / "config.json"
    content = json.loads(config.read_text())
    del content["provenance"]["labels_sha256"]  # which version 0.1 did not record
    config.write_text(json.dumps(content))
    with pytest.raises(InputError, match="seed-0 holds a run with no record of its labels, as an older version made"):
        run_repeats(*what, tmp_path / "out", Repeats(2))
    assert not (tmp_path / "out" / "seed-1").exists()
