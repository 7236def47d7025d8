"""Everything that parses, given what hypothesis thinks of: it returns, or says in one line what is wrong.

Each target is run in a process of its own, so that one that crashes or eats all memory costs itself.
"""

import json
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import hypothesis
from hypothesis import strategies as st

from .lists import GOOD_LISTS, some
from .outcome import Outcome, tally
from .programs import Circumstances
from .workspace import Workspace

MEMORY = 6 * 2**30
"""Bytes that a process may take."""
Read = Callable[[Path], object]

# ------------------------------------------------------------------------------------------------ what is drawn

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` with some bytes changed, cut out, doubled or put in; or any bytes."""
    data = bytearray(draw(st.sampled_from(seeds)))
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=300))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        change = draw(st.sampled_from(("flip", "set", "cut", "put", "double", "end")))
        if change == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "set" and data:
            data[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif change == "put":
            data[at:at] = draw(st.binary(max_size=12))
        elif change == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 60))]
        else:
            del data[at:]
    return bytes(data)


@st.composite
def changed_json(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A JSON document with one of its values replaced, taken out or added."""
    content = json.loads(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = content
        while isinstance(place, dict | list) and len(place):
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            change = draw(st.sampled_from(("inside", "inside", "replace", "take out", "add")))
            if change == "inside" and isinstance(place[key], dict | list):
                place = place[key]
                continue
            if change == "take out":
                del place[key]
            elif change == "add" and isinstance(place, dict):
                place[draw(st.text(max_size=8))] = draw(VALUES)
            else:
                place[key] = draw(VALUES)
            break
    return json.dumps(content).encode()


def texts(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Text of a table or a TOML file."""
    alphabet = st.sampled_from(list(",;\t\n\r\"' =[]{}#.\\-_abx019\x00\x1b\u202e\ufeff\u00e9"))
    return mutated(seeds) | st.text(alphabet, max_size=80).map(lambda text: text.encode())


def jsons(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A JSON document."""
    return mutated(seeds) | changed_json(seeds) | VALUES.map(lambda value: json.dumps(value).encode())


# ------------------------------------------------------------------------------------------------ what is read


@dataclass(frozen=True)
class Target:
    """A reader, and what it is given."""

    name: str
    """Of the file that is written."""
    strategy: Callable[[Sequence[bytes]], st.SearchStrategy[bytes]]
    seeds: Callable[[Path], Sequence[bytes]]
    """Whole files, from the folder that `lay_out` made."""
    read: Read


def lay_out(workspace: Workspace) -> Path:
    """A folder with whole files of every kind."""
    from avcil.tests.extract.released import test_pickled_arrays as pickles

    folder = workspace.fresh("fuzz")
    shutil.copytree(workspace.cache, folder / "cache")
    shutil.copytree(workspace.trained, folder / "run")
    for protocol in (3, 4):
        pickles.save(folder / f"{protocol}.npy", pickles.features(3), protocol)
    shutil.copytree(workspace.unfinished, folder / "half")
    return folder


def _lists(folder: Path) -> Sequence[bytes]:
    return list(GOOD_LISTS.values())


def _files(*patterns: str) -> Callable[[Path], Sequence[bytes]]:
    return lambda folder: [path.read_bytes() for pattern in patterns for path in sorted(folder.glob(pattern))]


def _bytes(*contents: bytes) -> Callable[[Path], Sequence[bytes]]:
    return lambda folder: contents


def _manifest(path: Path) -> object:
    from avcil.manifests import read_manifest

    return read_manifest(path)


def _classes(path: Path) -> object:
    from avcil.manifests.reading import read_class_order

    return read_class_order(path)


def _tasks(path: Path) -> object:
    from avcil.manifests.tasks import read_tasks

    return read_tasks(path, ("x", "y"))


def _toml(path: Path) -> object:
    from avcil.manifests.description import read_description

    return read_description(path)


def _record(path: Path) -> object:
    from avcil.cache.layout import read_record

    return read_record(path)


def _cache(path: Path) -> object:
    """A cache of which one file is `path`."""
    from avcil.cache import FeatureCache, verify

    directory = path.parent.parent if path.parent.name == "shards" else path.parent
    report = verify(directory)
    if report.ok:
        FeatureCache(directory)
    return report


def _metrics(path: Path) -> object:
    from avcil.incremental.results.collect import load_runs, rows_of
    from avcil.incremental.results.tables import notes, results_table, run_tables

    runs = load_runs([path.parent])
    rows = rows_of(runs)
    return [results_table(rows), notes(rows), *map(run_tables, runs)]


def _state(path: Path) -> object:
    from avcil.incremental.runs.state_file import read_state

    return read_state(path, 3)


def _released(path: Path) -> object:
    from avcil.extract.released.pickled_arrays import read_index

    return read_index(path)


TOML = b"""title = "Mine"
source_video = '(?P<source>.+)_\\d{6}'
[[files]]
pattern = '(?P<walk>[\\w-]+) (?P<second>\\d+)'
id = "{walk}_{second:0>6}"
[protocol]
classes_per_task = 1
epochs = { av-cil = { audio-visual = 30 } }
[published]
lwf = { audio = [1.0, 2.0] }
"""
TARGETS: Mapping[str, Target] = {
    "lists of clips": Target("clips.csv", texts, _lists, _manifest),
    "class orders": Target("classes.csv", texts, _bytes(b"class_index,label\n0,x\n1,y\n"), _classes),
    "lists of tasks": Target("tasks.csv", texts, _bytes(b"task,label\n1,x\n2,y\n"), _tasks),
    "descriptions of data sets": Target("mine.toml", texts, _bytes(TOML), _toml),
    "records of shards": Target("record.json", jsons, _files("cache/shards/*.json"), _record),
    "a cache's cache.json": Target("cache/cache.json", jsons, _files("cache/cache.json"), _cache),
    "a cache's quarantine.json": Target("cache/quarantine.json", jsons, _files("cache/quarantine.json"), _cache),
    "a cache's list of shards": Target("cache/shards.list", mutated, _files("cache/shards.list"), _cache),
    "a cache's shard": Target("cache/shards/*.h5", mutated, _files("cache/shards/*.h5"), _cache),
    "a run's config.json": Target("run/config.json", jsons, _files("run/config.json"), _metrics),
    "a run's metrics.json": Target("run/metrics.json", jsons, _files("run/metrics.json"), _metrics),
    "a run's saved state": Target("state.pt", mutated, _files("half/state.pt"), _state),
    "released features": Target("features.npy", mutated, _files("*.npy"), _released),
}


# ------------------------------------------------------------------------------------------------ the part


def fuzz(workspace: Workspace, examples: int, share: float = 1) -> Iterator[Outcome]:
    """The part: so many examples for every target, or for a share of them drawn at random."""
    folder = lay_out(workspace)

    def one(name: str) -> Outcome:
        own = workspace.fresh("fuzzed") / "files"
        shutil.copytree(folder, own)
        seed = workspace.draw("fuzz", name).getrandbits(32)
        words = ["fuzz", name, str(own), "--seed", str(seed), "--examples", str(examples)]
        ended = workspace.run(words, Circumstances(limits={resource.RLIMIT_DATA: MEMORY}))
        lost = [] if ended.status == 0 else [f"{ended.said} (status {ended.status})"]
        tried = int(next((line.split()[1] for line in ended.out.splitlines() if line.startswith("tried ")), "1"))
        return tally(f"fuzz: {name}", [(tried, lost)], "it returns or says in one line what is wrong")

    yield from workspace.side_by_side(one, some(workspace, "targets", TARGETS, share))


@click.command()
@click.argument("name", type=click.Choice(list(TARGETS)))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", type=int, required=True)
@click.option("--examples", type=int, required=True)
def main(name: str, folder: Path, seed: int, examples: int) -> None:
    """Try one target; status 1 and the smallest example where it fails."""
    from avcil.errors import InputError

    target = TARGETS[name]
    seeds = target.seeds(folder)
    path = next(iter(sorted(folder.glob(target.name))), folder / target.name)
    tried = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(target.strategy(seeds))
    def holds(data: bytes) -> None:
        nonlocal tried
        tried += 1
        path.write_bytes(data)
        try:
            target.read(path)
        except InputError as error:
            if "\n" in str(error):
                raise ValueError("more than one line") from error

    try:
        holds()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        shown = ascii(path.read_bytes()[:200])
        raise SystemExit(f"{type(error).__name__}: {' '.join(str(error).split())[:200]} for {shown}") from None
    finally:
        click.echo(f"tried {tried}")
