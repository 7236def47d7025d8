"""Files and folders that mean harm: planted links, files of the user's own, markup, pickles, HDF5, plugins."""

import functools
import hashlib
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import torch
from avcil.tests.extract.released import test_importing as released
from avcil.tests.extract.released import test_pickled_arrays as pickles
from avcil.tests.incremental import synthetic

from .damages import shards_in
from .lists import some
from .outcome import Outcome, tally
from .programs import Ended
from .workspace import Workspace, other_results, tree_of

CACHE_FILES = (
    *("cache.json", "missing.csv", "quarantine.json", "choices.csv", "shards.list", ".lock"),
    *("cache.json.part", "missing.csv.part", "quarantine.json.part", "shards.list.part"),
)
RUN_FILES = (
    *("config.json", "state.pt", "metrics.json", "history.csv", "predictions.csv", "scores.safetensors"),
    *("class_accuracy.csv", "confusion_matrix.csv", ".lock", "weights/task-01.safetensors", "memory/task-01.csv"),
    *("config.json.part", "state.pt.part", "metrics.json.part", "weights/task-01.safetensors.part"),
)
RUN_FOLDERS = ("weights", "memory")
EXPORTED = ("visual.npy", "audio.npy", "clips.csv")
OWN = ("backup.h5", "my notes.json", "thesis.h5", "package.json", "half.part", "shard-00000-mine.h5", "notes.txt")
MARKUP = ("[/red]", "[bold]x[/bold]", "[link=file:///etc/passwd]x", ":smile:", "{x}", "%s", "\\[x]")


def hostile(workspace: Workspace, share: float) -> Iterator[Outcome]:
    """The part; of every kind a `share` drawn at random."""
    for what, names, where in LINKS:
        chosen = some(workspace, what, dict.fromkeys(names), share)
        results = workspace.side_by_side(functools.partial(where, workspace), chosen)
        yield tally(f"links planted in {what}", results, f"{len(chosen)} names; nothing is written through them")
    yield own_files(workspace)
    yield own_folder(workspace)
    yield markup(workspace)
    yield escapes(workspace)
    yield from features(workspace, share)
    yield encoders(workspace, share)
    yield plugins(workspace)


# ------------------------------------------------------------------------------------------------ links


def _victim(folder: Path, name: str, *, whole_folder: bool = False) -> Path:
    """Something of the user's, and a link to it at `name`."""
    victim = folder / "victim"
    if whole_folder:
        victim.mkdir()
        (victim / "thesis.h5").write_text("mine")
    else:
        victim.write_text("mine")
    link = folder / "out" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(link):
        shutil.rmtree(link) if link.is_dir() else link.unlink()
    link.symlink_to(victim)
    return victim


def _unhurt(folder: Path, name: str, before: object, ended: Ended) -> list[str]:
    victim = folder / "victim"
    after = tree_of(victim) if victim.is_dir() else victim.read_text()
    lost = [] if after == before else [f"{name}: written through"]
    right = ended.status == 0 or ended.one_line
    return [*lost, *ended.left, *([] if right else [f"{name}: status {ended.status}: {ended.said[:150]}"])]


def _in_a_cache(workspace: Workspace, name: str) -> tuple[int, list[str]]:
    folder = workspace.fresh("planted")
    half = workspace.draw("planted", name).random() < 0.5
    if half:  # of a cache that is there already, to which something is to be added
        shutil.copytree(workspace.cache, folder / "out")
        for path in sorted((folder / "out" / "shards").iterdir())[:2]:
            path.unlink()
    _victim(folder, name)
    return 1, _unhurt(folder, name, "mine", workspace.run(workspace.videos.words(folder / "out")))


def _in_a_run(workspace: Workspace, name: str) -> tuple[int, list[str]]:
    folder = workspace.fresh("planted")
    words = workspace.training("av-cil", folder / "out")
    program = workspace.start(words)
    program.ended_within(0.3)
    program.kill()
    if (folder / "out" / "metrics.json").exists():
        return 0, []
    whole = name in RUN_FOLDERS
    victim = _victim(folder, name, whole_folder=whole)
    before = tree_of(victim) if whole else "mine"
    return 1, _unhurt(folder, name, before, workspace.run(words))


def _in_an_export(workspace: Workspace, name: str) -> tuple[int, list[str]]:
    folder = workspace.fresh("planted")
    _victim(folder, name)
    words = ["avcil-extract", "export", "--cache", str(workspace.cache), "--out", str(folder / "out")]
    return 1, _unhurt(folder, name, "mine", workspace.run(words))


def _for_shards(workspace: Workspace, name: str) -> tuple[int, list[str]]:
    folder = workspace.fresh("planted")
    shutil.copytree(workspace.cache, folder / "out")
    victim = _victim(folder, name, whole_folder=True)
    before = tree_of(victim)
    return 1, _unhurt(folder, name, before, workspace.run(workspace.videos.words(folder / "out")))


LINKS: tuple[tuple[str, tuple[str, ...], Callable[[Workspace, str], tuple[int, list[str]]]], ...] = (
    ("a cache, to a file", CACHE_FILES, _in_a_cache),
    ("a cache, to a folder", ("shards", "set-aside"), _for_shards),
    ("an unfinished run", (*RUN_FILES, *RUN_FOLDERS), _in_a_run),
    ("an export's folder", EXPORTED, _in_an_export),
)


# ------------------------------------------------------------------------------------------------ files of one's own


def own_files(workspace: Workspace) -> Outcome:
    """The user's files in shards/ stay as they are, whatever is mended beside them."""
    cache = workspace.copy_of_cache()
    for name in OWN:
        (cache / "shards" / name).write_text(f"mine: {name}")
    shards_in(cache)[0].record.unlink()
    words = workspace.videos.words(cache)
    lost: list[str] = []
    for command in (words, ["avcil-extract", "repair", "--cache", str(cache)], words):
        ended = workspace.run(command)
        if ended.status:
            lost.append(f"{command[1]}: status {ended.status}: {ended.said}")
    lost += [f"{name} is gone" for name in OWN if not _is_mine(cache / "shards" / name, f"mine: {name}")]
    return tally("files of one's own in shards/", [(len(OWN), lost)], "left as they are by run and repair")


def own_folder(workspace: Workspace) -> Outcome:
    """The user's files in a run's folder stay; a folder of other things is no run's."""
    folder = workspace.fresh("own")
    words = workspace.training("lwf", folder / "out")
    program = workspace.start(words)
    program.ended_within(0.3)
    program.kill()
    lost = []
    names = [
        "notes.txt",
        "half.part",
        *(f"{name}/mine.safetensors" for name in RUN_FOLDERS if (folder / "out" / name).is_dir()),
    ]
    for name in names:
        (folder / "out" / name).write_text("mine")
    ended = workspace.run(words)
    if ended.status and "finished" not in ended.err:
        lost.append(f"status {ended.status}: {ended.said}")
    lost += [f"{name} is gone" for name in names if not _is_mine(folder / "out" / name, "mine")]
    return tally("files of one's own in a run's folder", [(len(names), lost)], "left as they are")


def _is_mine(path: Path, words: str) -> bool:
    return path.is_file() and path.read_text() == words


# ------------------------------------------------------------------------------------------------ words


def markup(workspace: Workspace) -> Outcome:
    """What means something to a library that prints means nothing in a label, a folder or a file."""

    def one(word: str) -> tuple[int, list[str]]:
        folder = workspace.fresh("markup") / word.replace("/", "_")
        folder.mkdir()
        videos = workspace.videos
        for name, source in (("video", videos.video_encoder), ("audio", videos.audio_encoder)):
            shutil.copytree(source, folder / name)
        rows = [
            (clip, word if number % 2 else f"{word}2", split) for number, (clip, split) in enumerate(_clips(workspace))
        ]
        synthetic.write_csv(folder / "clips.csv", ("video_id", "label", "split"), rows)
        words = videos.words(folder / "cache", "--video-encoder", str(folder / "video"))
        words += ["--audio-encoder", str(folder / "audio"), "--manifest", str(folder / "clips.csv")]
        training = [*videos.training(folder / "cache", folder / "run"), "--manifest", str(folder / "clips.csv")]
        lost = []
        for command in (
            words,
            ["avcil-extract", "status", "--cache", str(folder / "cache"), "--manifest", str(folder / "clips.csv")],
            training,
            ["avcil-incr", "show", str(folder / "run")],
        ):
            ended = workspace.run(command)
            if ended.status:
                lost.append(f"{word}: {' '.join(command[:2])} says {ended.status} ({ended.said[:150]})")
        return 1, lost

    return tally("markup in labels and in names of folders", workspace.side_by_side(one, MARKUP), "means nothing")


def _clips(workspace: Workspace) -> Iterator[tuple[str, str]]:
    splits = ("train", "train", "train", "train", "val", "val", "test", "test")
    yield from zip(workspace.videos.clips, splits, strict=False)


def escapes(workspace: Workspace) -> Outcome:
    """Names of files with what a terminal acts on: shown by their numbers."""
    folder = workspace.fresh("escapes")
    (folder / "videos").mkdir()
    lost = []
    names = ["\x1b]0;owned\x07", "\x1b[2J", "a\nerror: b", "\u202etxt.exe", "\udcff"]
    for number, name in enumerate(names):
        cache = folder / f"cache {number} {name}"
        ended = workspace.run(workspace.videos.words(cache))
        status = workspace.run(["avcil-extract", "status", "--cache", str(cache)])
        shown = "".join((ended.out, ended.err, status.out, status.err)).replace("\n", "")
        if any(ord(character) < 32 or character == "\u202e" for character in shown.replace("\r", "")):
            lost.append(f"{name!a} reached the terminal")
        if ended.status or status.status:
            lost.append(f"{name!a}: status {ended.status}, {status.status}: {ended.said[:100]!a}")
    return tally("escapes in names of folders", [(len(names), lost)], "no terminal acts on them")


# ------------------------------------------------------------------------------------------------ feature files


def _released(folder: Path) -> Path:
    """Features as the authors publish them, and a list."""
    released.write_audio(folder / "features", released.IDS)
    released.write_visual(folder / "features", released.IDS, "h5")
    rows = [(clip, f"class{number % 2}", "train") for number, clip in enumerate(released.IDS)]
    synthetic.write_csv(folder / "list.csv", ("video_id", "label", "split"), rows)
    return folder / "features"


def _imported(workspace: Workspace, folder: Path) -> Ended:
    words = ["avcil-extract", "import-released", "--manifest", str(folder / "list.csv")]
    return workspace.run([*words, "--features", str(folder / "features"), "--cache", str(folder / "cache")])


AUDIO = Path("features/audio_pretrained_feature/audio_pretrained_feature_dict.npy")
VISUAL = Path("features/visual_pretrained_feature/visual_features.h5")


def _saved(mark: Path, name: str, protocol: int, path: Path) -> None:
    pickles.save(path, pickles.attacks(mark)[name], protocol)


def _assembled(instructions: Any, path: Path) -> None:
    pickles.assembled(path, *instructions)


def features(workspace: Workspace, share: float) -> Iterator[Outcome]:
    """Feature files that run something, lead elsewhere or promise too much."""
    mark = workspace.fresh("mark") / "mark"
    attacks: dict[str, Callable[[Path], object]] = {
        f"{name}, protocol {protocol}": functools.partial(_saved, mark, name, protocol)
        for name in pickles.attacks(mark)
        for protocol in (3, 4)
    }
    for number, instructions in enumerate(HAND_WRITTEN):
        attacks[f"by hand {number}"] = functools.partial(_assembled, instructions)

    def attacked(name: str) -> tuple[int, list[str]]:
        folder = workspace.fresh("pickle")
        _released(folder)
        attacks[name](folder / AUDIO)
        ended = _imported(workspace, folder)
        lost = [f"{name} ran"] if mark.exists() else []
        lost += [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]
        return 1, lost + ([f"{name}: a cache was left"] if (folder / "cache").exists() else [])

    chosen = some(workspace, "pickles", attacks, share)
    note = f"{len(chosen)} kinds; nothing runs, one line, no cache left"
    yield tally("pickles that run something, imported", workspace.side_by_side(attacked, chosen), note)

    def odd(name: str) -> tuple[int, list[str]]:
        folder = workspace.fresh("hdf5")
        _released(folder)
        ODD_HDF5[name](folder / VISUAL, workspace.draw("hdf5", name))
        ended = _imported(workspace, folder)
        secret = (folder / "cache").exists() and b"\x77\x77\x77" in b"".join(
            path.read_bytes() for path in (folder / "cache").rglob("*.h5")
        )
        lost = [f"{name}: what it leads to was read"] if secret else []
        right = ended.one_line or ended.status == 0
        return 1, [*lost, *([] if right else [f"{name}: status {ended.status}: {ended.said[:150]}"])]

    chosen = some(workspace, "hdf5", ODD_HDF5, share)
    yield tally(
        "HDF5 that leads elsewhere, lies or is none, imported",
        workspace.side_by_side(odd, chosen),
        f"{len(chosen)} kinds",
    )


HAND_WRITTEN = (
    (b"cos\nsystem\n",),
    (b"(i" + b"os\nsystem\n",),
    (b"\x82\x01",),
    (b"X\x01\x00\x00\x00aQ",),
    (b"cnumpy\nndarray\n", b")", b"\x81"),
    (b"\x8e" + b"\xff" * 8,),
    (b"N0" * 200_000,),
)


def _linked(kind: str) -> Callable[[Path, Random], None]:
    """A clip that is a link to another file, or is stored in one."""

    def do(path: Path, draw: Random) -> None:
        clip, shape = draw.choice(released.IDS), (released.L * released.S, released.D)
        secret = path.with_name("secret.h5")
        with h5py.File(secret, "w") as file:
            file["x"] = np.frombuffer(b"\x77" * 4 * shape[0] * shape[1], np.float32).reshape(shape)
        path.with_name("secret.raw").write_bytes(b"\x77" * 4 * shape[0] * shape[1])
        with h5py.File(path, "r+") as file:
            del file[clip]
            if kind == "external link":
                file[clip] = h5py.ExternalLink(str(secret), "x")
            elif kind == "soft link":
                file[clip] = h5py.SoftLink("/nowhere")
            elif kind == "soft link in a circle":
                file[clip] = h5py.SoftLink(f"/{clip}")
            elif kind == "external storage":
                file.create_dataset(
                    clip, shape, "f4", external=[(str(path.with_name("secret.raw")), 0, h5py.h5f.UNLIMITED)]
                )
            elif kind == "virtual data set":
                layout = h5py.VirtualLayout(shape, "f4")
                layout[:] = h5py.VirtualSource(str(secret), "x", shape)
                file.create_virtual_dataset(clip, layout)
            elif kind == "absurd size":
                file.create_dataset(clip, (10**9, 10**6), "f4", chunks=(1024, 1024))
            elif kind == "a group":
                file.create_group(clip)
            elif kind == "text":
                file[clip] = "text"

    return do


def _flipped(path: Path, draw: Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw.randrange(1, 40)):
        data[draw.randrange(min(len(data), 4096))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))


ODD_HDF5: Mapping[str, Callable[[Path, Random], object]] = {
    **{
        kind: _linked(kind)
        for kind in (
            *("external link", "soft link", "soft link in a circle", "external storage", "virtual data set"),
            *("absurd size", "a group", "text"),
        )
    },
    **{f"bits flipped {number}": _flipped for number in range(10)},
    **{
        f"random bytes {number}": lambda path, draw: (
            path.write_bytes(b"\x89HDF\r\n\x1a\n" + draw.randbytes(4096)) and None
        )
        for number in range(4)
    },
    "nothing": lambda path, draw: path.write_bytes(b"") and None,
    "cut short": lambda path, draw: os.truncate(path, draw.randrange(path.stat().st_size)),
}


# ------------------------------------------------------------------------------------------------ encoders, plugins


def encoders(workspace: Workspace, share: float) -> Outcome:
    """Configurations and weights of encoders."""
    mark = workspace.fresh("mark") / "mark"

    def one(name: str) -> tuple[int, list[str]]:
        folder, videos = workspace.fresh("encoder"), workspace.videos
        shutil.copytree(videos.video_encoder, folder / "video")
        BAD_ENCODERS[name](folder / "video", mark)
        words = [word for word in videos.words(folder / "cache") if word != "--random-weights" or "config" in name]
        ended = workspace.run([*words, "--video-encoder", str(folder / "video")])
        lost = [f"{name} ran"] if mark.exists() else []
        lost += [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]
        return 1, lost + ([f"{name}: a cache was left"] if (folder / "cache").exists() else [])

    chosen = some(workspace, "encoders", BAD_ENCODERS, share)
    note = f"{len(chosen)} kinds; nothing runs, one line, no cache left"
    return tally("encoders that run something, lie or take all memory", workspace.side_by_side(one, chosen), note)


def _config(**changed: Any) -> Callable[[Path, Path], None]:
    import json

    def do(folder: Path, mark: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(content | changed))

    return do


def _pickled(folder: Path, mark: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": pickles.Payload(os.system, f"touch {mark}")}))


def _torch_pickled(folder: Path, mark: Path) -> None:
    torch.save({"x": pickles.Payload(os.system, f"touch {mark}")}, folder / "pytorch_model.bin")


def _tensors(header: bytes, size: int | None = None, body: bytes = b"") -> Callable[[Path, Path], object]:
    length = struct.pack("<Q", len(header) if size is None else size)
    return lambda folder, mark: (folder / "model.safetensors").write_bytes(length + header + body) and None


BAD_ENCODERS: Mapping[str, Callable[[Path, Path], object]] = {
    "a pickle for weights": _pickled,
    "a pickle in PyTorch's archive": _torch_pickled,
    "no weights": lambda folder, mark: None,
    "a header of 2**63 bytes": _tensors(b"{}", 2**63),
    "a header that is no JSON": _tensors(b"{"),
    "a tensor beyond the end": _tensors(b'{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
    "a tensor of negative size": _tensors(b'{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', body=b"1234"),
    "weights of other names": _tensors(b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', body=b"1234"),
    "config of 1.2 TB": _config(hidden_size=2**17, intermediate_size=2**19, num_attention_heads=2),
    "config with a word for a size": _config(hidden_size="large"),
    "config with no heads": _config(num_attention_heads=0),
    "config with a negative size": _config(hidden_size=-32),
    "config of an unknown model": _config(model_type="videomea"),
    "config that asks for code": _config(
        auto_map={"AutoModel": "code.Model"}, trust_remote_code=True, model_type="mine"
    ),
    "config nested too deeply": lambda folder, mark: (folder / "config.json").write_text("[" * 200_000) and None,
    "config that is no JSON": lambda folder, mark: (folder / "config.json").write_text("{") and None,
}


def plugins(workspace: Workspace) -> Outcome:
    """A configuration that names a plugin says so; a plugin that ends the program is told."""
    folder = workspace.fresh("plugins")
    method = "from avcil.incremental.methods.lwf import LwF as Old\n\n\nclass Mine(Old):\n    name = 'mine'\n"
    plugin = folder / "mine.py"
    plugin.write_text(method)
    out = folder / "out"
    lost = []
    ended = workspace.run([*workspace.training("mine", out), "--plugin", str(plugin)])
    if ended.status:
        lost.append(f"a plugin: status {ended.status}: {ended.said}")
    again = ["avcil-incr", "run", "--config", str(out / "config.json"), "--out", str(folder / "again")]
    ended = workspace.run(again)
    if ended.status or str(plugin) not in ended.err:
        lost.append(f"nothing said that the configuration runs {plugin.name} ({ended.status}: {ended.said})")
    elif other_results(out, folder / "again"):
        lost.append("another result by its configuration")
    digest = hashlib.sha256(plugin.read_bytes()).hexdigest()
    for words in ("import sys\nsys.exit(0)\n", "raise KeyboardInterrupt\n", "1/0\n", "import os\n", "def"):
        plugin.write_text(f"{method}\n{words}" if words != "import os\n" else words)
        assert hashlib.sha256(plugin.read_bytes()).hexdigest() != digest
        ended = workspace.run([*workspace.training("mine", folder / "never"), "--plugin", str(plugin)])
        if not (ended.one_line or ended.status == 130) or (folder / "never").exists():
            lost.append(f"{words.splitlines()[-1]}: status {ended.status}: {ended.said[:150]}")
        ended = workspace.run([*again[:-1], str(folder / "never")])
        if not ended.one_line or (folder / "never").exists():
            lost.append(f"a plugin that has changed since: status {ended.status}: {ended.said[:150]}")
    return tally(
        "plugins, and configurations that name them", [(12, lost)], "said before they run; changed ones refused"
    )
