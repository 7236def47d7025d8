"""A plugin's file is read and compiled, and not run."""

import hashlib
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.plugins import read_plugin


def test_a_plugin_is_read_and_hashed_and_not_run(tmp_path: Path):
    text = "from pathlib import Path\nPath(__file__).with_name('it-has-run').touch()\n"
    (tmp_path / "own.py").write_text(text)
    file = read_plugin(tmp_path / "own.py")
    assert file.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert file.code.co_filename == str(tmp_path / "own.py")
    assert not (tmp_path / "it-has-run").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("own.txt", b"", "not a Python file"),
        ("own.py", b"x = 1\nclass A(:\n", "line 2: SyntaxError: invalid syntax"),
        ("own.py", b"x = '\xff'\n", "SyntaxError"),
        ("own.py", b"x = 1\0\n", "source code string cannot contain null bytes"),
        ("own.py", b"x = " + b"(" * 10000 + b")" * 10000, "SyntaxError|MemoryError|RecursionError"),
    ],
)
def test_a_file_that_is_no_plugin_is_told_in_one_line(tmp_path: Path, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        read_plugin(tmp_path / name)
    assert str(error.value).startswith(f"--plugin {tmp_path / name}")
    assert "\n" not in str(error.value)
