"""What is to be learnt: a data set by name or by its TOML file, or a table of clips."""

import pytest
from avcil.errors import InputError
from avcil.incremental.runs.problem import load_problem


def test_a_data_set_of_ones_own_brings_its_settings_and_its_leaked_clips(tmp_path):
    (tmp_path / "mine.toml").write_text(
        "title = \"Mine\"\nsource_video = '(?P<source>[a-z]+)\\d'\n[protocol]\nclasses_per_task = 1\nmemory_size = 7\n"
    )
    (tmp_path / "mine.csv").write_text("video_id,label,split\na1,x,train\na2,x,test\nb1,y,train\nc1,y,test\n")
    (tmp_path / "mine.classes.csv").write_text("class_index,label\n0,y\n1,x\n")
    problem = load_problem(str(tmp_path / "mine.toml"), None, None)
    assert problem.manifest.name == "mine"
    assert problem.manifest.class_order == ("y", "x")
    assert problem.protocol == {"classes_per_task": 1, "memory_size": 7}
    assert problem.leaked == {"a2"}
    with pytest.raises(InputError, match="there is no file"):
        load_problem(str(tmp_path / "other.toml"), None, None)
