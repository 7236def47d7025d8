"""Decoders that hang, crash, or kill their process cost their clip and no more."""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from avcil.errors import InputError
from avcil.extract.decoding.workers import DecodingPool, Job, WorkersCannotStartError, how_it_ended
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation
from avcil.extract.preparation.recipes import ClipPreparation, recipe

from ..conftest import SIDE, number_of

PLAN = ClipPreparation.of(
    recipe("audiomae"),
    VisualPreparation(frames=4, shortest_edge=SIDE, crop=SIDE),
    AudioPreparation(frames=100, bins=16),
)

# A reader with real faults, told by the clip's name which one. "by-first" ones only befall the first decoder.
FAULTY = """
import contextlib, ctypes, os, signal, sys, time
import numpy as np
from avcil.extract.preparation.encoder_input import PreparedClip
from avcil.extract.decoding.faults import ClipError

KEPT = []

def fault(name):
    if "hang-with-lock" in name:
        ctypes.PyDLL(None).pause()          # never gives the interpreter's lock back
    if "hang-at-ease" in name:
        time.sleep(3600)
    if "exit" in name:
        os._exit(3)
    if "segfault" in name:
        print("about to crash", file=sys.stderr, flush=True)
        ctypes.string_at(0)
    if "out-of-memory" in name:
        os.kill(os.getpid(), signal.SIGKILL)   # what the kernel does
    if "stop" in name:
        os.kill(os.getpid(), signal.SIGSTOP)   # deaf to everything but SIGKILL
    if "refused" in name:
        raise ClipError("cannot be decoded", "bad bits")
    if "flood" in name:
        for _ in range(64):
            with contextlib.suppress(OSError):
                os.write(2, b"flood " * (2**20 // 6))
    if "leak" in name:
        while True:
            KEPT.append(np.ones(10**7))
    if "drop" in name:
        KEPT.append(np.ones(3 * 10**7))
    if "silent" in name:
        raise ClipError("no audio", "the file has no audio stream")

def read(path, preparation, decoder):
    if "by-first" not in path.name or decoder == "first":
        fault(path.name)
    pixels = np.full((2, 3, 4, 4), int(path.name.split("-")[0]), np.uint8)
    return PreparedClip(pixels, np.array([[os.getpid(), os.fstat(2).st_size]], np.float32))
"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """`pool(...)` makes a pool whose processes decode by the faulty reader."""
    (tmp_path / "faulty_reader.py").write_text(FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    def make(workers=1, timeout=20.0, decoders=("first", "second"), **settings):
        settings = {"reader": "faulty_reader:read", "memory": 4.0, **settings}
        return DecodingPool(PLAN, workers=workers, timeout=timeout, decoders=decoders, **settings)

    return make


def outcomes(pool, *names, ahead=4):
    with pool:
        return list(pool.read_all([Job(name, Path(f"{i}-{name}")) for i, name in enumerate(names)], ahead=ahead))


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("exit", "decoder died", "its process ended with status 3"),
        ("segfault", "decoder died", "killed by SIGSEGV; its last words: about to crash"),
        ("out-of-memory", "decoder died", "killed by SIGKILL"),
        ("refused", "cannot be decoded", "bad bits"),
        ("silent", "no audio", "the file has no audio stream"),
    ],
)
def test_a_fault_costs_its_clip_only(pool, fault, reason, words):
    before, hurt, after = outcomes(pool(), "good", fault, "good")
    assert (before.clip.pixels == 0).all()
    assert (after.clip.pixels == 2).all()
    assert hurt.clip is None
    assert hurt.reason == reason
    assert words in hurt.words


@pytest.mark.parametrize("fault", ["hang-with-lock", "hang-at-ease", "stop"])
def test_a_hanging_process_is_killed_at_the_deadline(pool, fault):
    before, hurt, after = outcomes(pool(timeout=1.0, decoders=("first",)), "good", fault, "good")
    assert (before.clip.pixels == 0).all()
    assert (after.clip.pixels == 2).all()
    assert hurt.reason == "decoder took too long"
    assert hurt.words == "first: no answer within 1 s"


@pytest.mark.parametrize("fault", ["exit", "hang-with-lock"])
def test_the_next_decoder_tries_once_more(pool, fault):
    [outcome] = outcomes(pool(timeout=1.5), f"{fault}-by-first")
    assert outcome.decoder == "second"
    assert (outcome.clip.pixels == 0).all()


def test_both_decoders_words_are_kept_and_a_refusal_is_final(pool):
    dead, refused, silent = outcomes(pool(), "exit", "refused-by-first", "silent")
    assert dead.words == "first, second: its process ended with status 3"
    assert (refused.reason, refused.words) == ("cannot be decoded", "first: bad bits")
    assert silent.words == "first: the file has no audio stream"


def test_the_other_files_of_a_clip_are_tried_in_turn(pool):
    jobs = [
        Job("a", Path("0-refused"), (Path("1-exit"), Path("2-good"), Path("3-good"))),
        Job("b", Path("4-good"), (Path("5-good"),)),
        Job("c", Path("6-refused"), (Path("7-silent"),)),
    ]
    with pool() as running:
        first, second, third = running.read_all(jobs, ahead=2)
    assert (first.job.id, first.job.path) == ("a", Path("2-good"))
    assert (first.clip.pixels == 2).all()
    assert (second.job.path, second.clip.pixels[0, 0, 0, 0]) == (Path("4-good"), 4)
    assert (third.clip, third.reason) == (None, "cannot be decoded")
    assert third.words.startswith("6-refused: first")
    assert third.words.endswith("; 7-silent: first: the file has no audio stream")


def test_what_a_process_says_is_bounded_on_disk_and_when_read(pool):
    flood, after, crash = outcomes(pool(), "flood", "good", "flood-segfault")
    assert 0 < flood.clip.fbank[0, 1] <= 2**20
    assert after.clip.fbank[0, 1] == 0
    assert crash.reason == "decoder died"
    assert "killed by SIGSEGV; its last words: " in crash.words
    assert len(crash.words) < 500


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limit on data")
def test_a_clip_that_takes_too_much_memory_costs_itself(pool):
    before, hurt, after = outcomes(pool(memory=0.7), "good", "leak", "good")
    assert (before.clip.pixels == 0).all()
    assert (after.clip.pixels == 2).all()
    assert hurt.reason == "too much memory"
    assert hurt.words == "first: decoding it takes more than the 0.7 GB that --clip-memory allows a decoding process"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limit on data")
def test_a_clip_does_not_pay_for_what_earlier_ones_leaked(pool):
    got = outcomes(pool(memory=0.7), *["drop"] * 6)  # each leaves 0.24 GB behind
    assert [outcome.reason for outcome in got] == [""] * 6
    assert len({outcome.clip.fbank[0, 0] for outcome in got}) > 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan, 1e300])
def test_seconds_that_are_no_deadline_are_refused(pool, seconds):
    with pytest.raises(InputError, match="a clip may take more than 0 and up to"):
        pool(timeout=seconds)


def test_outcomes_come_in_order_whatever_ends_first(pool):
    names = ["good", "exit-by-first", "good", "refused", "good", "good", "segfault", "good"]
    got = outcomes(pool(workers=2), *names, ahead=3)
    assert [outcome.job.id for outcome in got] == names
    assert [outcome.clip is None for outcome in got] == ["refused" in n or "segfault" in n for n in names]
    assert [o.clip.pixels[0, 0, 0, 0] for o in got if o.clip] == [0, 1, 2, 4, 5, 7]


def test_no_more_than_ahead_clips_are_under_way(pool):
    taken = []

    def jobs():
        for i in range(10):
            taken.append(i)
            yield Job("good", Path(f"{i}-good"))

    with pool() as running:
        outcomes = running.read_all(jobs(), ahead=3)
        next(outcomes)
        assert taken == [0, 1, 2]
        next(outcomes)
        assert taken == [0, 1, 2, 3]


def test_processes_are_replaced_after_some_clips(pool):
    got = outcomes(pool(clips_a_worker=2), *["good"] * 5)
    processes = [int(outcome.clip.fbank[0, 0]) for outcome in got]
    assert processes[0] == processes[1] != processes[2] == processes[3] != processes[4]


def children() -> set[psutil.Process]:
    return {p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE}


def test_leaving_ends_hanging_processes_at_once_and_leaves_no_process(pool):
    before = children()  # other tests may have left multiprocessing's own helper behind
    with pool(workers=2, timeout=600.0) as running:
        results = running.read_all((Job("x", Path(f"{i}-hang-with-lock")) for i in range(4)), ahead=4)

        def wait():
            with contextlib.suppress(WorkersCannotStartError):
                next(results)

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        deadline = time.monotonic() + 60
        while len(children() - before) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(children() - before) == 2
    assert not children() - before
    waiting.join(timeout=30)
    assert not waiting.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_worker_processes_do_not_outlive_a_parent_that_was_killed(tmp_path, pool):
    script = tmp_path / "parent.py"
    script.write_text(
        "from pathlib import Path\n"
        "from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation\n"
        "from avcil.extract.preparation.recipes import ClipPreparation, recipe\n"
        "from avcil.extract.decoding.workers import DecodingPool, Job\n"
        "plan = ClipPreparation.of(recipe('audiomae'), VisualPreparation(), AudioPreparation())\n"
        "settings = dict(workers=1, timeout=600, memory=4.0, decoders=('first',), reader='faulty_reader:read')\n"
        "with DecodingPool(plan, **settings) as p:\n"
        "    list(p.read_all([Job('x', Path('0-hang-with-lock'))], ahead=1))\n"
    )
    parent = psutil.Popen([sys.executable, str(script)])
    try:
        deadline = time.monotonic() + 60
        while not (young := parent.children()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert young
        time.sleep(1.0)  # into the hang
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _, alive = psutil.wait_procs(young, timeout=30)
    assert not alive


def test_a_process_that_cannot_start_stops_the_run_with_its_words(pool):
    with pytest.raises(WorkersCannotStartError, match="No module named 'not_there'"):
        outcomes(pool(reader="not_there:read"), "good")


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_the_real_reader_decodes_a_real_clip_in_a_worker_process(clip, decoder):
    pytest.importorskip("av" if decoder == "pyav" else decoder)
    path, broken = clip(frames=31), clip("broken.mp4", frames=31)
    broken.write_bytes(b"no video")
    with DecodingPool(PLAN, workers=1, timeout=60.0, memory=4.0, decoders=(decoder,)) as running:
        good, bad = running.read_all([Job("a", path), Job("b", broken)], ahead=2)
    assert good.clip is not None
    assert [number_of(frame) for frame in good.clip.pixels] == [0, 10, 20, 30]
    assert good.clip.fbank.shape == (100, 16)
    assert good.clip.fbank.dtype == np.float32
    assert bad.reason == "cannot be decoded"
    assert "Invalid data" in bad.words


def test_exit_statuses_in_words():
    assert how_it_ended(1) == "its process ended with status 1"
    assert how_it_ended(-signal.SIGABRT) == "its process was killed by SIGABRT"
    assert how_it_ended(-200) == "its process was killed by signal 200"
