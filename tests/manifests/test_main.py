import subprocess
import sys

import pytest
from avcil.manifests import read_manifest
from avcil.manifests.__main__ import main
from click.testing import CliRunner

CLIPS = "video_id,label,split\na,cat,train\nb,dog,train\nc,cat,test\n"


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_published_lists_are_listed():
    lines = run("list").splitlines()
    assert lines[0] == "ave: AVE-CI, 28 classes, clips: 3294 train, 391 val, 394 test"
    assert len(lines) == 3


def test_a_manifest_is_checked_and_its_gaps_are_said(tmp_path):
    (tmp_path / "clips.csv").write_text(CLIPS)
    assert run("check", tmp_path / "clips.csv").splitlines() == [
        "clips: 2 classes, clips: 2 train, 0 val, 1 test",
        "note: clips has no val clips",
        "note: class 'dog' has no test clips",
    ]
    (tmp_path / "clips.csv").write_text(CLIPS + "a,cat,train\n")
    message = run("check", tmp_path / "clips.csv", status=2)
    assert message == f"error: {tmp_path / 'clips.csv'} row 5: clip 'a' is listed twice, first in row 2\n"


def test_a_manifest_is_built(tmp_path):
    (tmp_path / "vggsound.csv").write_text("aaaaaaaaaaa,1,dog,train\nbbbbbbbbbbb,2,cat,train\nccccccccccc,3,cow,test\n")
    (tmp_path / "order.csv").write_text("class_index,label\n0,cat\n1,dog\n")
    out, order = tmp_path / "out/clips.csv", tmp_path / "out/order.csv"
    printed = run(
        "build", "vggsound", tmp_path / "vggsound.csv", "--out", out, "--classes", tmp_path / "order.csv",
        "--classes-out", order,
    )  # fmt: skip
    assert printed.splitlines()[-1] == f"{out}: 2 clips of 2 classes"
    manifest = read_manifest(out, order)
    assert manifest.class_order == ("cat", "dog")
    assert [clip.id for clip in manifest.clips] == ["aaaaaaaaaaa_000001", "bbbbbbbbbbb_000002"]
    assert "Got unexpected extra argument" in run("build", "ave", tmp_path, tmp_path, "--out", out, status=2)


def test_a_folder_becomes_a_list_and_what_was_found_is_said(tmp_path):
    for name in ("cat/a.mp4", "cat/b.mp4", "dog/c.mp4", "dog/d.mp4", "dog/e.mp4", "notes.txt"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_text(name)
    words = ("build", "folder", tmp_path / "videos", "--out", tmp_path / "list.csv", "--split", "0.5/0.5")
    assert run(*words).splitlines() == [
        "cat: 1 train, 0 val, 1 test",
        "dog: 2 train, 0 val, 1 test",
        "note: divided by class with seed 0",
        "note: passed over: 1, no video by their suffix '.txt' (notes.txt)",
        "note: videos has no val clips",
        f"{tmp_path / 'list.csv'}: 5 clips of 2 classes",
    ]
    first = (tmp_path / "list.csv").read_bytes()
    run(*words)
    assert (tmp_path / "list.csv").read_bytes() == first
    refused = ("build", "folder", tmp_path / "videos", "--out", tmp_path / "no.csv")
    assert run(*refused, status=2).startswith("error: class 'cat' has 2 clips of 2 source videos, too few for 3 splits")
    assert not (tmp_path / "no.csv").exists()


@pytest.mark.slow
def test_the_module_runs_by_itself():
    done = subprocess.run(
        [sys.executable, "-m", "avcil.manifests", "check", "nowhere.csv"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: there is no file nowhere.csv\n"
