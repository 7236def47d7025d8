"""The authors' feature files become a cache: both layouts, gaps, faults, resuming, bounded memory."""

import json
import os
import tracemalloc
from collections import Counter
from pathlib import Path
from random import Random

import h5py
import numpy as np
import pytest
import torch
from avcil.cache import FeatureCache, verify
from avcil.errors import InputError
from avcil.extract.cli import main
from avcil.extract.released.importing import import_released
from avcil.manifests import Clip, Manifest
from click.testing import CliRunner

L, S, D = 8, 3, 5
IDS = ["-aXdAgNEVKl", "0aWEkKM9nVk", "zz_top_12345", "fourth", "fifth"]
MANIFEST = Manifest(
    name="ave",
    clips=tuple(Clip(id, f"class{i % 2}", "train") for i, id in enumerate(IDS)),
    class_order=("class0", "class1"),
)


def audio_of(id):
    return np.random.default_rng([1, IDS.index(id) if id in IDS else 99]).normal(size=D).astype(np.float32)


def visual_of(id, shape=(L * S, D)):
    generator = np.random.default_rng([2, IDS.index(id) if id in IDS else 99])
    return generator.normal(size=(L * S, D)).astype(np.float32).reshape(shape)


def write_audio(folder, ids, **replaced):
    (folder / "audio_pretrained_feature").mkdir(parents=True, exist_ok=True)
    table = {id: replaced.get(id, audio_of(id)) for id in ids}
    np.save(folder / "audio_pretrained_feature" / "audio_pretrained_feature_dict.npy", table)  # type: ignore[arg-type]


def write_visual(folder, ids, form="npy", shape=(L * S, D), **replaced):
    (folder / "visual_pretrained_feature").mkdir(parents=True, exist_ok=True)
    table = {id: replaced.get(id, visual_of(id, shape)) for id in ids}
    if form == "npy":
        np.save(folder / "visual_pretrained_feature" / "visual_pretrained_feature_dict.npy", table)  # type: ignore[arg-type]
    else:
        with h5py.File(folder / "visual_pretrained_feature" / "visual_features.h5", "w") as file:
            for id, features in table.items():
                file.create_dataset(id, data=features)


def write_labels(folder):
    """The label dictionaries that lie beside the released features."""
    np.save(folder / "all_id_category_dict.npy", {"train": dict.fromkeys(IDS, "Church bell")})  # type: ignore[arg-type]
    np.save(folder / "category_encode_dict.npy", {"Church bell": np.int64(0)})  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["npy", "h5"])
@pytest.mark.parametrize("shape", [(L * S, D), (L, S, D)], ids=["tokens", "slices"])
def test_every_value_arrives_at_its_place(tmp_path, form, shape):
    write_audio(tmp_path / "AVE", reversed(IDS))  # the authors' order is the file system's
    write_visual(tmp_path / "AVE", IDS, form, shape)
    write_labels(tmp_path / "AVE")
    report = import_released(MANIFEST, tmp_path, tmp_path / "cache", shard_size=2)
    assert (report.written, report.held, report.skipped) == (5, 0, 0)
    assert not report.missing
    cache = FeatureCache(tmp_path / "cache")
    assert cache.ids == tuple(IDS)
    assert (cache.visual_shape, cache.audio_shape, cache.storage) == ((L, S, D), (D,), "float32")
    read = cache.read(IDS)
    for i, id in enumerate(IDS):
        # Token t of the published array is token t % S of slice t // S.
        for token in range(L * S):
            np.testing.assert_array_equal(read.visual[i, token // S, token % S], visual_of(id)[token])
        np.testing.assert_array_equal(read.audio[i], audio_of(id))
    assert not verify(tmp_path / "cache").problems


def test_the_fingerprint_says_whose_features_these_are(tmp_path):
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS)
    import_released(MANIFEST, tmp_path / "f", tmp_path / "cache", storage="float16", jpeg_rate=10)
    cache = FeatureCache(tmp_path / "cache")
    facts = cache.fingerprint.facts
    assert facts["origin"] == "features released by the authors of AV-CIL (ICCV 2023)"
    assert facts["recipe"]["name"] == "released"
    assert facts["recipe"]["jpeg_rate"] == 10
    assert facts["visual_encoder"]["encoder"] == "videomae"
    assert facts["audio_encoder"]["encoder"] == "audiomae"
    assert "no hash known" in facts["visual_encoder"]["weights"]
    assert not cache.random_weights
    assert facts["storage"] == cache.storage == "float16"
    assert cache.read(IDS).visual.dtype == torch.float16


def test_clips_that_are_missing_or_unknown_are_counted_and_written_down(tmp_path):
    write_audio(tmp_path / "f", [*IDS[:4], "stranger"])
    write_visual(tmp_path / "f", [*IDS[1:], "another", "stranger"])
    report = import_released(MANIFEST, tmp_path / "f", tmp_path / "cache")
    assert (report.written, report.skipped) == (3, 2)
    assert report.missing == {"class0": 2}
    assert report.missing_by_modality == {"visual": 1, "audio": 1}
    rows = (tmp_path / "cache" / "missing.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [IDS[0], IDS[4]]
    assert FeatureCache(tmp_path / "cache").ids == tuple(IDS[1:4])
    assert any("without features: 2 (visual features 1, audio features 1" in line for line in report.lines())


def test_features_that_cannot_be_used_are_quarantined(tmp_path):
    holed = visual_of(IDS[1]).copy()
    holed[4, 2] = np.nan
    write_audio(tmp_path / "f", IDS, **{IDS[3]: np.ones(D + 1, np.float32)})
    write_visual(tmp_path / "f", IDS, **{IDS[1]: holed, IDS[2]: np.ones((L * S + 1, D), np.float32)})
    report = import_released(MANIFEST, tmp_path / "f", tmp_path / "cache")
    assert report.written == 2
    assert report.quarantined == {"features not finite": 1, "features of another shape": 2}
    listed = json.loads((tmp_path / "cache" / "quarantine.json").read_text())
    assert set(listed) == {IDS[1], IDS[2], IDS[3]}
    assert "(25, 5)" in listed[IDS[2]]["words"]
    assert FeatureCache(tmp_path / "cache").ids == (IDS[0], IDS[4])


def test_a_first_clip_of_odd_shape_does_not_decide_for_all(tmp_path):
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, **{IDS[0]: np.ones((2, 2), np.float32)})
    report = import_released(MANIFEST, tmp_path / "f", tmp_path / "cache")
    assert (report.written, report.quarantined) == (4, {"features of another shape": 1})


def test_a_second_import_does_nothing_and_a_lost_shard_comes_back_the_same(tmp_path):
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, "h5")
    cache = tmp_path / "cache"
    import_released(MANIFEST, tmp_path / "f", cache, shard_size=2)
    before = {path.name: path.read_bytes() for path in (cache / "shards").iterdir()}
    assert len(before) == 6  # three shards, each with its record
    report = import_released(MANIFEST, tmp_path / "f", cache, shard_size=2)
    assert (report.written, report.held) == (0, 5)
    for name in sorted(before)[2:4]:
        (cache / "shards" / name).unlink()
    report = import_released(MANIFEST, tmp_path / "f", cache, shard_size=2)
    assert (report.written, report.held) == (2, 3)
    after = {path.name: path.read_bytes() for path in (cache / "shards").iterdir()}
    assert {name: data for name, data in after.items() if name.endswith(".h5")} == {
        name: data for name, data in before.items() if name.endswith(".h5")
    }


def test_other_files_or_another_storage_do_not_mix_with_a_cache(tmp_path):
    for folder, ids in (("one", IDS), ("two", IDS[:3])):
        write_audio(tmp_path / folder, ids)
        write_visual(tmp_path / folder, ids)
    import_released(MANIFEST, tmp_path / "one", tmp_path / "cache")
    with pytest.raises(InputError, match=r"audio_encoder\.file_bytes: \d+ here, \d+ there"):
        import_released(MANIFEST, tmp_path / "two", tmp_path / "cache")
    with pytest.raises(InputError, match=r"storage: \"int8\" here, \"float32\" there"):
        import_released(MANIFEST, tmp_path / "one", tmp_path / "cache", storage="int8")


def test_files_of_other_names_are_known_by_what_they_hold(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    np.save(folder / "sound.npy", {id: audio_of(id) for id in IDS})  # type: ignore[arg-type]
    np.save(folder / "numbers.npy", np.zeros((3, 4)))
    write_labels(folder)
    with h5py.File(folder / "pictures.hdf5", "w") as file:
        for id in IDS:
            file.create_dataset(id, data=visual_of(id))
    assert import_released(MANIFEST, folder, tmp_path / "cache").written == 5


def refused(folder, message, manifest=MANIFEST, cache=None):
    cache = cache or folder.parent / "cache"
    with pytest.raises(InputError, match=message) as refusal:
        import_released(manifest, folder, cache)
    assert "\n" not in str(refusal.value)
    assert not cache.exists()  # nothing half-written


def test_what_is_not_there_is_told(tmp_path):
    folder = tmp_path / "f"
    refused(folder, "no such directory of features")
    folder.mkdir()
    refused(folder, r"no audio and no visual features below .*audio_pretrained_feature_dict\.npy")
    write_audio(folder, IDS)
    refused(folder, "no visual features below")


def test_two_data_sets_at_once_are_refused(tmp_path):
    write_audio(tmp_path / "f" / "AVE", IDS)
    write_visual(tmp_path / "f" / "AVE", IDS)
    write_audio(tmp_path / "f" / "kinetics-sounds", IDS)
    refused(tmp_path / "f", r"two files of audio features, .*AVE.* and .*kinetics-sounds.*: name one data set")


def test_features_of_another_data_set_are_refused(tmp_path):
    write_audio(tmp_path / "f", ["a", "b"])
    write_visual(tmp_path / "f", ["a", "b"])
    refused(tmp_path / "f", "none of the 5 clips of ave is in both")


def test_tokens_that_make_no_eight_slices_are_refused(tmp_path):
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, shape=(4, L * S * D // 4))
    refused(tmp_path / "f", "no tokens of 8 time slices")


def test_a_malicious_dictionary_is_refused_and_runs_nothing(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "mark"),)

    write_audio(tmp_path / "f", IDS, **{IDS[2]: Payload()})
    write_visual(tmp_path / "f", IDS)
    refused(tmp_path / "f", r"audio_pretrained_feature_dict\.npy: it asks for '\w+\.mkdir', which is no array")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_damaged_hdf5_file_is_refused(tmp_path, content):
    write_audio(tmp_path / "f", IDS)
    (tmp_path / "f" / "visual_features.h5").write_bytes(content)
    refused(tmp_path / "f", "is no readable HDF5 file")


def test_a_cut_off_hdf5_file_is_refused(tmp_path):
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, "h5")
    path = tmp_path / "f" / "visual_pretrained_feature" / "visual_features.h5"
    path.write_bytes(path.read_bytes()[:-2000])
    refused(tmp_path / "f", "is no readable HDF5 file")


def damaged(whole: bytes, seed: int) -> bytes:
    """A file of random bytes, with or without HDF5's signature, or `whole` with some bytes changed."""
    random = Random(seed)
    content = bytearray(whole)
    match seed % 4:
        case 0:
            return random.randbytes(random.randrange(3000))
        case 1:
            return whole[:8] + random.randbytes(len(whole) - 8)
        case 2:
            for _ in range(random.randrange(1, 20)):
                content[random.randrange(len(content))] = random.randrange(256)
        case 3:
            place = random.randrange(len(content) - 8)
            content[place : place + 8] = random.choice([b"\xff" * 8, bytes(8), b"\xff\xff\xff\x7f" + bytes(4)])
    return bytes(content)


def test_whatever_the_bytes_of_an_hdf5_file_it_is_read_or_refused(tmp_path):
    """In one line, and no cache is left behind unless clips stand in its quarantine."""
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, "h5")
    path = tmp_path / "f" / "visual_pretrained_feature" / "visual_features.h5"
    whole = path.read_bytes()
    answers = Counter[str]()
    left_behind: dict[str, bool] = {}
    for seed in range(80):
        path.write_bytes(damaged(whole, seed))
        cache = tmp_path / f"cache-{seed}"
        try:
            import_released(MANIFEST, tmp_path / "f", cache)
            answers["read"] += 1
        except InputError as error:
            answers["refused"] += 1
            left_behind[str(error)] = cache.exists()
    assert answers["read"] > 10
    assert answers["refused"] > 30
    assert all("no clip's features can be used" in words for words, there in left_behind.items() if there)


@pytest.mark.parametrize(
    ("audio", "visual"),
    [((D,), (2**33, D)), ((2**40,), (L * S, D)), ((D,), (L, 2**20, 2**20)), ((D,), (8 * 10**9, 10**9))],
)
def test_absurd_sizes_are_refused_before_a_cache_is_made(tmp_path, audio, visual):
    """HDF5 says any size of what was never written; the last one is beyond 64 bits."""
    (tmp_path / "f").mkdir()
    for name, shape in (("sound.h5", audio), ("pictures.h5", visual)):
        with h5py.File(tmp_path / "f" / name, "w") as file:
            for id in IDS:
                file.create_dataset(id, shape, "<f4", chunks=tuple(min(n, 64) for n in shape))
    refused(tmp_path / "f", r"its arrays [\dx ]+ take [\d.e+]+ [GT]B a clip, which no features do: is it damaged\?")


def test_features_of_which_none_can_be_used(tmp_path):
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, **{id: np.full((L * S, D), np.nan, np.float32) for id in IDS})
    with pytest.raises(InputError, match=r"no clip's features can be used \(features not finite 5\): see .*quarantine"):
        import_released(MANIFEST, tmp_path / "f", tmp_path / "cache")


def test_a_damaged_data_set_costs_one_clip(tmp_path):
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, "h5")
    path = tmp_path / "f" / "visual_pretrained_feature" / "visual_features.h5"
    with h5py.File(path) as file:
        header = h5py.h5o.get_info(file[IDS[2]].id).addr
    content = bytearray(path.read_bytes())
    content[header : header + 8] = b"\xff" * 8
    path.write_bytes(content)
    report = import_released(MANIFEST, tmp_path / "f", tmp_path / "cache")
    assert (report.written, sum(report.quarantined.values())) == (4, 1)
    assert IDS[2] not in FeatureCache(tmp_path / "cache").ids


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path):
    """A file from elsewhere must not bring the contents of another one into the cache."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file.create_dataset("data", data=visual_of(IDS[0]))
    raw = tmp_path / "secret.bin"
    raw.write_bytes(visual_of(IDS[1]).tobytes())
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS[3:], "h5")
    with h5py.File(tmp_path / "f" / "visual_pretrained_feature" / "visual_features.h5", "a") as file:
        file[IDS[0]] = h5py.ExternalLink(str(secret), "data")
        file.create_dataset(IDS[1], (L * S, D), "<f4", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
        layout = h5py.VirtualLayout((L * S, D), "<f4")
        layout[:] = h5py.VirtualSource(str(secret), "data", (L * S, D))
        file.create_virtual_dataset(IDS[2], layout)
    report = import_released(MANIFEST, tmp_path / "f", tmp_path / "cache")
    assert FeatureCache(tmp_path / "cache").ids == (IDS[3], IDS[4])
    assert report.missing == {"class0": 1}
    assert report.quarantined == {"features of another shape": 2}


@pytest.mark.parametrize("form", ["npy", "h5"])
def test_memory_stays_far_below_the_size_of_the_files(tmp_path, form):
    """64 clips of 1 MB each."""
    shape = (8, 128, 256)
    ids = [f"clip{i:02d}" for i in range(64)]
    manifest = Manifest("big", tuple(Clip(id, "c", "train") for id in ids), ("c",))
    write_audio(tmp_path / "f", ids)
    write_visual(tmp_path / "f", ids, form, **{id: np.full(shape, i, np.float32) for i, id in enumerate(ids)})
    size = sum(path.stat().st_size for path in (tmp_path / "f").rglob("*") if path.is_file())
    assert size > 64 * 2**20
    tracemalloc.start()
    import_released(manifest, tmp_path / "f", tmp_path / "cache")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert FeatureCache(tmp_path / "cache").read([ids[37]]).visual[0, 7, 127, 255] == 37


def test_from_the_command_line(tmp_path: Path):
    table = tmp_path / "clips.csv"
    table.write_text("video_id,label,split\n" + "".join(f"{clip.id},{clip.label},train\n" for clip in MANIFEST.clips))
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS[1:])
    choices = ["--manifest", str(table), "--features", str(tmp_path / "f"), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(main, ["import-released", *choices])
    assert result.exit_code == 0, result.output
    assert "written: 4" in result.stdout
    assert "without features: 1 (visual features 1, audio features 0;" in result.stdout
    result = CliRunner().invoke(main, ["import-released", *choices, "--store", "int8"])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


def test_no_damage_to_an_hdf5_file_is_a_traceback_or_leaves_a_cache_behind(tmp_path):
    """Bytes of the file's head overwritten at random: a line, or a cache of the clips that can still be read."""
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, "h5")
    path = tmp_path / "f" / "visual_pretrained_feature" / "visual_features.h5"
    sound = path.read_bytes()
    random = np.random.default_rng(0)
    outcomes = {True: 0, False: 0}
    for number in range(60):
        content = bytearray(sound)
        if number % 3 == 0:
            content = bytearray(b"\x89HDF\r\n\x1a\n" + random.bytes(int(random.integers(4000))))
        else:
            at, count = int(random.integers(3000)), int(random.integers(1, 100))
            content[at : at + count] = random.bytes(count)
        path.write_bytes(content)
        cache = tmp_path / f"cache{number}"
        try:
            written = import_released(MANIFEST, tmp_path / "f", cache).written
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert not cache.exists()
            outcomes[False] += 1
        else:
            assert len(FeatureCache(cache).ids if written else ()) == written
            outcomes[True] += 1
    assert min(outcomes.values()) > 5


def test_a_damaged_import_is_made_again_from_what_it_notes(tmp_path):
    table = tmp_path / "clips.csv"
    table.write_text("video_id,label,split\n" + "".join(f"{clip.id},{clip.label},train\n" for clip in MANIFEST.clips))
    write_audio(tmp_path / "f", IDS)
    write_visual(tmp_path / "f", IDS, "h5")
    cache = tmp_path / "cache"
    choices = ["--manifest", str(table), "--features", str(tmp_path / "f"), "--cache", str(cache), "--shard-size", "2"]
    invoke = CliRunner().invoke
    assert invoke(main, ["import-released", *choices]).exit_code == 0
    before = {path.name: path.read_bytes() for path in (cache / "shards").iterdir()}
    first, second, _ = sorted((cache / "shards").glob("*.h5"))
    first.write_bytes(first.read_bytes()[:-5] + b"wrong")
    second.unlink()
    (tmp_path / "f").rename(tmp_path / "moved")
    result = invoke(main, ["repair", "--cache", str(cache)])
    assert result.exit_code == 2
    assert "no such directory of features" in result.stderr
    result = invoke(main, ["repair", "--cache", str(cache), "--features", str(tmp_path / "moved")])
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_bytes() for path in (cache / "shards").iterdir()} == before
    assert verify(cache).ok
