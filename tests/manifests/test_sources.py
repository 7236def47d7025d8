import pytest
from avcil.errors import InputError
from avcil.manifests import Clip, Manifest, clips_seen_in_training, source_of

VGGSOUND = r"(?P<source>[\w-]{11})_\d{6}"


def test_the_source_is_the_part_before_the_last_underscore():
    assert source_of("a_000001_b__000030", VGGSOUND) == "a_000001_b_"
    assert source_of("whatever", "(?P<source>.+)") == "whatever"


def test_an_id_of_another_form_is_refused_by_name():
    with pytest.raises(InputError, match="clip 'short_000001' does not look as"):
        source_of("short_000001", VGGSOUND)


def test_only_training_clips_make_a_video_seen():
    clips = (
        Clip("aaaaaaaaaaa_000001", "dog", "train"),
        Clip("aaaaaaaaaaa_000002", "cat", "test"),  # another class counts as well
        Clip("bbbbbbbbbbb_000001", "dog", "val"),
        Clip("bbbbbbbbbbb_000002", "dog", "test"),
        Clip("aaaaaaaaaaa_000003", "dog", "val"),
    )
    manifest = Manifest("m", clips, ("dog", "cat"))
    assert clips_seen_in_training(manifest, "test", VGGSOUND) == (clips[1],)
    assert clips_seen_in_training(manifest, "val", VGGSOUND) == (clips[4],)
    assert clips_seen_in_training(manifest, "train", VGGSOUND) == (clips[0],)
