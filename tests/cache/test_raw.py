import os

import pytest
from avcil.cache.raw import opened, read_at, read_into
from avcil.errors import InputError


def test_bytes_are_read_where_they_lie(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(bytes(range(100)))
    with opened(path) as descriptor:
        assert read_at(descriptor, path, 5, 20) == bytes(range(20, 25))
        into = bytearray(3)
        read_into(descriptor, path, memoryview(into), 97)
        assert into == bytes([97, 98, 99])
        with pytest.raises(InputError, match="ends early, at byte 100"):
            read_at(descriptor, path, 5, 97)


def test_what_is_no_file_is_said_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "link.h5").symlink_to("nowhere")
    for name, words in (
        ("pipe.h5", "is no file"),
        ("folder.h5", "is no file"),
        ("link.h5", "cannot be read: it is a link that leads nowhere"),
        ("none.h5", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(InputError, match=words), opened(tmp_path / name):
            pass


def test_a_disk_that_fails_while_it_is_read_is_one_line_and_no_descriptor_stays(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"x")
    descriptors = []

    def fail():
        with opened(path) as descriptor:
            descriptors.append(descriptor)
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match=r"x\.h5 cannot be read: Input/output error"):
        fail()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])
