"""`avcil-extract derive` on small caches: what comes out, going on where it was stopped, mending."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from avcil.cache import CacheWriter, FeatureCache, Fingerprint, read_quarantine, recorded, verify
from avcil.cache.derived import derivation_of
from avcil.errors import InputError
from avcil.extract import derive as deriving
from avcil.extract.cli import main
from avcil.extract.config import DerivationConfig
from click.testing import CliRunner, Result

SIZES = (9, 3)
SHAPE = (2, 16, 6)  # 4 x 4 tokens


def invoke(*words: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def features(ids: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(len(ids[0]) + int(ids[0][-2:]))
    return draw.standard_normal((len(ids), *SHAPE)), draw.standard_normal((len(ids), 5))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    facts = {"visual_encoder": {"encoder": "v"}, "recipe": {"name": "r"}, "storage": "float16"}
    with CacheWriter(tmp_path / "source", Fingerprint(facts), notes={"choices": {"videos": "/v"}}) as writer:
        for number, count in enumerate(SIZES):
            ids = tuple(f"clip-{number}-{row:02d}" for row in range(count))
            writer.write_shard(f"shard-{number}", ids, *features(ids))
        writer.quarantine("clip-bad", "no audio", "no stream")
        writer.beside("clips.csv").write_text("video_id,label,split\nclip-0-00,a,train\n")
    return tmp_path / "source"


def everything(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "shards").iterdir()}


@pytest.mark.parametrize(("tokens", "side"), [("2x2", 2), ("mean", 1)])
@pytest.mark.parametrize("store", ["float16", "int8"])
def test_it_holds_the_means(store: str, tokens: str, side: int, source: Path, tmp_path: Path):
    out = tmp_path / "out"
    result = invoke("derive", "--cache", source, "--out", out, "--tokens", tokens, "--store", store)
    assert f"{out}: 12 clips, {side}x{side} of 4x4 tokens, averaged, {store} from float16" in result.stdout
    whole, less = FeatureCache(source), FeatureCache(out)
    assert less.ids == whole.ids
    assert less.storage == store
    assert less.notes["choices"] == {"videos": "/v"}
    assert read_quarantine(out) == read_quarantine(source)
    assert (out / "clips.csv").read_bytes() == (source / "clips.csv").read_bytes()
    assert [record.name for record in recorded(out)] == ["shard-0", "shard-1"]
    assert verify(out).ok
    before = whole.read(whole.ids, dtype=torch.float32)
    found = less.read(whole.ids, dtype=torch.float32)
    block = 4 // side
    expected = before.visual.reshape(12, 2, side, block, side, block, 6).mean(dim=(3, 5)).reshape(12, 2, side * side, 6)
    coarse = expected.abs().max().item() / 127 if store == "int8" else 2e-3
    torch.testing.assert_close(found.visual, expected, rtol=0, atol=coarse)
    how = derivation_of(less.fingerprint.facts)
    assert how is not None
    for clip in whole.ids:
        visual, audio = how.as_read(*whole[clip])
        assert torch.equal(visual, less[clip].visual)
        assert torch.equal(audio, less[clip].audio)
    status = invoke("status", "--cache", out).stdout
    assert f"derived: {how}; source: {source}" in status
    invoke("export", "--cache", out, "--out", tmp_path / "plain")


def test_all_tokens_in_another_storage(source: Path, tmp_path: Path):
    invoke("derive", "--cache", source, "--out", tmp_path / "out", "--tokens", "4x4", "--store", "bfloat16")
    whole, other = FeatureCache(source), FeatureCache(tmp_path / "out")
    assert torch.equal(whole.read(whole.ids).visual.float().bfloat16(), other.read(whole.ids).visual)


def test_a_second_call_does_nothing(source: Path, tmp_path: Path):
    words = ("derive", "--cache", source, "--out", tmp_path / "out", "--tokens", "2x2")
    invoke(*words)
    before = everything(tmp_path / "out")
    assert "in the cache before: 12; nothing to do" in invoke(*words).stdout
    assert everything(tmp_path / "out") == before


def test_what_was_stopped_goes_on(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = ("derive", "--cache", source, "--out", tmp_path / "out", "--tokens", "2x2")
    invoke(*words[:4], tmp_path / "whole", *words[5:])
    taken = deriving._features

    def stopped(cache, ids):
        if len(ids) == 3:
            raise KeyboardInterrupt
        return taken(cache, ids)

    monkeypatch.setattr(deriving, "_features", stopped)
    invoke(*words, status=130)
    assert [record.name for record in recorded(tmp_path / "out")] == ["shard-0"]
    monkeypatch.undo()
    assert "in the cache before: 9" in invoke(*words).stdout
    assert everything(tmp_path / "out").keys() == everything(tmp_path / "whole").keys()
    for name, content in everything(tmp_path / "whole").items():
        if name.endswith(".h5"):
            assert everything(tmp_path / "out")[name] == content


def test_clips_that_the_source_gets_later_are_added(source: Path, tmp_path: Path):
    words = ("derive", "--cache", source, "--out", tmp_path / "out", "--tokens", "2x2")
    invoke(*words)
    with CacheWriter(source, FeatureCache(source).fingerprint) as writer:
        writer.write_shard("shard-2", ("clip-bad",), *features(("clip-00",)))
    assert "13 clips" in invoke(*words).stdout
    assert read_quarantine(tmp_path / "out") == {}


def test_one_folder_one_derivation(source: Path, tmp_path: Path):
    words = ("derive", "--cache", source, "--out", tmp_path / "out", "--tokens")
    invoke(*words, "2x2")
    before = everything(tmp_path / "out")
    for other in (("mean",), ("2x2", "--store", "int8")):
        said = invoke(*words, *other, status=2).output
        assert ("was made in another way" in said and "derived." in said) or "storage" in said
    assert everything(tmp_path / "out") == before
    assert "the cache to derive from" in invoke(*words[:3], "--out", source, "--tokens", "2x2", status=2).output
    assert (
        "derived itself"
        in invoke(
            *("derive", "--cache", tmp_path / "out", "--out", tmp_path / "third", "--tokens", "mean"), status=2
        ).output
    )


def test_refusals_leave_no_trace(source: Path, tmp_path: Path):
    said = invoke("derive", "--cache", source, "--out", tmp_path / "out", "--tokens", "3x3", status=2).output
    assert "3x3 tokens cannot be made of 4x4: possible are 4x4, 2x2, 1x1, mean" in said
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("")
    said = invoke("derive", "--cache", source, "--out", tmp_path / "mine", "--tokens", "2x2", status=2).output
    assert "neither empty nor a feature cache" in said


def test_clips_beyond_the_storage_are_quarantined(tmp_path: Path):
    visual = np.ones((3, *SHAPE))
    visual[1] = 1e6
    with CacheWriter(tmp_path / "source", Fingerprint({"storage": "float32"})) as writer:
        writer.write_shard("shard-0", ("a", "b", "c"), visual, np.ones((3, 5)))
    words = (
        "derive",
        "--cache",
        tmp_path / "source",
        "--out",
        tmp_path / "out",
        "--tokens",
        "2x2",
        "--store",
        "float16",
    )
    assert "quarantined: 1" in invoke(*words).stdout
    assert FeatureCache(tmp_path / "out").ids == ("a", "c")
    assert read_quarantine(tmp_path / "out")["b"]["reason"] == deriving.BEYOND
    assert "nothing to do" in invoke(*words).stdout


def test_a_damaged_source_is_told(source: Path, tmp_path: Path):
    path = source / "shards" / "shard-0.h5"
    data = bytearray(path.read_bytes())
    data[4096 + 100] ^= 1
    path.write_bytes(data)
    said = invoke("derive", "--cache", source, "--out", tmp_path / "out", "--tokens", "2x2", status=2).output
    assert f"`avcil-extract repair --cache {source}` mends it" in said


@pytest.mark.parametrize("command", ["repair", "derive"])
def test_damage_is_mended_from_the_source(command: str, source: Path, tmp_path: Path):
    out = tmp_path / "out"
    words = ("derive", "--cache", source, "--out", out, "--tokens", "2x2", "--store", "int8")
    invoke(*words)
    before = everything(out)
    path = out / "shards" / "shard-1.h5"
    path.write_bytes(path.read_bytes()[:-1])
    invoke("verify", "--cache", out, status=1)
    result = invoke(*(words if command == "derive" else ("repair", "--cache", out)))
    assert "shards made again: 1, 1 of them bit for bit as they were" in result.stdout
    assert everything(out) == before
    assert verify(out).ok


def test_without_its_source_repair_says_what_to_do(source: Path, tmp_path: Path):
    out = tmp_path / "out"
    invoke("derive", "--cache", source, "--out", out, "--tokens", "mean")
    (out / "shards" / "shard-1.h5").unlink()
    moved = tmp_path / "moved"
    shutil.move(source, moved)
    said = invoke("repair", "--cache", out, status=2).output
    assert f"3 clips of {out} have to be derived again" in said
    assert f"`avcil-extract derive --cache DIR --out {out} --tokens 1x1 --store float16`" in said
    invoke("derive", "--cache", moved, "--out", out, "--tokens", "1x1", "--store", "float16")
    assert verify(out).ok
    (out / "shards" / "shard-1.h5").unlink()
    assert "quarantined: 3" in invoke("repair", "--cache", out, "--give-up-lost").stdout
    assert len(FeatureCache(out)) == 9


def test_another_source_in_its_place_is_refused(source: Path, tmp_path: Path):
    out = tmp_path / "out"
    invoke("derive", "--cache", source, "--out", out, "--tokens", "mean")
    (out / "shards" / "shard-1.h5").unlink()
    shutil.rmtree(source)
    with CacheWriter(source, Fingerprint({"storage": "float32"})) as writer:
        writer.write_shard("shard-1", ("a",), np.ones((1, *SHAPE)), np.ones((1, 5)))
    assert "is another cache by now" in invoke("repair", "--cache", out, status=2).output


def test_tokens_that_are_no_grid(tmp_path: Path):
    with CacheWriter(tmp_path / "source", Fingerprint({"storage": "float32"})) as writer:
        writer.write_shard("shard-1", ("a",), np.ones((1, 2, 6, 3)), np.ones((1, 5)))
    config = DerivationConfig(cache=tmp_path / "source", out=tmp_path / "out", tokens="mean")
    with pytest.raises(InputError, match="6 tokens a time slice are no square grid"):
        deriving.derive(config, None)  # type: ignore[arg-type]
