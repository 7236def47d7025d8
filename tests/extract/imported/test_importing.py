"""Features from elsewhere: every kind of file gives the same cache; what training cannot use is refused beforehand."""

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.errors import InputError
from avcil.extract.cli import main
from avcil.extract.config import FeaturesConfig
from avcil.extract.imported.importing import as_audio, as_visual, import_features
from click.testing import CliRunner
from rich.console import Console

IDS = ("b", "a", "c")
VISUAL = {clip: torch.arange(24.0).view(2, 3, 4) + number for number, clip in enumerate(IDS)}
AUDIO = {clip: torch.arange(5.0) * number for number, clip in enumerate(IDS)}


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("video_id,label,split\n" + "".join(f"{clip},x,train\n" for clip in sorted(IDS)))
    return path


def write(folder, kind, features):
    """The file of that kind with these features."""
    path = folder / f"f{len(list(folder.iterdir()))}{kind}"
    if kind == ".npy":
        np.save(path, torch.stack(list(features.values())).numpy())
        (folder / "ids.csv").write_text("".join(f"{clip}\n" for clip in features))
    elif kind == ".npz":
        np.savez(path, **{clip: array.numpy() for clip, array in features.items()})
    elif kind == ".safetensors":
        safetensors.torch.save_file(features, path)
    elif kind == ".pt":
        torch.save(features, path)
    elif kind == ".h5":
        with h5py.File(path, "w") as file:
            for clip, array in features.items():
                file[clip] = array.numpy()
    else:
        path.mkdir()
        for clip, array in features.items():
            if kind == "-npy":
                np.save(path / f"{clip}.npy", array.numpy())
            else:
                torch.save(array, path / f"{clip}.pt")
    return path


def bring_in(listed, **choices):
    choices.setdefault("name", "mine")
    choices.setdefault("cache", listed.parent / "cache")
    return list(import_features(FeaturesConfig(manifest=listed, **choices), Console(quiet=True)))


def test_paths_become_ids_as_in_lists(tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("filename,label,split\n" + "".join(f"dog/{clip}.mp4,x,train\n" for clip in IDS))
    by_path = {f"dog/{clip}.mp4": VISUAL[clip] for clip in IDS}
    bring_in(listed, visual=write(tmp_path, ".npz", by_path), cache=tmp_path / "one")
    bring_in(listed, visual=write(tmp_path, ".npy", by_path), ids=listed, cache=tmp_path / "two")
    for cache in map(FeatureCache, (tmp_path / "one", tmp_path / "two")):
        assert set(cache.ids) == {f"dog__{clip}" for clip in IDS}
        torch.testing.assert_close(cache["dog__a"].visual, VISUAL["a"].to(cache["dog__a"].visual.dtype))
    twins = write(tmp_path, ".npz", {"dog/a.mp4": VISUAL["a"], "dog/a.mkv": VISUAL["a"]})
    with pytest.raises(InputError, match=r"'dog/a\.mp4' and 'dog/a\.mkv' both become the id 'dog__a': rename one"):
        bring_in(listed, visual=twins, cache=tmp_path / "three")


def test_ids_that_are_others_are_shown_beside_each_other(listed, tmp_path):
    strange = write(tmp_path, ".npz", {f"x{clip}": VISUAL[clip] for clip in IDS})
    with pytest.raises(InputError, match=r"none of the 3 clips of list has features: its first id is 'a', and .* 'xb'"):
        bring_in(listed, visual=strange)


@pytest.mark.parametrize("kind", [".npy", ".npz", ".safetensors", ".pt", ".h5", "-npy", "-pt"])
def test_every_kind_of_file_gives_the_features_back(listed, tmp_path, kind):
    folder = tmp_path / "given"
    folder.mkdir()
    visual, audio = (write(folder, kind, features) for features in (VISUAL, AUDIO))
    ids = folder / "ids.csv" if kind == ".npy" else None
    bring_in(listed, visual=visual, audio=audio, ids=ids, store="float32")
    read = FeatureCache(listed.parent / "cache").read(IDS)
    assert torch.equal(read.visual, torch.stack(list(VISUAL.values())))
    assert torch.equal(read.audio, torch.stack(list(AUDIO.values())))


@pytest.mark.parametrize(("given", "taken"), [((4,), (1, 1, 4)), ((3, 4), (3, 1, 4)), ((2, 3, 4), (2, 3, 4))])
def test_shapes_become_time_slices_and_tokens(listed, tmp_path, given, taken):
    numbers = torch.arange(float(np.prod(given))).view(given)
    assert torch.equal(as_visual(numbers), numbers.view(taken))
    lines = bring_in(listed, visual=write(tmp_path, ".pt", dict.fromkeys(IDS, numbers)))
    said = "as they are" if given == taken else f"taken as {taken}"
    assert any(line.endswith(f"3 clips of shape {given}, {said}") for line in lines)
    assert FeatureCache(tmp_path / "cache").visual_shape == taken


def test_sound_over_time_becomes_its_mean():
    assert torch.equal(as_audio(torch.tensor([[1.0, 2.0], [3.0, 6.0]])), torch.tensor([2.0, 4.0]))
    with pytest.raises(InputError, match="has shape"):
        as_audio(torch.zeros(1, 1, 1, 1))
    with pytest.raises(InputError, match="has shape"):
        as_visual(torch.zeros(()))


def made_cache(path, storage):
    made = {
        "visual_encoder": {"encoder": "v", "random_weights": True},
        "audio_encoder": {"encoder": "a"},
    }
    generator = torch.Generator().manual_seed(1)
    with CacheWriter(path, Fingerprint({**made, "storage": storage})) as writer:
        writer.write_shard(
            "s", IDS, torch.randn(3, 2, 3, 4, generator=generator), torch.randn(3, 5, generator=generator)
        )
    return FeatureCache(path)


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "float32"])
def test_what_export_writes_comes_back_to_the_bit(listed, tmp_path, storage):
    before = made_cache(tmp_path / "before", storage)
    before.export(tmp_path / "out")
    bring_in(listed, visual=tmp_path / "out/visual.npy", audio=tmp_path / "out/audio.npy")
    after = FeatureCache(tmp_path / "cache")
    assert after.storage == storage
    assert torch.equal(before.read(IDS).visual, after.read(IDS).visual)
    assert torch.equal(before.read(IDS).audio, after.read(IDS).audio)
    assert after.random_weights  # as what was exported
    assert after.fingerprint.facts["made_by"] == before.fingerprint.facts


def test_an_exported_folder_is_no_cache(listed, tmp_path):
    made_cache(tmp_path / "before", "float16").export(tmp_path / "out")
    with pytest.raises(InputError, match=r"holds exported features and is no cache: `avcil-extract import"):
        FeatureCache(tmp_path / "out")
    content = sorted(path.name for path in (tmp_path / "out").iterdir())
    with (
        pytest.raises(InputError, match="exported features"),
        CacheWriter(tmp_path / "out", Fingerprint({"storage": "float16"})),
    ):
        pass
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == content
    (tmp_path / "out/features.json").rename(tmp_path / "out/cache.json")  # as version 0.2 wrote it
    with pytest.raises(InputError, match="exported features"):
        FeatureCache(tmp_path / "out")
    with pytest.raises(InputError, match=r"was exported: give --visual"):
        bring_in(listed, visual=tmp_path / "out")


def test_one_modality_alone_says_so_and_keeps_saying_so(listed, tmp_path):
    lines = bring_in(listed, audio=write(tmp_path, ".pt", AUDIO))
    assert "no visual features: train with --modality audio" in lines
    cache = FeatureCache(tmp_path / "cache")
    assert cache.fingerprint.absent == ("visual",)
    assert torch.equal(cache.read(IDS, dtype=torch.float32).audio, torch.stack(list(AUDIO.values())))
    cache.export(tmp_path / "out")
    again = tmp_path / "again"
    bring_in(listed, visual=tmp_path / "out/visual.npy", audio=tmp_path / "out/audio.npy", cache=again)
    assert FeatureCache(again).fingerprint.absent == ("visual",)


class Harm:
    def __reduce__(self):
        return (print, ("run",))


REFUSED = {
    "nan": (lambda v: v["a"].fill_(float("nan")), "clip 'a' holds NaN or infinity"),
    "too large": (lambda v: v["a"].fill_(1e6), "clip 'a' reaches 1e+06, beyond float16"),
    "mixed widths": (
        lambda v: v.update(c=torch.zeros(2, 3, 5)),
        "clip 'c' has shape (2, 3, 5), the ones before it (2, 3, 4)",
    ),
    "not in the list": (lambda v: v.update(z=torch.zeros(2, 3, 4)), "1 clip that list does not name, the first 'z'"),
    "without features": (lambda v: v.pop("b"), "no features of 1 clip of list, the first 'b'"),
    "whole numbers": (lambda v: v.update(a=torch.zeros(2, 3, 4).long()), "clip 'a' is torch.int64"),
    "nothing in it": (
        lambda v: v.update(a=torch.zeros(2, 0, 4)),
        "clip 'a' has shape (2, 0, 4), which holds no number",
    ),
    "no tensor": (lambda v: v.update(a="text"), "clip 'a' is str, not an array"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_training_cannot_use_is_refused_and_nothing_is_written(listed, tmp_path, case):
    change, words = REFUSED[case]
    visual = {clip: array.clone() for clip, array in VISUAL.items()}
    change(visual)
    with pytest.raises(InputError) as caught:
        bring_in(listed, visual=write(tmp_path, ".pt", visual), audio=write(tmp_path, ".pt", AUDIO))
    assert words in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_partial_takes_what_fits(listed, tmp_path):
    visual = {**VISUAL, "a": VISUAL["a"] * float("inf"), "z": VISUAL["a"]}
    del visual["b"]
    lines = bring_in(listed, visual=write(tmp_path, ".pt", visual), partial=True)
    assert {"written: 1", "not in the list and passed over: 1", "quarantined, features not finite: 1"} <= set(lines)
    cache = FeatureCache(tmp_path / "cache")
    assert cache.ids == ("c",)
    assert list(cache.quarantined) == ["a"]
    assert "b,x,train" in (tmp_path / "cache/missing.csv").read_text()


def test_pickled_objects_are_never_unpickled(listed, tmp_path, capsys):
    np.save(tmp_path / "v.npy", np.array([[Harm()]] * 3, object), allow_pickle=True)
    (tmp_path / "ids.csv").write_text("a\nb\nc\n")
    np.savez(tmp_path / "v.npz", a=np.array([Harm()], object))
    torch.save({"a": Harm()}, tmp_path / "v.pt")
    for name in ("v.npy", "v.npz", "v.pt"):
        with pytest.raises(InputError, match="never unpickled"):
            bring_in(listed, visual=tmp_path / name, ids=tmp_path / "ids.csv", partial=True)
    assert "run" not in capsys.readouterr().out


def test_damaged_files_and_wrong_ids_are_one_line(listed, tmp_path):
    for suffix in (".npy", ".npz", ".pt", ".safetensors", ".h5"):
        (tmp_path / f"bad{suffix}").write_bytes(b"nothing of the kind")
        (tmp_path / "ids.csv").write_text("a\nb\nc\n")
        with pytest.raises(InputError, match=f"bad{suffix}"):
            bring_in(listed, visual=tmp_path / f"bad{suffix}", ids=tmp_path / "ids.csv")
    rows = write(tmp_path, ".npy", VISUAL)
    (tmp_path / "ids.csv").write_text("a\nb\n")
    with pytest.raises(InputError, match="names 2 clips: a row each"):
        bring_in(listed, visual=rows, ids=tmp_path / "ids.csv")
    (tmp_path / "ids.csv").write_text("video_id\na\nb\na\n")
    with pytest.raises(InputError, match="names clip 'a' twice"):
        bring_in(listed, visual=rows, ids=tmp_path / "ids.csv")
    with pytest.raises(InputError, match="which clips are its rows"):
        bring_in(listed, visual=rows)


@pytest.mark.parametrize("kind", ["external storage", "virtual", "links", "petabytes"])
def test_hdf5_that_leads_elsewhere_or_promises_too_much_is_one_line(listed, tmp_path, kind):
    path, secret = write(tmp_path, ".h5", AUDIO), tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones(5, np.float32)
    (tmp_path / "secret.raw").write_bytes(np.ones(5, np.float32).tobytes())
    with h5py.File(path, "r+") as file:
        del file["a"]
        if kind == "external storage":
            file.create_dataset("a", (5,), "f4", external=[(str(tmp_path / "secret.raw"), 0, 20)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((5,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", (5,))
            file.create_virtual_dataset("a", layout)
        elif kind == "links":
            file["a"] = h5py.ExternalLink(str(secret), "x")
        else:
            file.create_dataset("a", (10**12, 10**4), "f4", chunks=(1024, 1024))
    words = {"links": "'a'", "petabytes": "clip 'a' cannot be read"}.get(kind, "clip 'a' lie in another file")
    with pytest.raises(InputError, match=words) as refused:
        bring_in(listed, audio=path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "cache").exists()


def test_the_command_resumes_and_refuses_other_features(listed, tmp_path):
    visual = write(tmp_path, ".pt", VISUAL)
    words = ["import", "--manifest", listed, "--visual", visual, "--name", "mine", "--cache", tmp_path / "cache"]
    first = CliRunner().invoke(main, [*map(str, words)])
    assert first.exit_code == 0, first.output
    assert "written: 3" in first.stdout
    second = CliRunner().invoke(main, [*map(str, words)])
    assert "in the cache before: 3" in second.stdout
    torch.save({clip: array + 1 for clip, array in VISUAL.items()}, visual)
    third = CliRunner().invoke(main, [*map(str, words)])
    assert third.exit_code == 2
    assert "source_sha256" in third.stderr


def test_stage_2_learns_from_one_modality_and_refuses_the_other(tmp_path):
    from avcil.incremental.cli import main as learn

    names = [f"{label}{number}" for label in "xyzw" for number in range(9)]
    splits = ["train"] * 5 + ["val"] * 2 + ["test"] * 2
    rows = [f"{clip},{clip[0]},{splits[int(clip[1])]}\n" for clip in names]
    (tmp_path / "list.csv").write_text("video_id,label,split\n" + "".join(rows))
    audio = write(tmp_path, ".pt", {clip: torch.randn(6) for clip in names})
    bring_in(tmp_path / "list.csv", audio=audio)
    words = ["run", "--manifest", tmp_path / "list.csv", "--cache", tmp_path / "cache", "--method", "ridge"]
    words += ["--classes-per-task", "2", "--device", "cpu"]
    refused = CliRunner().invoke(learn, [*map(str, words), "--out", str(tmp_path / "both")])
    assert refused.exit_code == 2
    assert "holds no visual features: choose --modality audio" in refused.stderr
    assert not (tmp_path / "both").exists()
    done = CliRunner().invoke(learn, [*map(str, words), "--out", str(tmp_path / "run"), "--modality", "audio"])
    assert done.exit_code == 0, done.output
