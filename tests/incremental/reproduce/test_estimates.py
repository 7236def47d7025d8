"""Times are told from finished runs of the same kind, and are unknown without one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from avcil.incremental.reproduce.estimates import Estimates
from avcil.incremental.reproduce.execution import time_left
from avcil.incremental.reproduce.plan import make_plan
from avcil.incremental.reproduce.targets import target_of
from avcil.tests.incremental.synthetic import Made


def test_seconds_are_in_proportion_to_the_epochs(made: Made, tmp_path: Path):
    given = {"manifest": str(made.manifest), "cache": str(made.cache), "classes_per_task": 2, "epochs": 3}
    first, second, third = make_plan(target_of("table8", None), given, tmp_path).runs
    other = make_plan(target_of("figure1", None), given, tmp_path).runs[0]
    estimates = Estimates()
    assert estimates.seconds(first) is None
    assert time_left([first, other], estimates) == "time left unknown"
    estimates.add(first, 6.0)
    estimates.add(second, 12.0)
    assert estimates.seconds(third) == pytest.approx(9.0)  # the mean of two and four seconds an epoch, three epochs
    config = replace(third.configured.config, epochs=10)
    longer = replace(third, configured=replace(third.configured, config=config))
    assert estimates.seconds(longer) == pytest.approx(30.0)
    assert estimates.seconds(other) is None  # of another method
    config = replace(third.configured.config, patience=1)
    assert estimates.seconds(replace(third, configured=replace(third.configured, config=config))) is None
    assert time_left([third, other], estimates) == "about 9.0 s left, and 1 run of unknown time"


def test_runs_that_cannot_be_read_or_are_not_there_tell_nothing(made: Made, tmp_path: Path):
    given = {"manifest": str(made.manifest), "cache": str(made.cache), "classes_per_task": 2}
    (run, *_) = make_plan(target_of("table8", None), given, tmp_path).runs
    assert Estimates.below(tmp_path / "nowhere").seconds(run) is None
    broken = tmp_path / "runs" / "a"
    broken.mkdir(parents=True)
    (broken / "metrics.json").write_text(json.dumps({"seconds": 3}))
    assert Estimates.below(tmp_path / "runs").seconds(run) is None
