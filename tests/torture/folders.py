"""Folders that are not as they should be: planted links, files of the user's own, words that mean something."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from avcil.tests.incremental import synthetic

from .damages import shards_in
from .lists import some
from .outcome import Outcome, tally
from .programs import Ended
from .workspace import METHOD, Workspace, tree_of

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
ESCAPES = ("\x1b]0;owned\x07", "\x1b[2J", "a\nerror: b", "\u202etxt.exe", "\udcff")
MARKUP = ("[/red]", "[bold]x[/bold]", "[link=file:///etc/passwd]x", ":smile:", "{x}", "%s", "\\[x]")


def folders(workspace: Workspace, share: float) -> Iterator[Outcome]:
    """The part; of every kind a `share` drawn at random."""
    workspace.unfinished  # noqa: B018 - made before two threads ask for it
    for what, names, where in LINKS:
        chosen = some(workspace, what, dict.fromkeys(names), share)
        results = workspace.side_by_side(partial(where, workspace), chosen)
        yield tally(f"links planted in {what}", results, f"{len(chosen)} names; nothing is written through them")
    yield own_files(workspace)
    yield own_folder(workspace)
    yield markup(workspace, share)
    yield escapes(workspace, share)


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
    shutil.copytree(workspace.unfinished, folder / "out")
    whole = name in RUN_FOLDERS
    victim = _victim(folder, name, whole_folder=whole)
    before = tree_of(victim) if whole else "mine"
    return 1, _unhurt(folder, name, before, workspace.run(workspace.training(METHOD, folder / "out")))


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
    shards_in(cache)[0].record.unlink()
    for name in OWN:
        (cache / "shards" / name).write_text(f"mine: {name}")
    words = workspace.videos.words(cache)
    lost: list[str] = []
    for command in (words, ["avcil-extract", "repair", "--cache", str(cache)], words):
        ended = workspace.run(command)
        if ended.status:
            lost.append(f"{command[1]}: status {ended.status}: {ended.said}")
    lost += [f"{name} is gone" for name in OWN if not _is_mine(cache / "shards" / name, f"mine: {name}")]
    return tally("files of one's own in shards/", [(len(OWN), lost)], "left as they are by run and repair")


def own_folder(workspace: Workspace) -> Outcome:
    """The user's files in the folder of an unfinished run stay when it is resumed."""
    folder = workspace.fresh("own")
    shutil.copytree(workspace.unfinished, folder / "out")
    names = ["notes.txt", "half.part", *(f"{name}/mine.safetensors" for name in RUN_FOLDERS)]
    for name in names:
        (folder / "out" / name).parent.mkdir(exist_ok=True)
        (folder / "out" / name).write_text("mine")
    ended = workspace.run(workspace.training(METHOD, folder / "out"))
    lost = [f"status {ended.status}: {ended.said}"] if ended.status else []
    lost += [f"{name} is gone" for name in names if not _is_mine(folder / "out" / name, "mine")]
    return tally("files of one's own in a run's folder", [(len(names), lost)], "left as they are")


def _is_mine(path: Path, words: str) -> bool:
    return path.is_file() and path.read_text() == words


# ------------------------------------------------------------------------------------------------ words


def markup(workspace: Workspace, share: float) -> Outcome:
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

    chosen = some(workspace, "markup", dict.fromkeys(MARKUP), share)
    return tally("markup in labels and in names of folders", workspace.side_by_side(one, chosen), "means nothing")


def _clips(workspace: Workspace) -> Iterator[tuple[str, str]]:
    splits = ("train", "train", "train", "train", "val", "val", "test", "test")
    yield from zip(workspace.videos.clips, splits, strict=False)


def escapes(workspace: Workspace, share: float) -> Outcome:
    """Names of files with what a terminal acts on: shown by their numbers."""
    folder = workspace.fresh("escapes")
    (folder / "videos").mkdir()
    lost = []
    names = some(workspace, "escapes", dict.fromkeys(ESCAPES), share)
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
