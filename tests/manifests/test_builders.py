import pytest
from avcil.errors import InputError
from avcil.manifests import (
    Clip,
    build_ave,
    build_kinetics,
    build_vggsound,
    gaps,
    locate_videos,
    published,
    read_manifest,
    write_manifest,
)

AVE_HEADER = "Category&VideoID&Quality&StartTime&EndTime\n"


def ave_folder(tmp_path, header: str = AVE_HEADER, annotations: bool = True):
    lists = {
        "trainSet.txt": "Church bell&RUhOCu3LNXM&good&0&10\nMale speech, man speaking&---1_cCGK4M&good&2&7\n",
        "valSet.txt": "Church bell&-5zANFBYzwQ&good&0&10\n",
        "testSet.txt": 'Truck&ILvm8"aaaaaa&good&0&5\n'.replace('"', "_"),
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(header + text)
    if annotations:
        (tmp_path / "Annotations.txt").write_text(header + "".join(lists.values()))
    return tmp_path


AVE_CLIPS = (
    Clip("RUhOCu3LNXM", "Church bell", "train"),
    Clip("---1_cCGK4M", "Male speech, man speaking", "train"),
    Clip("-5zANFBYzwQ", "Church bell", "val"),
    Clip("ILvm8_aaaaaa", "Truck", "test"),
)


@pytest.mark.parametrize("annotations", [True, False])
@pytest.mark.parametrize("header", [AVE_HEADER, ""])
def test_ave_with_and_without_header(tmp_path, header, annotations):
    built = build_ave(ave_folder(tmp_path, header, annotations))
    assert built.manifest.clips == AVE_CLIPS
    assert built.manifest.class_order == ("Church bell", "Male speech, man speaking", "Truck")
    assert built.remarks == ()


def test_ave_videos_that_contradict_themselves_are_left_out_and_said(tmp_path):
    folder = ave_folder(tmp_path)
    with (folder / "trainSet.txt").open("a") as stream:
        stream.write("Church bell&RUhOCu3LNXM&good&2&4\n")  # a second event of the same kind: one clip all the same
        stream.write("Truck&two_labels_&good&0&5\nChurch bell&two_labels_&good&5&9\n")
        stream.write("Church bell&-5zANFBYzwQ&good&0&10\n")  # in val as well
        stream.write("Truck&not_in_annot&good&0&10\n")
    with (folder / "Annotations.txt").open("a") as stream:
        stream.write("Truck&two_labels_&good&0&5\nChurch bell&two_labels_&good&5&9\n")
    built = build_ave(folder)
    assert [clip.id for clip in built.manifest.clips] == ["RUhOCu3LNXM", "---1_cCGK4M", "ILvm8_aaaaaa"]
    assert built.remarks == (
        "'two_labels_' left out: it is listed as Truck (train), Church bell (train)",
        "'-5zANFBYzwQ' left out: it is listed as Church bell (train), Church bell (val)",
        "'not_in_annot' left out: Annotations.txt does not have it as Truck",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Church bell&abc\n", "row 1 has 2 cells, not Category&VideoID&Quality&StartTime&EndTime"),
        ("Church bell&../abc&good&0&1\n", "row 1: '../abc' is not a plain name"),
        ("&abc&good&0&1\n", "row 1 has no label"),
        ("Church\x1b bell&abc&good&0&1\n", "row 1: label 'Church\\u001b bell' has the hidden character \\u001b in it"),
        ("Truck&ab\u202ec&good&0&1\n", "row 1: id 'ab\\u202ec' has the hidden character \\u202e in it"),
    ],
)
def test_ave_rows_of_another_kind_are_named(tmp_path, text, words):
    folder = ave_folder(tmp_path, annotations=False)
    (folder / "valSet.txt").write_text(text)
    with pytest.raises(InputError, match=r"valSet\.txt") as error:
        build_ave(folder)
    assert words in str(error.value)


def test_ave_lists_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*trainSet\.txt"):
        build_ave(tmp_path)


KINETICS = "label,youtube_id,time_start,time_end,split\n"


def test_kinetics(tmp_path):
    (tmp_path / "train.csv").write_text(
        KINETICS + 'blowing nose,-De_GTVNO-o,12,22,train\n"singing, loud",bbbbbbbbbbb,0,10,train\n'
    )
    (tmp_path / "validate.csv").write_text(KINETICS + "blowing nose,ccccccccccc,1,11,validate\n")
    (tmp_path / "test.csv").write_text(KINETICS.strip() + ",is_cc\ntickling,ddddddddddd,1,11,test,0\n")
    files = [tmp_path / name for name in ("train.csv", "validate.csv", "test.csv")]
    built = build_kinetics(files)
    assert built.manifest.clips == (
        Clip("-De_GTVNO-o", "blowing nose", "train"),
        Clip("bbbbbbbbbbb", "singing, loud", "train"),
        Clip("ccccccccccc", "blowing nose", "val"),
        Clip("ddddddddddd", "tickling", "test"),
    )
    some = build_kinetics(files, ["singing, loud", "blowing nose"])
    assert some.manifest.class_order == ("singing, loud", "blowing nose")
    assert [clip.id for clip in some.manifest.clips] == ["-De_GTVNO-o", "bbbbbbbbbbb", "ccccccccccc"]
    with pytest.raises(InputError, match="unknown label 'blow nose': did you mean 'blowing nose'"):
        build_kinetics(files, ["blow nose"])


def test_kinetics_rows_of_another_kind_are_named(tmp_path):
    (tmp_path / "x.csv").write_text(KINETICS + "tickling,aaaaaaaaaaa,1,11,tran\n")
    with pytest.raises(InputError, match=r"x\.csv row 2: unknown split 'tran': did you mean 'train'"):
        build_kinetics([tmp_path / "x.csv"])
    with pytest.raises(InputError, match="no clips for kinetics in these files"):
        build_kinetics([])


VGGSOUND = """\
---g-f_I2yQ,1,people marching,test
X5p1pQzHKE0,145,"donkey, ass braying",train
X5p1pQzHKE0,30,people marching,train
"""


def test_vggsound(tmp_path):
    (tmp_path / "vggsound.csv").write_text(VGGSOUND)
    built = build_vggsound(tmp_path / "vggsound.csv")
    assert built.manifest.clips == (
        Clip("---g-f_I2yQ_000001", "people marching", "test"),
        Clip("X5p1pQzHKE0_000145", "donkey, ass braying", "train"),
        Clip("X5p1pQzHKE0_000030", "people marching", "train"),
    )
    assert "vggsound has no val clips" in gaps(built.manifest)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,1,dog\n", "row 4 has 3 cells, not 4: youtube id, start, label, split"),
        ("a,1.5,dog,train\n", "row 4: the start '1.5' is not a whole number of seconds"),
        ("a,1,dog,val2\n", "row 4: unknown split 'val2': did you mean 'val'"),
    ],
)
def test_vggsound_rows_of_another_kind_are_named(tmp_path, row, words):
    (tmp_path / "vggsound.csv").write_text(VGGSOUND + row)
    with pytest.raises(InputError, match=r"vggsound\.csv row 4") as error:
        build_vggsound(tmp_path / "vggsound.csv")
    assert words in str(error.value)


def test_what_was_built_can_be_written_read_and_located(tmp_path):
    (tmp_path / "vggsound.csv").write_text(VGGSOUND)
    built = build_vggsound(tmp_path / "vggsound.csv").manifest
    write_manifest(built, tmp_path / "vggsound_clips.csv", tmp_path / "order.csv")
    again = read_manifest(tmp_path / "vggsound_clips.csv", tmp_path / "order.csv", "vggsound")
    assert again == built
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/X5p1pQzHKE0_30.mp4").write_bytes(b"")
    located = locate_videos(again, tmp_path / "videos", published("vggsound100").file_names)
    assert list(located.found) == ["X5p1pQzHKE0_000030"]
