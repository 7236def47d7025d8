"""Which clips are left, and the shard each goes to."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

from avcil.cache import Lost
from avcil.extract.decoding.workers import Job
from avcil.extract.selection import plans_again, shard_plans
from avcil.manifests import Choice, Clip

CLIPS = [Clip(name, "x", "train") for name in "abcdefgh"]
FOUND = {name: Path(f"{name}.mp4") for name in "abcdefgh" if name != "e"}


def plans(have="", quarantined="", size=3, found=FOUND):
    return shard_plans(CLIPS, found, have=set(have), quarantined=set(quarantined), shard_size=size)


def ids(plans):
    return ["".join(job.id for job in plan.jobs) for plan in plans]


def test_groups_go_by_position_whatever_is_missing_or_done():
    assert ids(plans()) == ["abc", "df", "gh"]
    assert ids(plans(have="abf")) == ["c", "d", "gh"]
    assert ids(plans(have="abc")) == ["df", "gh"]
    assert ids(plans(have="abcdfgh")) == []


def test_names_tell_the_group_and_the_clips_that_are_lacking():
    first = plans()[0]
    assert first.name == "shard-00000-" + hashlib.sha256(b"a\nb\nc").hexdigest()[:8]
    assert [plan.name[:11] for plan in plans(have="abc")] == ["shard-00001", "shard-00002"]
    assert first.jobs[1].path == Path("b.mp4")


def test_a_shard_removed_is_made_again_under_its_name_though_a_clip_was_quarantined_since():
    # The first run met all of a, b, c; b turned out to be broken. Then the shard is removed.
    [again, *_] = plans(quarantined="b")
    assert again.name == plans()[0].name
    assert ids([again]) == ["ac"]


def test_a_clip_tried_again_later_gets_a_shard_of_another_name():
    [again, *_] = plans(have="ac")
    assert ids([again]) == ["b"]
    assert again.name != plans()[0].name


def test_the_jobs_of_clips_with_several_files_have_them_all_in_order():
    files = tuple(Path(f"{folder}/b.mp4") for folder in ("dog", "one", "two"))
    [first, *_] = shard_plans(
        CLIPS,
        FOUND,
        have=(),
        quarantined=(),
        shard_size=3,
        several={"b": Choice(files, passed_over=(Path("cat/b.mp4"),))},
    )
    assert first.jobs == (Job("a", Path("a.mp4")), Job("b", files[0], files[1:]), Job("c", Path("c.mp4")))
    assert first.name == plans()[0].name


def test_a_group_of_quarantined_clips_is_no_shard():
    assert ids(plans(quarantined="abc")) == ["df", "gh"]


def test_a_limited_run_and_the_full_one_after_it_do_not_clash():
    limited = plans(found=dict(list(FOUND.items())[:2]))
    assert ids(limited) == ["ab"]
    rest = plans(have="ab")
    assert ids(rest)[0] == "c"
    assert limited[0].name != rest[0].name


def lost(name, ids):
    return Lost(name, tuple(ids), SimpleNamespace())  # type: ignore[arg-type]


def test_a_lost_shard_is_made_again_as_it_was_whatever_the_groups_are_now():
    [first, second] = plans_again([lost("shard-00000-aaaaaaaa", "cab"), lost("s", "h")], FOUND)
    assert (first.name, ids([first])) == ("shard-00000-aaaaaaaa", ["cab"])
    assert (second.name, ids([second])) == ("s", ["h"])


def test_of_a_lost_shard_what_has_a_file_is_made_under_another_name():
    [some] = plans_again([lost("s", "deg"), lost("t", "e")], FOUND)
    assert ids([some]) == ["dg"]
    assert some.name == "s-" + hashlib.sha256(b"d\ng").hexdigest()[:8]


def test_clips_of_lost_shards_are_left_to_them():
    rest = shard_plans(CLIPS, FOUND, have={"a"}, quarantined=(), shard_size=3, lost=[lost("s", "be")])
    assert ids(rest) == ["c", "df", "gh"]
