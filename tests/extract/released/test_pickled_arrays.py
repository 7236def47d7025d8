"""Dictionaries of arrays are read exactly, with little memory, and nothing in them is ever run."""

import io
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from avcil.errors import InputError
from avcil.extract.released import pickled_arrays as module
from avcil.extract.released.pickled_arrays import read_index
from hypothesis import given, settings
from hypothesis import strategies as st


def save(path, content, protocol=4):
    """As np.save does, with the pickle protocol of one of NumPy's ages: 3 before version 2, 4 since."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (), "fortran_order": False, "descr": "|O"})
    path.write_bytes(header.getvalue() + pickle.dumps(np.array(content, dtype=object), protocol=protocol))
    return path


def old_names(path):
    """The modules' names before NumPy 2. Both are as long, but for the length that protocol 4 writes before."""
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"))
    return path


def features(count=5):
    generator = np.random.default_rng(4)
    return {f"clip_{i}-x": generator.normal(size=(6, 3)).astype(np.float32) for i in range(count)}


def assert_reads(path, expected):
    index = read_index(path)
    assert index is not None
    assert list(index) == list(expected)
    with path.open("rb") as file:
        for name, array in expected.items():
            assert index[name].shape == array.shape
            read = index[name].read(file)
            np.testing.assert_array_equal(read, array)
            assert read.dtype.isnative


def test_what_np_save_writes(tmp_path):
    np.save(tmp_path / "a.npy", features(2500))  # more than one batch of items
    assert_reads(tmp_path / "a.npy", features(2500))


@pytest.mark.parametrize("protocol", [3, 4])
def test_both_generations_of_numpy(tmp_path, protocol):
    assert_reads(save(tmp_path / "a.npy", features(), protocol), features())


def test_the_module_names_of_numpy_1(tmp_path):
    path = old_names(save(tmp_path / "a.npy", features(), protocol=3))
    assert b"numpy.core.multiarray\n_reconstruct" in path.read_bytes()
    assert_reads(path, features())


def test_large_small_transposed_and_foreign_arrays(tmp_path):
    content = {
        "large": np.arange(70_000, dtype=np.float32).reshape(7, 10_000),
        "transposed": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "big-endian": np.arange(6, dtype=">f4"),
        "half": np.arange(6, dtype=np.float16),
        "scalar": np.array(3.5, dtype=np.float32),
        "ünïcode": np.ones(2, np.float32),
    }
    assert_reads(save(tmp_path / "a.npy", content), content)


def test_arrays_that_share_their_bytes(tmp_path):
    array = np.arange(4, dtype=np.float32)
    assert_reads(save(tmp_path / "a.npy", {"a": array, "b": array}), {"a": array, "b": array})


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"train": {"clip": "Church bell"}, "val": {}},
        {"Church bell": 0, "Male speech": 1},
        {"a": np.ones(2, np.float32), "b": "text"},
        {"a": np.ones(2, np.int64)},
        {"a": np.array(["text"])},
        {3: np.ones(2, np.float32)},
        "text",
        3,
    ],
)
def test_other_dictionaries_are_not_features(tmp_path, content):
    assert read_index(save(tmp_path / "a.npy", content)) is None


def test_a_plain_array_is_not_a_dictionary(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    assert read_index(tmp_path / "a.npy") is None


class Payload:
    """Unpickling this runs a function; what `function` is does not matter to the reader."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def attacks(mark: Path):
    return {
        "as a value": {"a": Payload(Path.touch, mark)},
        "beside arrays": features() | {"z": Payload(os.system, f"touch {mark}")},
        "as a key": {Payload(os.mkdir, str(mark)): np.ones(2)},
        "inside an object array": {"a": np.array([Payload(Path.touch, mark)], dtype=object)},
        "through numpy itself": {"a": Payload(np.fromfile, str(mark))},
        "through a builtin": {"a": Payload(eval, f"open({str(mark)!r}, 'w')")},
        "through an attribute": {"a": Payload(getattr, "text", "upper")},
    }


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("kind", list(attacks(Path())))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, kind, protocol):
    mark = tmp_path / "mark"
    path = save(tmp_path / "a.npy", attacks(mark)[kind], protocol)
    with pytest.raises(
        InputError, match=r"asks for '[\w.]+', which is no array of numbers; nothing was run"
    ) as refusal:
        read_index(path)
    assert not mark.exists()
    assert "\n" not in str(refusal.value)


HEADER = 128  # np.save pads its header to this


def assembled(path, *instructions):
    """A .npy file whose pickle is written by hand."""
    start = save(path, {}).read_bytes()[:HEADER]
    path.write_bytes(start + b"\x80\x03" + b"".join(instructions) + b".")
    return path


NDARRAY = b"cnumpy\nndarray\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    "instructions",
    [
        [NDARRAY, b"K\x03\x85", b"R"],  # calls ndarray itself, which would reserve memory
        [b"cnumpy\ndtype\n", b"K\x03\x85", b"R"],
        [RECONSTRUCT, b"cnumpy\ndtype\n", b"\x85", b"R"],
        [NDARRAY, b"}", b"b"],  # sets attributes of the class
        [b"(i" + b"os\nsystem\n"],
        [b"cos\nsystem\n"],
        [b"\x82\x01"],  # extension registry
        [b"X\x01\x00\x00\x00aQ"],  # persistent id
        [b"I01\n"],  # instructions of protocol 0
        [NDARRAY, b")", b"\x81"],  # NEWOBJ
    ],
)
def test_hand_written_pickles_are_refused(tmp_path, instructions):
    with pytest.raises(InputError) as refusal:
        read_index(assembled(tmp_path / "a.npy", *instructions))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "instructions",
    [
        [],  # nothing at all
        [b"0"],  # POP of nothing, which is not known here either
        [b"\x85"],  # a tuple of nothing
        [b"h\x05"],  # a memory never written
        [b"B\xff\xff\xff\xffabc"],  # bytes beyond the end
        [b"\x8e" + b"\xff" * 8],  # very many bytes
        [b"X\xff\xff\xff\xff"],  # a very long text
        [b"X\x02\x00\x00\x00\xff\xff"],  # not UTF-8
        [b"K\x01K\x02s"],  # an item for what is no dictionary
        [b"}]K\x01s"],  # a list as a key
    ],
)
def test_damaged_pickles_are_refused(tmp_path, instructions):
    with pytest.raises(InputError) as refusal:
        read_index(assembled(tmp_path / "a.npy", *instructions))
    assert "\n" not in str(refusal.value)


def nested(levels: int) -> bytes:
    """A tuple of twice the tuple below it: small here, and 2 ** levels leaves for whoever walks through it."""
    return b"K\x01q\x00" + b"".join(b"h%ch%c\x86q%c" % (level, level, level + 1) for level in range(levels))


@pytest.mark.parametrize(
    "instructions",
    [
        [b"}", nested(60), b"K\x01s"],  # hashed, as a key
        [b"}(", nested(60), b"K\x01u"],
        [nested(60), b")R"],  # hashed, as a name
        [nested(60), b"h\x3c\x93"],  # written out, as a name
        [RECONSTRUCT, nested(60), b"\x85R"],
        [b"cnumpy\ndtype\n", nested(60), b"\x85R"],
    ],
)
def test_nested_tuples_take_no_time(tmp_path, instructions):
    with pytest.raises(InputError) as refusal:
        read_index(assembled(tmp_path / "a.npy", *instructions))
    assert "\n" not in str(refusal.value)


def test_a_shape_of_very_many_axes_is_refused(tmp_path):
    array = [
        RECONSTRUCT,
        NDARRAY,
        b"\x85R(K\x01(",
        b"J\xff\xff\xff\x7f" * 1000,
        b"tcnumpy\ndtype\n",
        b"X\x02\x00\x00\x00f4",
    ]
    path = assembled(tmp_path / "a.npy", *array, b"\x85R\x89C\x00tb")
    with pytest.raises(InputError, match="an array of an impossible shape"):
        read_index(path)


def test_a_pickle_of_very_many_instructions_is_not_followed_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INSTRUCTIONS", 1000)
    with pytest.raises(InputError, match="far more instructions than a dictionary of features has"):
        read_index(assembled(tmp_path / "a.npy", b"N" * 1100))
    assert read_index(assembled(tmp_path / "a.npy", b"N" * 1000)) is None


def test_features_need_far_fewer_instructions_than_are_allowed(tmp_path, monkeypatch):
    """Vectors of 768 numbers of 16 bits are the smallest that there are."""
    monkeypatch.setattr(module, "INSTRUCTIONS", 0)
    content = {f"clip{number}": np.zeros(768, np.float16) for number in range(50)}
    assert_reads(save(tmp_path / "a.npy", content), content)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{}", b"\x93NUMPY\x01\x00\x02\x00({"]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        read_index(tmp_path / "a.npy")


def test_a_cut_off_download_is_refused_wherever_it_was_cut(tmp_path):
    whole = save(tmp_path / "a.npy", features(3)).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "a.npy").write_bytes(whole[:length])
        with pytest.raises(InputError, match="is damaged"):
            read_index(tmp_path / "a.npy")


def test_an_array_whose_bytes_do_not_fill_its_shape_is_refused(tmp_path):
    path = save(tmp_path / "a.npy", {"a": np.ones(40, np.float32)})
    content = path.read_bytes()
    assert content.count(b"K\x28\x85") == 1  # the shape, (40,)
    path.write_bytes(content.replace(b"K\x28\x85", b"K\x29\x85"))
    with pytest.raises(InputError, match="is damaged"):
        read_index(path)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(HEADER, 700), value=st.integers(0, 255))
def test_any_single_wrong_byte_ends_in_an_answer_or_in_one_line(tmp_path_factory, position, value):
    path = tmp_path_factory.mktemp("bytes") / "a.npy"
    content = bytearray(save(path, features(4)).read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        index = read_index(path)
    except InputError:
        return  # and nothing else
    assert index is None or all(array.dtype.kind == "f" for array in index.values())


def test_memory_does_not_grow_with_the_size_of_the_arrays(tmp_path):
    """48 MB in 60 arrays: the index and one array at a time stay far below."""
    path = save(tmp_path / "a.npy", {f"clip{i}": np.full((50, 4000), i, np.float32) for i in range(60)})
    assert path.stat().st_size > 48_000_000
    tracemalloc.start()
    index = read_index(path)
    assert index is not None
    with path.open("rb") as file:
        for i in range(60):
            assert index[f"clip{i}"].read(file)[7, 7] == i
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 800_000 < peak < 2_500_000  # one array is 800 kB
