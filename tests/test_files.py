import hashlib
import json
import os
import stat

import pytest
from avcil import files
from avcil.errors import InputError
from avcil.tests.cache.conftest import one_line


def test_json_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": "é", "b": [1, 2]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "é", "b": [1, 2]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path) == {"a": "é", "b": [1, 2]}

    def fail(source, target) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "rename_durably", fail)
    with pytest.raises(KeyboardInterrupt):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": "é", "b": [1, 2]}


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
