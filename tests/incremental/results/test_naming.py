"""What rows are called: everything in which they differ, and nothing that they share."""

from typing import Any

from avcil.incremental.results.naming import row_names, row_words, shortened


def cause(method: str, facts: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return {"settings": {"method": method, **settings}, "facts": facts or {}}


def test_settings_of_every_method_are_compared_over_all_rows_and_its_own_among_its_rows():
    causes = [cause("x", epochs=3, w=1, v=0), cause("x", epochs=4, w=2, v=0), cause("y", epochs=9, w=7)]
    assert row_names(causes) == ["x epochs=3 w=1", "x epochs=4 w=2", "y epochs=9"]


def test_a_short_run_with_a_large_memory_does_not_look_like_a_long_one_with_a_small():
    causes = [
        cause("av-cil", modality="audio-visual", memory_size=340, epochs=3, learning_rate=0.001),
        cause("ss-il", modality="audio", memory_size=36, epochs=60, learning_rate=0.001),
    ]
    assert row_names(causes) == [
        "av-cil modality=audio-visual memory_size=340 epochs=3",
        "ss-il modality=audio memory_size=36 epochs=60",
    ]
    assert list(row_words(causes)[1]) == ["method", "modality", "memory_size", "epochs"]


def test_what_all_rows_share_is_not_named_nor_what_a_row_has_not():
    causes = [cause("x", epochs=3), cause("y", epochs=3, penalty=1.0), cause("solved", penalty=2.0)]
    assert row_names(causes) == ["x", "y", "solved"]


def test_a_batch_of_memory_clips_says_nothing_where_there_is_no_memory():
    causes = [cause("x", memory_size=9, memory_batch_size=4), cause("oracle", memory_batch_size=128)]
    assert row_names(causes) == ["x", "oracle"]
    causes += [cause("x", memory_size=9, memory_batch_size=5), cause("oracle", memory_batch_size=64)]
    assert row_names(causes) == [
        "x memory_batch_size=4",
        "oracle memory_batch_size=128",
        "x memory_batch_size=5",
        "oracle memory_batch_size=64",  # which alone tells it from the other one
    ]


def test_facts_are_compared_over_all_rows_and_consequences_are_not_named():
    """Another list of clips has other labels and other values of features by itself."""
    first = {"clips_sha256": "a" * 64, "labels_sha256": "1" * 64, "features_sha256": "3" * 64}
    second = {"clips_sha256": "b" * 64, "labels_sha256": "2" * 64, "features_sha256": "4" * 64}
    assert row_names([cause("x", first), cause("y", second)]) == ["x clips=aaaaaaaa", "y clips=bbbbbbbb"]
    mended = first | {"labels_sha256": "5" * 64}
    assert row_names([cause("x", first), cause("y", mended)]) == ["x labels=11111111", "y labels=55555555"]


def test_plugins_tell_rows_of_one_method_apart():
    assert row_names([cause("x"), cause("mine", {"plugins": ["1"]})]) == ["x", "mine"]
    causes = [cause("mine", {"plugins": ["1"]}), cause("mine", {"plugins": ["2"]})]
    assert row_names(causes) == ["mine plugins=[1]", "mine plugins=[2]"]


def test_what_an_older_version_did_not_record_is_named_where_nothing_else_tells():
    known, unknown = cause("x", {"features_sha256": "a" * 64}), cause("x")
    assert row_names([known, unknown]) == ["x feature values=aaaaaaaa", "x feature values=unrecorded"]
    assert row_names([known, cause("y")]) == ["x", "y"]


def test_values_in_short():
    assert shortened("teacher-student") == "teacher-student"
    assert shortened("0123456789abcdef" * 4) == "01234567"
    assert shortened([1, 2, 3]) == "[1,2,3]"
    assert shortened(0.5) == "0.5"
    long = shortened(list(range(100)))
    assert len(long) == 8 and long != shortened(list(range(101)))


def test_what_shortens_the_work_is_named_where_it_is_on_and_rows_differ_in_it():
    plain, early, solved = cause("x", epochs=9), cause("x", epochs=9, patience=3, validate_every=2), cause("ridge")
    assert row_names([plain, early, solved]) == ["x", "x patience=3 validate_every=2", "ridge"]
    assert row_names([early, cause("x", epochs=9, patience=4, validate_every=2)]) == ["x patience=3", "x patience=4"]
    assert row_names([early, solved]) == ["x", "ridge"]  # the notes say it
