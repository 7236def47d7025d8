"""Kills of workers, nodes and drivers at random moments of an extraction on Ray, resumed until it is done.

    python -m avcil.tests.torture.cluster_kills --kills 30 --seed 0

Three nodes of `ray.cluster_utils.Cluster` in one machine, of which the first is the head and stays. What comes out has
to be what one process makes, bit for bit, with nothing besides. Status 1 where it is not.
"""

import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import psutil
from avcil.cache import verify
from avcil.tests.extract.cluster.conftest import LETHAL_ENCODER
from avcil.tests.extract.conftest import write_clip

CLIPS, FILES, SHARD = 120, 12, 4
KINDS = ("worker", "worker", "node", "driver")
LONGEST = 300.0
"""Seconds after which a driver that nobody disturbs counts as hanging."""
PROGRAM = "from avcil.extract.cli import main; import sys; main(sys.argv[1:])"
MARK = "AVCIL_CLUSTER_KILLS"
"""Environment variable by which the processes of this cluster are known from those of others on the machine."""
NODE: dict[str, Any] = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 100 * 2**20}


def made(place: Path) -> list[str]:
    """Clips and encoders in `place`; the words of the command without its cache."""
    (place / "videos").mkdir()
    for number in range(CLIPS):
        path = place / "videos" / f"c{number:03}.mp4"
        if number >= FILES:
            path.hardlink_to(place / "videos" / f"c{number % FILES:03}.mp4")
        elif number == 5:
            path.write_text("this is no video\n")
        else:
            write_clip(path, frames=8 + number)
    with (place / "clips.csv").open("w", newline="") as stream:
        rows = [(f"c{number:03}", "x", "train") for number in range(CLIPS)]
        csv.writer(stream).writerows([("video_id", "label", "split"), *rows])
    (place / "lethal.py").write_text(LETHAL_ENCODER)
    (place / "deed").write_text("slow")
    words = ["run", "--manifest", str(place / "clips.csv"), "--videos", str(place / "videos"), "--device", "cpu"]
    words += ["--plugin", str(place / "lethal.py"), "--video-encoder", f"lethal:{place}", "--audio-encoder", "loudness"]
    return [*words, "--shard-size", str(SHARD), "--workers", "1", "--precision", "float32"]


def started(words: list[str], cache: Path) -> "subprocess.Popen[bytes]":
    """The command, with what it says in a file beside the cache."""
    with cache.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words, "--cache", str(cache)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def shards(cache: Path) -> dict[str, bytes]:
    """What is in each shard."""
    return {path.name: path.read_bytes() for path in (cache / "shards").glob("*.h5")}


def wrong_with(cache: Path, reference: Path) -> list[str]:
    """What is not as one process makes it."""
    mine, other = shards(cache), shards(reference)
    lines = [f"{name} differs or is there in one only" for name in mine | other if mine.get(name) != other.get(name)]
    if (cache / "quarantine.json").read_bytes() != (reference / "quarantine.json").read_bytes():
        lines.append("another quarantine")
    lines += [] if verify(cache).ok else ["it does not verify"]
    return lines + [f"{path.name} is left" for path in cache.rglob("*.part")]


def workers() -> list[psutil.Process]:
    """The processes of this cluster's workers."""
    found = []
    for process in psutil.process_iter():
        try:
            titled = "".join(process.cmdline()[:1]).startswith("ray::ShardWorker")
            if titled and process.environ().get(MARK) == os.environ[MARK]:
                found.append(process)
        except psutil.Error:
            continue
    return found


def strike(kind: str, draw: random.Random, cluster: Any, nodes: list[Any], driver: "subprocess.Popen[bytes]") -> bool:
    """Kill one thing of a kind; whether there was one."""
    if kind == "worker":
        there = workers()
        if there:
            draw.choice(there).kill()
        return bool(there)
    if kind == "node":
        node = nodes.pop(draw.randrange(len(nodes)))
        cluster.remove_node(node, allow_graceful=False)
        nodes.append(cluster.add_node(**NODE))
        return True
    driver.kill()
    return True


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=30, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill until it was done often enough."""
    from ray.cluster_utils import Cluster

    draw, done, wrong, finished = random.Random(seed), Counter[str](), list[str](), 0
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = set(psutil.pids())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        words, reference, os.environ[MARK] = made(place), place / "reference", folder
        started(words, reference).wait(LONGEST)
        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
        try:
            nodes = [cluster.add_node(**NODE) for _ in range(2)]
            cluster.wait_for_nodes()
            while done.total() < kills and not wrong:
                cache = place / f"cache-{finished}"
                ended = False
                while not ended:
                    driver = started([*words, "--ray", cluster.address], cache)
                    while done.total() < kills:
                        # From the first shard on: workers that are killed before they are ready are another matter.
                        known, since, wait = len(shards(cache)), None, draw.uniform(0.0, 3.0)
                        while driver.poll() is None and (since is None or time.monotonic() < since + wait):
                            since = since or (time.monotonic() if len(shards(cache)) > known else None)
                            time.sleep(0.05)
                        if driver.poll() is not None:
                            break
                        kind = draw.choice(KINDS)
                        if strike(kind, draw, cluster, nodes, driver):
                            done[kind] += 1
                            click.echo(f"{done.total()}: {kind}, {len(shards(cache))} shards committed")
                    ended = driver.wait(LONGEST) == 0
                finished += 1
                wrong += wrong_with(cache, reference)
        finally:
            cluster.shutdown()
        time.sleep(5.0)
        left = [pid for pid in set(psutil.pids()) - before if _is_marked(pid)]
    told = ", ".join(f"{count} of a {kind}" for kind, count in sorted(done.items()))
    click.echo(f"seed {seed}: {done.total()} kills ({told}); {finished} extractions brought to their end")
    for line in [*wrong, *(f"process {pid} is left" for pid in left)]:
        click.echo(f"LOST: {line}")
    sys.exit(1 if wrong or left else 0)


def _is_marked(pid: int) -> bool:
    """Whether a process was started from here, by whatever way."""
    try:
        return psutil.Process(pid).environ().get(MARK) == os.environ[MARK] and pid != os.getpid()
    except psutil.Error:
        return False


if __name__ == "__main__":
    main()
