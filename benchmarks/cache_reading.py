"""How fast random clips are read from a warm cache: `python benchmarks/cache_reading.py`.

In one process, in turns, against

  a plain copy of the same bytes from memory to memory, by numpy or by torch, whichever is faster;
  one HDF5 data set a clip, read by h5py, as features of this field are often kept;
  one HDF5 data set for all clips, in the chunks that h5py chooses, or compressed with a clip a chunk.

Every round draws new clips, and every way fills the same tensors with them; the first round warms up, checks that all
ways give the same values, and is not counted. Clips have the true shape: visual (8, 196, 768), audio (768,), float16.
"""

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import torch
from avcil.cache import CacheWriter, FeatureCache, Features, Fingerprint, bytes_per_clip
from avcil.threads import usable_cores
from rich.console import Console
from rich.table import Table

VISUAL_SHAPE, AUDIO_SHAPE = (8, 196, 768), (768,)
PLAIN_COPY_AIM = 0.7
HDF5, READ_INTO = "h5py, one data set a clip", "FeatureCache.read_into"
OTHERS = "others.h5"

Run = Callable[[Sequence[int]], Features]


@dataclass
class Way:
    """One way of getting clips, given by their rows, into place."""

    group: str
    """Ways of one group end with the same tensors."""
    name: str
    run: Run
    plain_copy: bool = False
    """Whether the others of its group are measured by this one."""
    seconds: list[float] = field(default_factory=list)


def make_files(directory: Path, clips: int, shard_size: int) -> Features:
    """Write random clips as a cache and in the other ways; returns them as they are in memory."""
    draw = np.random.default_rng(0)
    visual, audio = (
        draw.standard_normal((clips, *shape), np.float32).astype(np.float16) for shape in (VISUAL_SHAPE, AUDIO_SHAPE)
    )
    with CacheWriter(directory / "cache", Fingerprint({"storage": "float16"})) as cache:
        for start in range(0, clips, shard_size):
            part = slice(start, min(start + shard_size, clips))
            ids = [str(row) for row in range(part.start, part.stop)]
            cache.write_shard(f"shard-{start:06d}", ids, visual[part], audio[part])
    with h5py.File(directory / OTHERS, "w") as file:
        for name, array in (("visual", visual), ("audio", audio)):
            for row in range(clips):
                file.create_dataset(f"one a clip/{name}/{row}", data=array[row])
            file.create_dataset(f"chunks/{name}", data=array, chunks=True)
            file.create_dataset(f"gzip/{name}", data=array, chunks=(1, *array.shape[1:]), compression="gzip")
    return Features(torch.from_numpy(visual), torch.from_numpy(audio))


def torch_copy(source: Features, target: Features) -> Run:
    """Clip by clip by torch, with all its threads; converts where the types differ."""

    def run(rows: Sequence[int]) -> Features:
        for tensor, clips in zip(target, source, strict=True):
            for at, row in enumerate(rows):
                tensor[at].copy_(clips[row])
        return target

    return run


def numpy_copy(source: Features, target: Features) -> Run:
    """Clip by clip by numpy, byte for byte."""
    target_bytes, source_bytes = (
        [tensor.view(torch.uint8).numpy() for tensor in features] for features in (target, source)
    )

    def run(rows: Sequence[int]) -> Features:
        for array, clips in zip(target_bytes, source_bytes, strict=True):
            for at, row in enumerate(rows):
                np.copyto(array[at], clips[row])
        return target

    return run


def hdf5_read(file: Any, target: Features) -> Run:
    """Clip by clip by h5py, straight into the target, from a data set of its own."""
    arrays = {name: tensor.numpy() for name, tensor in target._asdict().items()}

    def run(rows: Sequence[int]) -> Features:
        for name, array in arrays.items():
            for at, row in enumerate(rows):
                file[f"one a clip/{name}/{row}"].read_direct(array[at])
        return target

    return run


def hdf5_rows(file: Any, kind: str, target: Features) -> Run:
    """Clip by clip by h5py, straight into the target, from one data set of all clips."""
    arrays = {name: (file[f"{kind}/{name}"], tensor.numpy()) for name, tensor in target._asdict().items()}

    def run(rows: Sequence[int]) -> Features:
        for data_set, array in arrays.values():
            for at, row in enumerate(rows):
                data_set.read_direct(array, source_sel=row, dest_sel=at)
        return target

    return run


def cache_read_into(cache: FeatureCache, target: Features) -> Run:
    """By the cache, into tensors that exist."""

    def run(rows: Sequence[int]) -> Features:
        cache.read_into([str(row) for row in rows], target.visual, target.audio)
        return target

    return run


def all_ways(cache: FeatureCache, file: Any, memory: Features, batch: int) -> list[Way]:
    """Every way to be measured."""
    ways = []
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        group = str(dtype).removeprefix("torch.")
        target = Features(*(torch.zeros(batch, *shape, dtype=dtype) for shape in (VISUAL_SHAPE, AUDIO_SHAPE)))
        same = Features(*(tensor.to(dtype) for tensor in memory))
        ways.append(Way(group, "plain copy, torch", torch_copy(same, target), plain_copy=True))
        ways.append(Way(group, "plain copy, numpy", numpy_copy(same, target), plain_copy=True))
        if dtype == torch.float16:
            ways.append(Way(group, HDF5, hdf5_read(file, target)))
            ways.append(Way(group, "h5py, automatic chunks", hdf5_rows(file, "chunks", target)))
            ways.append(Way(group, "h5py, a clip a chunk, gzip", hdf5_rows(file, "gzip", target)))
        else:
            ways.append(Way(group, "converting copy, torch", torch_copy(memory, target)))
        ways.append(Way(group, READ_INTO, cache_read_into(cache, target)))

    def indexed(rows: Sequence[int]) -> Features:
        return Features(memory.visual[list(rows)], memory.audio[list(rows)])

    ways.append(Way("new tensors", "indexing in memory, torch", indexed, plain_copy=True))
    ways.append(Way("new tensors", "FeatureCache.read", lambda rows: cache.read([str(row) for row in rows])))
    return ways


def measure(ways: list[Way], memory: Features, clips: int, batch: int, rounds: int) -> None:
    """Fill in the seconds of each way."""
    draw = np.random.default_rng(1)
    for number in range(rounds + 1):
        rows = draw.integers(0, clips, batch).tolist()
        for way in ways:
            start = time.perf_counter()
            result = way.run(rows)
            seconds = time.perf_counter() - start
            if number == 0:
                for tensor, known in zip(result, memory, strict=True):
                    assert torch.equal(tensor, known[rows].to(tensor.dtype)), f"{way.group}: {way.name} is wrong"
            else:
                way.seconds.append(seconds)
            del result


def ratio_to_plain_copy(way: Way, ways: list[Way]) -> float:
    """Seconds of the fastest plain copy / seconds of `way`, each in its best round: 1 is as fast.

    The best round is the one that other work on the machine disturbed least.
    """
    plain = (min(other.seconds) for other in ways if other.group == way.group and other.plain_copy)
    return min(plain) / min(way.seconds)


@click.command()
@click.option("--clips", default=128, show_default=True, help="Clips in the cache; 2.4 MB each, kept in memory too.")
@click.option("--batch", default=64, show_default=True, help="Random clips read at a time.")
@click.option("--shard-size", default=32, show_default=True)
@click.option("--rounds", default=15, show_default=True)
@click.option("--directory", type=click.Path(path_type=Path, exists=True), help="Where to put the files meanwhile.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here as well.")
def main(clips: int, batch: int, shard_size: int, rounds: int, directory: Path | None, json_path: Path | None) -> None:
    """Read random clips from a warm cache, and compare with a plain copy and with other layouts of HDF5."""
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        memory = make_files(Path(temporary), clips, shard_size)
        with h5py.File(Path(temporary) / OTHERS) as file:
            ways = all_ways(FeatureCache(Path(temporary) / "cache"), file, memory, batch)
            measure(ways, memory, clips, batch, rounds)
    size = bytes_per_clip("float16", VISUAL_SHAPE, AUDIO_SHAPE)
    table = Table(title=f"{batch} random clips of {size / 1e6:.2f} MB at a time, {rounds} rounds, ms a clip")
    for column in ("result", "way", "best", "median", "of plain"):
        table.add_column(column, justify="left" if column in ("result", "way") else "right", no_wrap=True)
    figures = []
    for way in ways:
        best, median = min(way.seconds) / batch, statistics.median(way.seconds) / batch
        ratio = ratio_to_plain_copy(way, ways)
        table.add_row(way.group, way.name, f"{best * 1e3:.3f}", f"{median * 1e3:.3f}", f"{ratio:.2f}")
        seconds = {"best_seconds_a_clip": best, "median_seconds_a_clip": median}
        figures.append({"result": way.group, "way": way.name, **seconds, "of_a_plain_copy": ratio})
    console = Console()
    console.print(table)
    by_name = {(way.group, way.name): way for way in ways}
    ours, theirs = by_name["float16", READ_INTO], by_name["float16", HDF5]
    reached = ratio_to_plain_copy(ours, ways)
    faster = min(theirs.seconds) / min(ours.seconds)
    console.print(
        f"read_into reaches {reached:.2f} of a plain copy (aim: {PLAIN_COPY_AIM}) "
        f"and is {faster:.2f} times as fast as one HDF5 data set a clip"
    )
    machine = {"processor": processor_name(), "cores": usable_cores(), "torch_threads": torch.get_num_threads()}
    console.print(f"{machine['processor']}, {machine['cores']} cores, {machine['torch_threads']} threads in torch")
    if json_path is not None:
        summary = {"read_into_against_plain_copy": reached, "read_into_against_one_data_set_a_clip": faster}
        json_path.write_text(json.dumps({"machine": machine, **summary, "figures": figures}, indent=1) + "\n")


def processor_name() -> str:
    """The processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or os.name


if __name__ == "__main__":
    main()
