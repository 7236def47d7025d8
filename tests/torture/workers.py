"""Decoding worker processes that hang, die, leak and flood; devices that are out of memory."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from avcil.cache import FeatureCache, read_quarantine
from avcil.tests.incremental import synthetic

from . import bad_reader
from .outcome import Outcome, tally
from .programs import Circumstances, Ended
from .workspace import Videos, Workspace, other_files, other_results, shards_of

CHANGES = bad_reader.__name__
ROUNDING = 4e-3
"""Two steps of float16 at the size of these features."""
NO_GPU = "never tried on a GPU here: the three lines above are stand-ins"
TIMEOUT = "4"
"""Seconds that a decoder may take for a clip here."""


def workers(workspace: Workspace, rounds: int, faults: Sequence[str] = bad_reader.NAMES) -> Iterator[Outcome]:
    """The part; `rounds` times each of these faults of a decoding process."""
    yield from bad_workers(workspace, rounds, faults)
    yield smaller_batches(workspace)
    yield no_memory(workspace)
    yield no_memory_in_training(workspace)
    yield Outcome("memory of a real GPU", 0, note=NO_GPU)


def faulty(workspace: Workspace, rounds: int, faults: Sequence[str]) -> Videos:
    """The workspace's videos, and among them clips with these faults."""
    videos, folder = workspace.videos, workspace.fresh("faulty")
    (folder / "videos").mkdir()
    good = list(videos.clips)
    bad = [f"{name}-{turn}" for turn in range(rounds) for name in faults]
    workspace.draw("faulty").shuffle(bad)
    rows = []
    for number, clip in enumerate(good + bad):
        os.link(videos.folder / f"{clip if clip in good else good[0]}.mp4", folder / "videos" / f"{clip}.mp4")
        rows.append((clip, "one" if number % 2 else "two", "train"))
    workspace.draw("faulty").shuffle(rows)
    synthetic.write_csv(folder / "clips.csv", ("video_id", "label", "split"), rows)
    return dataclasses.replace(videos, folder=folder / "videos", manifest=folder / "clips.csv")


def bad_workers(workspace: Workspace, rounds: int, faults: Sequence[str]) -> Iterator[Outcome]:
    """An extraction in which decoding processes do all that they should not."""
    videos, notes = faulty(workspace, rounds, faults), workspace.fresh("notes")
    places = [workspace.fresh("workers") / "cache" for _ in range(2)]
    environment = {bad_reader.NOTES: str(notes)}
    refusing = Circumstances({**environment, bad_reader.REFUSE_ALL: "1"}, change=f"{CHANGES}:read_badly")
    workspace.run(videos.words(places[0]), refusing)
    words = videos.words(places[1], "--clip-timeout", TIMEOUT, "--clip-memory", "1")
    ended = workspace.run(words, Circumstances(environment, change=f"{CHANGES}:read_badly"))
    wrong = [f"status {ended.status}: {ended.said}"] if ended.status else []
    wrong += [f"another {name}" for name in differing_shards(places[0], places[1])]
    yield tally(
        "good clips among those whose decoder hangs, dies, leaks or floods",
        [(len(videos.clips), [*wrong, *ended.left])],
        "the same bits; no process left",
    )
    quarantined = read_quarantine(places[1])
    for name in faults:
        clips = [f"{name}-{turn}" for turn in range(rounds)]
        lost = [f"{clip} is not quarantined" for clip in clips if clip not in quarantined]
        lost += [path.read_text() for path in sorted(notes.glob(f"{name}-*"))]
        said = "; ".join(dict.fromkeys(quarantined[clip]["words"] for clip in clips if clip in quarantined))
        yield tally(f"a decoder that does this: {name}", [(rounds, lost)], said[:120])


def differing_shards(one: Path, other: Path) -> list[str]:
    """Names of the shards in which two caches differ."""
    here, there = shards_of(one), shards_of(other)
    names = {name for name in here.keys() | there.keys() if name.endswith(".h5")}  # a record notes the choices
    return sorted(name for name in names if here.get(name) != there.get(name))


def smaller_batches(workspace: Workspace) -> Outcome:
    """The encoders' device has room for one clip where two were asked for."""
    cache = workspace.fresh("memory") / "cache"
    ended = workspace.run(workspace.videos.words(cache), Circumstances(change=f"{CHANGES}:memory_for_one"))
    if ended.status:
        wrong = [f"status {ended.status}: {ended.said}"]
    else:
        made, whole = FeatureCache(cache), FeatureCache(workspace.cache)
        same = made.ids == whole.ids and all(
            torch.allclose(one.float(), other.float(), rtol=0, atol=ROUNDING)
            for one, other in zip(made.read(made.ids), whole.read(whole.ids), strict=True)
        )
        wrong = [] if same else ["other features"]
    return tally(
        "a device with memory for half a batch, in extraction", [(1, wrong)], "smaller batches, but for rounding"
    )


def no_memory(workspace: Workspace) -> Outcome:
    """The encoders' device has no room at all."""
    cache = workspace.fresh("memory") / "cache"
    ended = workspace.run(workspace.videos.words(cache), Circumstances(change=f"{CHANGES}:memory_for_none"))
    lost = _line_about_memory(ended)
    ended = workspace.run(workspace.videos.words(cache))
    lost += [f"afterwards another {name}" for name in other_files(workspace.cache, cache)]
    return tally("a device without memory, in extraction", [(1, lost)], "one line; the same bits afterwards")


def no_memory_in_training(workspace: Workspace) -> Outcome:
    """The device has no room left in the middle of training."""
    out = workspace.fresh("memory") / "out"
    words = workspace.training("av-cil", out)
    lost = _line_about_memory(workspace.run(words, Circumstances(change=f"{CHANGES}:memory_for_five_steps")))
    workspace.run(words)
    lost += [f"afterwards another {name}" for name in other_results(workspace.undisturbed("av-cil"), out)]
    return tally("a device without memory, in training", [(1, lost)], "one line; resumed to the same bits")


def _line_about_memory(ended: Ended) -> list[str]:
    right = ended.one_line and "memory" in ended.err and "batch" in ended.err
    return [*ended.left, *([] if right else [f"status {ended.status}: {ended.said}"])]
