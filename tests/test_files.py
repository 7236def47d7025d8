import errno
import fcntl
import hashlib
import json
import os
import stat

import pytest
from avcil import files
from avcil.errors import InputError
from avcil.tests.cache.conftest import one_line


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def test_json_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": "é", "b": [1, 2]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "é", "b": [1, 2]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path) == {"a": "é", "b": [1, 2]}
    assert names_in(tmp_path) == ["x.json"]

    def fail(source, target) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "rename_durably", fail)
    with pytest.raises(KeyboardInterrupt):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": "é", "b": [1, 2]}
    assert names_in(tmp_path) == ["x.json"]


@pytest.mark.parametrize(("mode", "content"), [("w", "é\r\n"), ("wb", b"\x00\xff")])
def test_text_and_bytes_arrive_as_they_are(tmp_path, mode, content):
    with files.written_aside(tmp_path / "x", mode) as stream:
        stream.write(content)
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_bytes() == (content if mode == "wb" else content.encode())


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "x").symlink_to("victim")
    files.write_json(tmp_path / "x", 1)
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "x").is_symlink()


def test_what_is_written_aside_has_a_name_that_nobody_can_take_beforehand(tmp_path, monkeypatch):
    names = [files.aside(tmp_path / "x.json").name for _ in range(100)]
    assert len(set(names)) == 100
    assert {match["name"] for name in names if (match := files.LEFTOVER.fullmatch(name))} == {"x.json"}
    # Somebody who could take it all the same would stop the writing, and lose nothing.
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "taken").symlink_to("victim")
    monkeypatch.setattr(files, "aside", lambda path: tmp_path / "taken")
    with pytest.raises(InputError, match=r"cannot be written \(File exists\)"):
        files.write_json(tmp_path / "x.json", 1)
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "taken").is_symlink()


def test_files_keep_the_permissions_that_the_user_gives_new_ones(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_json(tmp_path / "x", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_leftovers_are_files_of_that_naming_alone(tmp_path):
    left = ["a.json.avcil-0123456789abcdef.part", "b.avcil-fedcba9876543210.part"]
    others = ["a.json.part", ".avcil-0123456789abcdef.part", "a.avcil-0123456789abcdeg.part", "a.avcil-0.part"]
    for name in [*left, *others]:
        (tmp_path / name).touch()
    (tmp_path / "c.avcil-0123456789abcdef.part").mkdir()
    (tmp_path / "d.avcil-0123456789abcdef.part").symlink_to("a.json.part")
    assert [path.name for path in files.leftovers(tmp_path)] == left


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "(No space left on device): make room there, or choose another place"),
        (errno.EFBIG, "(File too large): raise the limit of file sizes (ulimit -f)"),
        (errno.EROFS, "(Read-only file system): choose a place that can be written to"),
        (errno.EIO, "(Input/output error)"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_nothing_stays(tmp_path, monkeypatch, number, advice):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError) as error:
        files.write_json(tmp_path / "x", 1)
    assert one_line(error) == f"{tmp_path / 'x'} cannot be written {advice}"
    assert names_in(tmp_path) == []


def test_hdf5_hides_the_systems_error_in_its_words(tmp_path):
    said = RuntimeError("Can't decrement id ref count (unable to extend file, errno = 27, error message = 'too large')")
    assert "(File too large): raise the limit" in str(files.cannot_write(tmp_path, said))
    assert str(files.cannot_write(tmp_path, RuntimeError("no\nreason"))) == f"{tmp_path} cannot be written: no reason"


def test_a_lock_is_held_by_one_and_stays_a_file(tmp_path):
    path = tmp_path / ".lock"
    with files.locked(path, "busy"), pytest.raises(files.BusyError, match="busy"), files.locked(path, "busy"):
        pass
    with files.locked(path, "busy"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_to_be_one(tmp_path, monkeypatch, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError) as error, files.locked(tmp_path / ".lock", "busy"):
        pass
    assert f"{tmp_path} is on a file system without locks ({os.strerror(number)})" in one_line(error)


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "victim").touch()
    (tmp_path / "link").symlink_to("victim")
    (tmp_path / "folder").mkdir()
    for name, words in (("link", "a link lies there"), ("folder", "a folder lies there")):
        with pytest.raises(InputError, match=words) as error, files.locked(tmp_path / name, "busy"):
            pass
        one_line(error)


def test_bytes_are_synced_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    """The order that a power cut needs: data, name, folder."""
    events: list[str] = []
    real_fsync, real_replace = os.fsync, type(tmp_path).replace

    def fsync(descriptor: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "data")
        real_fsync(descriptor)

    def replace(self, target):
        events.append("name")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(type(tmp_path), "replace", replace)
    files.write_json(tmp_path / "x.json", {})
    assert events == ["data", "name", "folder"]


def test_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 1000)
    assert files.sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 1000).hexdigest()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_what_is_no_json_is_said_in_one_line(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        files.read_json(tmp_path / "x.json")
    assert f"{tmp_path / 'x.json'} cannot be read as JSON" in one_line(error)
    with pytest.raises(InputError, match="No such file"):
        files.read_json(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [("[" * 200_000, "it is nested too deeply"), ('{"a": NaN}', "NaN is no number"), ("9" * 10_000, "digits")],
)
def test_json_that_python_trips_over_is_said_in_one_line(tmp_path, content, words):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError) as error:
        files.read_json(tmp_path / "x.json")
    assert words in one_line(error)


def test_text_is_added_to_a_file_that_is_there_and_never_through_a_link(tmp_path):
    assert not files.appended(tmp_path / "x", "one\n")
    assert names_in(tmp_path) == []
    assert files.appended(tmp_path / "x", "é\n", make=True)
    assert files.appended(tmp_path / "x", "two\n")
    assert (tmp_path / "x").read_text(encoding="utf-8") == "é\ntwo\n"
    (tmp_path / "link").symlink_to("x")
    assert not files.appended(tmp_path / "link", "three\n")
    assert not files.appended(tmp_path / "link", "three\n", make=True)
    assert (tmp_path / "x").read_text(encoding="utf-8") == "é\ntwo\n"


def test_a_full_disk_is_told_of(tmp_path, monkeypatch):
    (tmp_path / "x").touch()

    def full(descriptor, content):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InputError, match=r"x cannot be written .*: make room there"):
        files.appended(tmp_path / "x", "one\n")
