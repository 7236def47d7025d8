"""The benchmark of every method: it runs what is lacking, and its table has what it promises."""

from pathlib import Path

from avcil.benchmarks.all_methods import main
from avcil.tests.incremental import synthetic
from click.testing import CliRunner


def test_a_method_over_two_orders(tmp_path: Path):
    made = synthetic.make(tmp_path / "made")
    demo, out = tmp_path / "demo", tmp_path / "out"
    (demo / "data").mkdir(parents=True)
    (demo / "data" / "manifest.csv").symlink_to(made.manifest)
    labels = sorted({line.split(",")[1] for line in made.manifest.read_text().splitlines()[1:]})
    rows = [f"{number},{label}" for number, label in enumerate(labels)]
    (demo / "data" / "classes.csv").write_text("\n".join(["class_index,label", *rows]))
    (demo / "cache").symlink_to(made.cache)
    words = ["--demo", demo, "--out", out, "--method", "ncm", "--class-orders", "2"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    (head,) = [line for line in result.output.splitlines() if "Exemplars" in line and line.startswith("|")]
    assert [word.strip() for word in head.split("|")[1:4]] == ["Method", "Runs", "Class orders"]
    assert (out / "ncm" / "order-1" / "seed-0" / "metrics.json").is_file()
    written = (out / "ncm" / "seed-0" / "metrics.json").stat().st_mtime_ns
    assert CliRunner().invoke(main, list(map(str, words))).exit_code == 0
    assert (out / "ncm" / "seed-0" / "metrics.json").stat().st_mtime_ns == written
