import json
import time
from typing import Any

import h5py
import numpy as np
import pytest
from avcil.cache import STORAGE_TYPES, scan
from avcil.cache.layout import PAGE, Place, ShardRecord, create_empty_shard, read_record
from avcil.cache.storage import storage_type
from avcil.errors import InputError

from .conftest import AUDIO_SHAPE, VISUAL_SHAPE, one_line


@pytest.mark.parametrize("storage", STORAGE_TYPES)
def test_any_hdf5_program_can_read_a_shard(make_cache, storage):
    known = make_cache(storage)
    for number, ids in enumerate(known.shards):
        with h5py.File(known.shard(number)) as file:
            assert file.attrs["format"] == b"avcil-shard"
            assert file.attrs["storage"].decode() == storage
            assert list(file["id"].asstr()) == list(ids)
            rows = [known.ids.index(clip) for clip in ids]
            for name, expected in (("visual", known.visual[rows]), ("audio", known.audio[rows])):
                values = file[name][:]
                assert file[name].shape == expected.shape
                if storage == "bfloat16":
                    assert file[name].attrs["stored_as"] == b"bfloat16"
                    values = (values.astype(np.uint32) << 16).view(np.float32)
                elif storage == "int8":
                    values = values * file[f"{name}_scale"][:][..., None]
                atol = {"float32": 0, "float16": 2e-3, "bfloat16": 2e-2, "int8": 2e-2}[storage]
                np.testing.assert_allclose(values, expected, atol=atol, rtol=0)


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_data_sets_are_contiguous_unfiltered_and_lie_where_the_record_says(make_cache, storage):
    known = make_cache(storage)
    for record in scan(known.directory).shards:
        path = known.directory / "shards" / record.file_name
        raw = path.read_bytes()
        with h5py.File(path) as file:
            assert set(file) == set(record.datasets)
            for name, place in record.datasets.items():
                dataset = file[name]
                assert dataset.chunks is None
                assert dataset.compression is None
                assert dataset.id.get_create_plist().get_nfilters() == 0
                assert dataset.id.get_offset() == place.offset
                at = raw[place.offset : place.end]
                assert at == dataset[:].tobytes()


def test_large_data_sets_begin_on_a_page(tmp_path):
    places = create_empty_shard(tmp_path / "x.h5", ("a", "bb"), (8, 16, 32), (4096,), storage_type("float16"), "f")
    assert places["visual"].offset % PAGE == 0
    assert places["audio"].offset % PAGE == 0
    assert places["id"].dtype == "|S2"


def test_the_same_content_gives_the_same_bytes_at_another_time(make_cache):
    first = make_cache(name="one")
    time.sleep(1.1)  # HDF5 keeps times, where it does, in whole seconds
    second = make_cache(name="two")
    for number in range(2):
        assert first.shard(number).read_bytes() == second.shard(number).read_bytes()
        assert first.shard(number, "json").read_bytes() == second.shard(number, "json").read_bytes()


def test_places_by_hand():
    place = Place(offset=100, dtype="<f2", shape=(5, 2, 3))
    assert (place.row_shape, place.row_bytes, place.row_offset(4), place.end) == ((2, 3), 12, 148, 160)
    assert Place(offset=7, dtype="<u4", shape=(5,)).row_bytes == 4


def record_as_json(known) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(known.shard(0, "json").read_text())
    return record


def test_a_record_comes_back_as_it_was_written(known):
    record = read_record(known.shard(0, "json"))
    assert record == ShardRecord(**record_as_json(known))
    assert (record.visual_shape, record.audio_shape) == (VISUAL_SHAPE, AUDIO_SHAPE)
    assert record.ids == known.shards[0]
    assert record.bytes == known.shard(0).stat().st_size
    assert record.versions == {"torch": "2"}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda record: record.pop("sha256"), "sha256: Field required"),
        (lambda record: record.update(sha256="12"), "sha256"),
        (lambda record: record["datasets"].pop("visual"), "no place given for visual"),
        (lambda record: record["ids"].append("more"), "a row for each of the 4 clips"),
        (lambda record: record["ids"].__setitem__(0, record["ids"][1]), "a clip is listed twice"),
        (lambda record: record.update(bytes=100), "ends beyond the end of the file"),
        (lambda record: record["datasets"]["audio"].update(offset=-1), "datasets.audio.offset"),
        (lambda record: record.update(name="other"), "the record of another shard, 'other'"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused_in_one_line(known, damage, words):
    content = record_as_json(known)
    damage(content)
    path = known.shard(0, "json")
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_record(path)
    assert words in one_line(error)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\x01", '{"name": 3}'])
def test_a_file_that_is_no_record_is_refused_in_one_line(known, text):
    path = known.shard(0, "json")
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_record(path)
    assert str(path) in one_line(error)
