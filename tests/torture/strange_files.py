"""Files from others that run something, lead elsewhere, lie or promise too much: features, encoders, plugins."""

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import torch
from avcil.tests.extract.released import test_importing as released
from avcil.tests.extract.released import test_pickled_arrays as pickles
from avcil.tests.incremental import synthetic

from .lists import some
from .outcome import Outcome, tally
from .programs import Ended
from .workspace import Workspace, other_results


def strange_files(workspace: Workspace, share: float) -> Iterator[Outcome]:
    """The part; of every kind a `share` drawn at random."""
    yield from features(workspace, share)
    if share == 1:
        yield long_pickle(workspace)
    yield encoders(workspace, share)
    yield plugins(workspace, share)


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


def features(workspace: Workspace, share: float) -> Iterator[Outcome]:
    """Feature files that run something, lead elsewhere or promise too much."""
    mark = workspace.fresh("mark") / "mark"
    attacks: dict[str, Callable[[Path], object]] = {
        f"{name}, protocol {protocol}": partial(pickles.save, content=content, protocol=protocol)
        for name, content in pickles.attacks(mark).items()
        for protocol in (3, 4)
    }
    for number, instructions in enumerate(HAND_WRITTEN):
        attacks[f"by hand {number}"] = partial(_by_hand, instructions)

    def attacked(name: str) -> tuple[int, list[str]]:
        folder = workspace.fresh("pickle")
        _released(folder)
        attacks[name](folder / AUDIO)
        ended = _imported(workspace, folder)
        return 1, _faults(name, ended, mark, folder / "cache")

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


def _by_hand(instructions: tuple[bytes, ...], path: Path) -> None:
    pickles.assembled(path, *instructions)


def long_pickle(workspace: Workspace) -> Outcome:
    """Twenty million instructions that do nothing."""
    folder = workspace.fresh("pickle")
    _released(folder)
    pickles.assembled(folder / AUDIO, b"}", b"q\x00" * 20_000_000)
    ended = _imported(workspace, folder)
    lost = [] if ended.one_line else [f"status {ended.status}: {ended.said[:150]}"]
    return tally("a pickle of 20 million instructions, imported", [(1, lost)], f"one line, after {ended.seconds:.0f} s")


HAND_WRITTEN = (
    (b"cos\nsystem\n",),
    (b"(i" + b"os\nsystem\n",),
    (b"\x82\x01",),
    (b"X\x01\x00\x00\x00aQ",),
    (b"cnumpy\nndarray\n", b")", b"\x81"),
    (b"\x8e" + b"\xff" * 8,),
    (b"N0" * 200_000,),
)


def _linked(kind: str) -> Callable[[Path, Random], object]:
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
        f"random bytes {number}": lambda path, draw: path.write_bytes(b"\x89HDF\r\n\x1a\n" + draw.randbytes(4096))
        for number in range(4)
    },
    "nothing": lambda path, draw: path.write_bytes(b""),
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
        return 1, _faults(name, ended, mark, folder / "cache")

    chosen = some(workspace, "encoders", BAD_ENCODERS, share)
    note = f"{len(chosen)} kinds; nothing runs, one line, no cache left"
    return tally("encoders that run something, lie or take all memory", workspace.side_by_side(one, chosen), note)


def _faults(name: str, ended: Ended, mark: Path, cache: Path) -> list[str]:
    """What a refused file may not do: run something, end in more than one line, leave a cache."""
    faults = [f"{name} ran"] if mark.exists() else []
    faults += [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]
    return faults + ([f"{name}: a cache was left"] if cache.exists() else [])


def _config(**changed: Any) -> Callable[[Path, Path], object]:
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
    return lambda folder, mark: (folder / "model.safetensors").write_bytes(length + header + body)


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
    "config nested too deeply": lambda folder, mark: (folder / "config.json").write_text("[" * 200_000),
    "config that is no JSON": lambda folder, mark: (folder / "config.json").write_text("{"),
}


def plugins(workspace: Workspace, share: float) -> Outcome:
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
    chosen = some(workspace, "plugins", dict.fromkeys(ENDINGS), share)
    for ending in chosen:
        plugin.write_text(f"{method}\n{ending}\n")
        for words in (
            [*workspace.training("mine", folder / "never"), "--plugin", str(plugin)],
            [*again[:-1], str(folder / "never")],
        ):
            ended = workspace.run(words)
            if not ended.one_line or (folder / "never").exists():
                lost.append(f"{ending}: status {ended.status}: {ended.said[:150]}")
    note = "said before they run; changed ones refused"
    return tally("plugins, and configurations that name them", [(2 + 2 * len(chosen), lost)], note)


ENDINGS = ("import sys; sys.exit(0)", "raise SystemExit('bye')", "1/0", "def", "import nothing_of_that_name", "\x00")
"""What a plugin ends with that cannot be used."""
