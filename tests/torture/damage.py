"""Damaged caches: found by `verify`, refused by training before use, made again bit for bit by `repair` and `run`."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .damages import DAMAGES, Damage
from .outcome import Outcome, tally
from .programs import Ended
from .workspace import Workspace, other_results, shards_of


def damage(workspace: Workspace, rounds: int, *, kinds: int | None = None) -> Iterator[Outcome]:
    """The part: every kind `rounds` times, or `kinds` kinds drawn at random."""
    workspace.trained  # noqa: B018 - made before several threads ask for it
    chosen = list(DAMAGES)
    if kinds is not None:
        chosen = workspace.draw("kinds of damage").sample(chosen, kinds)
    tries = [(kind, turn) for kind in chosen for turn in range(rounds)]
    results = workspace.side_by_side(lambda one: (one[0], hurt_once(workspace, *one)), tries)
    for group in dict.fromkeys(kind.group for kind in chosen):
        kinds_of_it = len({kind.what for kind, (times, _) in results if kind.group == group and times})
        losses = [
            (times, [f"{kind.what}: {words}" for words in lost])
            for kind, (times, lost) in results
            if kind.group == group
        ]
        yield tally(group, losses, f"{kinds_of_it} kinds; {FOUND}")


FOUND = "verify and training say so; repair and run make it again"


def hurt_once(workspace: Workspace, kind: Damage, turn: int) -> tuple[int, list[str]]:
    """Damage a copy, and look what each command does with it."""
    cache, place = workspace.copy_of_cache(), workspace.fresh("hurt")
    named = kind.do(cache, workspace.draw(kind.what, turn))
    if named is None:
        return 0, []
    wrong = []
    found = workspace.run(["avcil-extract", "verify", "--cache", str(cache)])
    if not (found.status == 1 or found.one_line) or named not in found.out + found.err:
        wrong.append(f"verify says {_in_short(found)}, not {named}")
    out = place / "out"
    trained = workspace.run(workspace.videos.training(cache, out))
    if not trained.one_line and not (trained.status == 0 and not other_results(workspace.trained, out)):
        wrong.append(f"training says {_in_short(trained)}")
    twin = place / "twin"
    shutil.copytree(cache, twin, symlinks=True)
    words = ["avcil-extract", "repair", "--cache", str(cache)]
    wrong += mended(workspace, "repair", workspace.run(words), cache)
    wrong += mended(workspace, "run", workspace.run(workspace.videos.words(twin)), twin)
    return 1, [*wrong, *found.left, *trained.left]


def mended(workspace: Workspace, by: str, ended: Ended, cache: Path) -> list[str]:
    """What is wrong with a cache after a command that should have mended it."""
    if ended.status:
        return [f"{by} says {_in_short(ended)}"]
    wrong = []
    here, there = shards_of(workspace.cache), shards_of(cache)
    differ = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    if differ:
        wrong.append(f"after {by} another {', '.join(differ)}")
    if not os.path.lexists(cache / "cache.json"):
        wrong.append(f"after {by} no cache.json")
    again = workspace.run(["avcil-extract", "verify", "--cache", str(cache)])
    return wrong + ([f"after {by} verify says {_in_short(again)}"] if again.status else [])


def _in_short(ended: Ended) -> str:
    return f"{ended.status} ({ended.said.replace('error: ', '')[:120]})"
