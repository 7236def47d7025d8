from pathlib import Path

import pytest
from avcil.errors import InputError, hidden_in
from avcil.manifests import (
    Clip,
    Manifest,
    by_class,
    gaps,
    is_plain_name,
    read_class_order,
    read_manifest,
    write_manifest,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

CLASSES = "class_index,label\n0,dog\n1,cat\n"
CLIPS = "video_id,label,split\n-a_1,cat,train\nb.2,dog,train\nc,cat,val\nd,dog,test\n"


def files(tmp_path: Path, clips: str | bytes = CLIPS, classes: str | bytes = CLASSES) -> tuple[Path, Path]:
    for name, text in (("clips.csv", clips), ("classes.csv", classes)):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return tmp_path / "clips.csv", tmp_path / "classes.csv"


def refusal(clips: Path, classes: Path | None = None) -> str:
    with pytest.raises(InputError) as error:
        read_manifest(clips, classes)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_manifest_is_what_its_tables_say(tmp_path):
    clips, classes = files(tmp_path)
    manifest = read_manifest(clips, classes)
    assert manifest == Manifest(
        "clips",
        (
            Clip("-a_1", "cat", "train"),
            Clip("b.2", "dog", "train"),
            Clip("c", "cat", "val"),
            Clip("d", "dog", "test"),
        ),
        ("dog", "cat"),
    )
    assert [clip.id for clip in manifest.of_split("train")] == ["-a_1", "b.2"]
    assert read_manifest(clips, classes, "mine").name == "mine"


def test_without_a_class_order_classes_come_as_they_are_first_named(tmp_path):
    clips, _ = files(tmp_path)
    assert read_manifest(clips).class_order == ("cat", "dog")


@pytest.mark.parametrize(
    "clips",
    [
        CLIPS.replace("\n", "\r\n"),
        "\ufeff" + CLIPS,
        CLIPS + "\n\n",
        CLIPS.replace(",", " , "),
        CLIPS.rstrip("\n"),
        "split,video_id,label\ntrain,-a_1,cat\ntrain,b.2,dog\nval,c,cat\ntest,d,dog\n",
    ],
)
def test_ways_of_writing_a_table_make_no_difference(tmp_path, clips):
    plain = read_manifest(*files(tmp_path))
    assert read_manifest(*files(tmp_path, clips, "\ufeff" + CLASSES.replace("\n", "\r\n"))) == plain


def test_labels_with_commas_and_quotes_and_ids_of_other_alphabets(tmp_path):
    clips, _ = files(tmp_path, 'video_id,label,split\nü1,"horse, ""neigh""",train\n')
    assert read_manifest(clips).clips == (Clip("ü1", 'horse, "neigh"', "train"),)


def test_a_path_of_ones_own(tmp_path):
    clips, _ = files(tmp_path, "video_id,label,split,path\na,cat,train,deep/x.mp4\nb,cat,test,\n")
    assert [clip.path for clip in read_manifest(clips).clips] == ["deep/x.mp4", None]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("e,cta,train", "row 6: unknown label 'cta': did you mean 'cat'?"),
        ("e,,train", "row 6: clip 'e' has no label"),
        ("e,cat,tset", "row 6: unknown split 'tset': did you mean 'test'?"),
        ("e,cat,", "row 6: unknown split ''"),
        ("e,cat,Train", "row 6: unknown split 'Train': did you mean 'train'?"),
        ("-a_1,cat,train", "row 6: clip '-a_1' is listed twice, first in row 2"),
        ("c,cat,train", "row 6: clip 'c' is in two splits, val (row 4) and train"),
        ("../b,cat,train", "row 6: the path '../b' leads out of the folder of videos: give paths from there"),
        ("x/../b.mp4,cat,train", "row 6: the path 'x/../b.mp4' leads out of the folder of videos"),
        ("..\\b.mp4,cat,train", "leads out of the folder of videos"),
        ("/,cat,train", "row 6: id '' is not a plain name"),
        (".b,cat,train", "row 6: id '.b' is not a plain name"),
        ("a b,cat,train", "row 6: id 'a b' is not a plain name"),
        (",cat,train", "row 6: id '' is not a plain name"),
        ("x" * 201 + ",cat,train", "is not a plain name"),
        ("e,cat", "row 6 has 2 cells where the header has 3"),
        ("e,dog, big,train", "row 6 has 4 cells where the header has 3: a label with a comma in it needs quotes"),
        ('e,"cat,train', "row 6 is not a row of a table"),
        ("e,c\x1b]0;x\x07at,train", "row 6: label 'c\\u001b]0;x\\u0007at' has the hidden character \\u001b in it"),
        ("e,ca\tt,train", "row 6: label 'ca\\u0009t' has the hidden character \\u0009 in it: take it out"),
        ("e,\x7fcat,train", "hidden character \\u007f"),
        ("e,cat\x9b2J,train", "hidden character \\u009b"),
        ("e,\u202etac,train", "hidden character \\u202e"),
        ("e,ca\u200bt,train", "row 6: label 'ca\\u200bt' has the hidden character \\u200b"),
        ("e,ca\u200dt,train", "hidden character \\u200d"),
        ("e\x1bc,cat,train", "row 6: id 'e\\u001bc' has the hidden character \\u001b in it: take it out"),
        ("e\u3164,cat,train", "row 6: id 'e\\u3164' has the hidden character"),
        ("\ufeffe,cat,train", "row 6: id '\\ufeffe' has the hidden character"),
    ],
)
def test_a_bad_row_is_named_with_its_file(tmp_path, row, words):
    clips, classes = files(tmp_path, CLIPS + row + "\n")
    message = refusal(clips, classes)
    assert words in message
    assert message.startswith(f"{clips} row 6")


@pytest.mark.parametrize("separator", [";", "\t", " ; ", "\t "])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_semicolons_and_tabs_stand_between_cells_where_the_header_shows_it(tmp_path, separator, ending, mark):
    plain = read_manifest(*files(tmp_path))
    clips, classes = (
        mark + text.replace(",", separator).replace("\n", ending) for text in (CLIPS, CLASSES.replace("dog", '"dog"'))
    )
    assert read_manifest(*files(tmp_path, clips, classes)) == plain


def test_columns_that_nobody_asked_for_are_passed_over_with_one_note(tmp_path):
    plain = read_manifest(*files(tmp_path))
    clips, classes = files(
        tmp_path, ",video_id,fps,label,split\n0,-a_1,25,cat,train\n1,b.2,,dog,train\n2,c,1,cat,val\n3,d,,dog,test\n"
    )
    manifest = read_manifest(clips, classes)
    assert manifest == plain
    assert manifest.notes == (f"{clips}: columns passed over: the index without a name, 'fps'",)
    clips, _ = files(tmp_path, "Unnamed: 0;video_id;filename;label;split\n0;a;b.mp4;cat;train\n")
    assert read_manifest(clips).clips == (Clip("a", "cat", "train"),)
    assert read_manifest(clips).notes == (f"{clips}: columns passed over: the index without a name, 'filename'",)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_other_names_of_columns_and_splits(tmp_path, separator):
    text = "filename,label,split\na.mp4,cat,training\nb.MKV,cat,valid\nc,cat,validation\nd.x,cat,testing\n"
    clips, _ = files(tmp_path, text.replace(",", separator))
    assert [(clip.id, clip.split, clip.path) for clip in read_manifest(clips).clips] == [
        ("a", "train", None),
        ("b", "val", None),
        ("c", "val", None),
        ("d.x", "test", None),
    ]


@pytest.mark.parametrize(
    ("cell", "clip", "path"),
    [
        ("dog/1.mp4", "dog__1", "dog/1.mp4"),
        ("./dog//1.mp4", "dog__1", "./dog//1.mp4"),
        ("dog\\1.mp4", "dog__1", "dog/1.mp4"),
        ("big dog/clip 1.v2.mov", "big_dog__clip_1.v2", "big dog/clip 1.v2.mov"),
        ("dog/1", "dog__1", "dog/1"),
        ("/data/dog/1.mp4", "data__dog__1", "/data/dog/1.mp4"),
        ("clip 1.mp4", "clip_1", None),
        (".x/1.mp4", "_x__1", ".x/1.mp4"),
    ],
)
def test_paths_become_ids_by_one_rule(tmp_path, cell, clip, path):
    clips, _ = files(tmp_path, f"video_id,label,split\nplain,cat,train\n{cell},cat,test\n")
    manifest = read_manifest(clips)
    assert manifest.clips[1] == Clip(clip, "cat", "test", path)
    assert manifest.notes == (f"{clips}: paths became ids, 1 in all, the first '{cell}' the id '{clip}'",)


def test_a_plain_id_with_a_path_beside_it_stays_as_it_is(tmp_path):
    clips, _ = files(tmp_path, "video_id,label,split,path\na.mp4,cat,train,x/a.mp4\ny/b.mp4,cat,test,z/c.mp4\n")
    assert read_manifest(clips).clips == (
        Clip("a.mp4", "cat", "train", "x/a.mp4"),
        Clip("y__b", "cat", "test", "z/c.mp4"),
    )


def test_the_separator_is_the_one_that_gives_the_columns(tmp_path):
    clips, _ = files(tmp_path, '"video_id";"label";"split"\na;"horse; brown, big";train\nb;cat, small;train\n')
    assert read_manifest(clips).class_order == ("horse; brown, big", "cat, small")
    clips, _ = files(tmp_path, "video_id,label,split\na,horse; brown,train\nb,cow\t,train\n")
    assert read_manifest(clips).class_order == ("horse; brown", "cow")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video_id;label;spilt\na;cat;train\n", "row 1: unknown column 'spilt': did you mean 'split'?"),
        (
            "video_id;label;split\na;cat; big;train\n",
            "row 2 has 4 cells where the header has 3: a label with a semicolon",
        ),
        ("video_id\tlabel\tsplit\na\tcat\ttrain\tx\n", "a label with a tab in it needs quotes around it"),
        ("video_id;label;split\na,cat,train\n", "row 2 has 1 cells where the header has 3"),
        (
            "video_id|label|split\na|cat|train\n",
            "row 1 is one cell, 'video_id|label|split': it has to name the columns",
        ),
        ("video_id label split\na cat train\n", "with commas, semicolons or tabs between them"),
    ],
)
def test_other_separators_are_said(tmp_path, text, words):
    assert words in refusal(files(tmp_path, text)[0])


def test_cells_of_several_lines(tmp_path):
    """A label with line breaks stands as it is, and rows are counted in lines of the file."""
    clips, _ = files(tmp_path, 'video_id,label,split\na,"two\r\nlines\nthree",train\nb,"x",nowhere\n')
    assert f"{clips} row 5: unknown split 'nowhere'" in refusal(clips)
    clips, _ = files(tmp_path, 'video_id,label,split\na,"two\r\nlines\nthree",train\n')
    assert read_manifest(clips).class_order == ("two\nlines\nthree",)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200) | st.text(st.sampled_from('abc,;\t\n\r" \ufeff\x00\x1bvideo_idlabelsplit'), max_size=200)
)
def test_whatever_the_bytes_a_table_is_read_or_refused_in_one_line(tmp_path_factory, content):
    clips = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    head = "video_id,label,split\na,b,train\n"
    for begin in ("", head):
        clips.write_bytes(begin.encode() + (content.encode() if isinstance(content, str) else content))
        try:
            manifest = read_manifest(clips)
        except InputError:
            continue
        assert all(is_plain_name(clip.id) and clip.label for clip in manifest.clips)


LABELS = (
    st.text(st.characters(codec="utf-8"), min_size=1).map(str.strip).filter(lambda text: text and not hidden_in(text))
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LABELS, min_size=1, max_size=5, unique=True), st.sampled_from([None, "a b.mp4", "=x.mp4"]))
@example(["=cmd|' /C calc'!A0", "@SUM(1+1)", "+1", "-2.5", "NA", "1e5", "007"], "-x.mp4")
def test_every_label_comes_back_as_it_was(tmp_path_factory, labels, path):
    """Those also that a spreadsheet would take for a formula: these tables are for programs."""
    folder = tmp_path_factory.getbasetemp()
    clips = [Clip(f"-{number}.5", label, "train", path) for number, label in enumerate(labels)]
    manifest = Manifest("out", (*clips, Clip("-2.50", labels[0], "test")), tuple(labels))
    write_manifest(manifest, folder / "out.csv", folder / "out.classes.csv")
    assert read_manifest(folder / "out.csv", folder / "out.classes.csv") == manifest


def test_rows_are_counted_as_an_editor_counts_lines(tmp_path):
    clips, classes = files(tmp_path, 'video_id,label,split\n\n\na,"cat",train\nb,"dog",train\n\nc,cow,val\n')
    assert f"{clips} row 7: unknown label 'cow'" in refusal(clips, classes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: its first row has to name the columns video_id,label,split"),
        ("\n\n", "is empty"),
        ("video_id,label,split\n", "has a header but no rows"),
        (
            "video_id,label\na,cat\n",
            "row 1: there is no column 'split' (needed: video_id,label,split; there are: video_id,label)",
        ),
        ("video_id,label,spilt\na,cat,train\n", "row 1: unknown column 'spilt': did you mean 'split'?"),
        ("video_id,label,split,label\na,cat,train,cat\n", "row 1: column 'label' is there twice"),
        ("filename,label,split,filename\na,cat,train,a\n", "row 1: column 'video_id' is there twice"),
        (
            "a,cat,train\n",
            "row 1: there is no column 'video_id' or 'filename' (needed: video_id,label,split; there are: a,cat,train)",
        ),
        ("video_id,label,split\nx/a.mp4,cat,train\nx/a.mkv,cat,train\n", "both become the id 'x__a'"),
        (
            "video_id,label,split\nx y.mp4,cat,train\nx_y,cat,train\n",
            "row 3: 'x_y' and 'x y.mp4' (row 2) both become the id 'x_y': rename one, or give ids of your own",
        ),
        (b"video_id,label,split\n\xff\xfe,cat,train\n", "is not UTF-8 text (byte 21)"),
        ("video_id,label,split\na,cat,train\nb,dog,test\n", "class 'dog' has no training clips"),
    ],
)
def test_a_bad_table_is_named(tmp_path, text, words):
    clips, classes = files(tmp_path, text)
    message = refusal(clips, classes)
    assert words in message
    assert str(clips) in message


def test_a_class_nobody_trains_is_said_with_both_files(tmp_path):
    clips, classes = files(tmp_path, classes=CLASSES + "2,cow\n3,emu\n")
    message = refusal(clips, classes)
    assert message == (
        f"{clips}: class 'cow' (and 1 more classes) has no training clips: add some, or take it out of {classes}"
    )


def test_absent_files_and_folders_are_said(tmp_path):
    assert refusal(tmp_path / "none.csv") == f"there is no file {tmp_path / 'none.csv'}"
    assert "cannot be read: Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class_index,label\n0,dog\n2,cat\n", "row 3: class_index is '2' where 1 comes next"),
        ("class_index,label\n1,dog\n", "row 2: class_index is '1' where 0 comes next"),
        ("class_index,label\n0,dog\n1,dog\n", "row 3: label 'dog' is listed twice, first in row 2"),
        ("class_index,label\n0,\n", "row 2: class 0 has no label"),
        ("class_index,label\n0,d\x1bog\n", "row 2: label 'd\\u001bog' has the hidden character \\u001b in it"),
        ("class_index,label\nzero,dog\n", "row 2: class_index is 'zero' where 0 comes next"),
        (
            "class_index,name\n0,dog\n",
            "row 1: there is no column 'label' (needed: class_index,label; there are: class_index,name)",
        ),
        ("class_index,label,note\n0,dog,x\n", "row 1: unknown column 'note'"),
    ],
)
def test_a_bad_class_order_is_named(tmp_path, text, words):
    clips, classes = files(tmp_path, classes=text)
    message = refusal(clips, classes)
    assert words in message
    assert message.startswith(str(classes))


@pytest.mark.parametrize("path", [None, "somewhere/a.mp4"])
def test_what_is_written_reads_back_the_same(tmp_path, path):
    manifest = Manifest(
        "out",
        (Clip("a", 'dog, "big"', "train", path), Clip("b", "ünd", "train"), Clip("c", "ünd", "val")),
        ("ünd", 'dog, "big"'),
    )
    write_manifest(manifest, tmp_path / "new/out.csv", tmp_path / "new/out.classes.csv")
    assert read_manifest(tmp_path / "new/out.csv", tmp_path / "new/out.classes.csv") == manifest
    assert read_class_order(tmp_path / "new/out.classes.csv") == manifest.class_order
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["out.classes.csv", "out.csv"]


def test_clips_are_counted_by_class_the_most_first():
    clips = [Clip(str(number), label, "test") for number, label in enumerate("abbcccdef")]
    assert by_class(clips) == "c 3, b 2, a 1, d 1, e 1, 1 more class"
    assert by_class(clips, most=4) == "c 3, b 2, a 1, d 1, 2 more classes"
    assert by_class(clips, most=6) == "c 3, b 2, a 1, d 1, e 1, f 1"
    assert by_class([]) == ""


def test_gaps_that_can_be_lived_with_are_said():
    clips = (Clip("a", "dog", "train"), Clip("b", "cat", "train"), Clip("c", "dog", "test"))
    assert gaps(Manifest("mine", clips, ("dog", "cat"))) == (
        "mine has no val clips",
        "class 'cat' has no test clips",
    )
