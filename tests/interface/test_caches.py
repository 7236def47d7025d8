from pathlib import Path

import avcil
import pytest
import torch
from avcil.errors import InputError
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made
from torch.utils.data import DataLoader


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two classes of 2, 1 and 3 clips, one of which the cache lacks."""
    folder = tmp_path_factory.mktemp("made")
    return synthetic.make(folder, 2, counts={"train": 2, "val": 1, "test": 3}, not_cached=["c01_test_02"])


def test_a_cache_is_a_mapping_of_clips(made: Made):
    cache = avcil.open_cache(made.cache)
    assert len(cache) == 11
    assert list(cache) == list(cache.ids)
    assert "c00_train_00" in cache
    assert "c01_test_02" not in cache
    visual, audio = cache["c01_val_00"]
    drawn = synthetic.features("c01_val_00", 1)
    assert torch.equal(visual, drawn[0])
    assert torch.equal(audio, drawn[1])
    with pytest.raises(KeyError, match="c01_test_02"):
        cache["c01_test_02"]
    assert repr(cache) == f"<{made.cache}: 11 clips, visual (2, 3, 8), audio (16,), float32, RANDOM weights>"


def test_a_data_set_by_split(made: Made):
    data = avcil.open_cache(made.cache).dataset("test", manifest=made.manifest)
    assert (len(data), data.missing) == (5, ("c01_test_02",))
    assert data.classes == ("class 00", "class 01")
    visual, audio, label = data[-1]
    assert (data.ids[-1], label) == ("c01_test_01", 1)
    drawn = synthetic.features("c01_test_01", 1)
    assert torch.equal(visual, drawn[0])
    assert torch.equal(audio, drawn[1])
    with pytest.raises(IndexError):
        data[5]
    assert repr(data) == f"<5 clips of 2 classes from {made.cache}, 1 more are not in the cache>"


def test_a_loader_makes_batches_of_it(made: Made):
    data = avcil.open_cache(made.cache).dataset("train", manifest=made.manifest)
    batches = list(DataLoader(data, batch_size=3))
    assert [tuple(batch[0].shape) for batch in batches] == [(3, 2, 3, 8), (1, 2, 3, 8)]
    assert torch.cat([batch[2] for batch in batches]).tolist() == [0, 0, 1, 1]


def test_lists_that_do_not_fit(made: Made, tmp_path: Path):
    cache = avcil.open_cache(made.cache)
    with pytest.raises(InputError, match="either manifest=FILE"):
        cache.dataset("test")
    with pytest.raises(InputError, match=r"there is no split 'tset': train, val, test$"):
        cache.dataset("tset", manifest=made.manifest)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"holds none of the \d+ test clips of ave$"):
        cache.dataset("test", dataset="ave")
    with pytest.raises(InputError, match=r"is not a feature cache: it has no cache.json"):
        avcil.open_cache(tmp_path)
