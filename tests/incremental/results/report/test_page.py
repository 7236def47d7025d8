"""The report: what is on the page, that nothing on it is markup of others, that it asks for nothing."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.results.report.page import FEW_CLASSES, page
from avcil.tests import browser
from avcil.tests.incremental.results.finished import write

VOID = {"meta", "img", "path", "use", "image", "rect"}
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u202e"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645"
    "400000000049454e44ae426082"
)


class Seen(HTMLParser):
    """Tags with their attributes, and all text, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag in tags]


def runs_at(folder: Path, *, name: str = "x", classes: int = 3) -> Path:
    """Two methods, of two seeds and of one, with predictions and histories."""
    labels = [f"class {number} {name}" for number in range(classes)]
    for number, (method, seed) in enumerate([(name, 0), (name, 1), ("y", 0)]):
        path = folder / f"{number}"
        write(path, method, seed=seed, tasks=[labels[:2], labels[2:]], accuracy_by_task=[70.0 + seed, 50.0])
        rows = [
            f'{task},v,"{label}","{labels[0]}"' for task in (1, 2) for label in [n.replace('"', '""') for n in labels]
        ]
        rows = [row.replace(f'"{labels[0]}"', '"' + labels[0].replace('"', '""') + '"') for row in rows]
        header = "after_task,video_id,label,predicted\n"
        (path / "predictions.csv").write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
        (path / "history.csv").write_text("task,epoch,loss\n1,1,2.0\n2,1,1.5\n")
    return folder


def made(folder: Path, **how: Any) -> str:
    return page(rows_of(load_runs([folder])), [folder], **how)


def test_the_page_is_whole_html_with_a_heading_below_each_heading(tmp_path: Path):
    seen = Seen(made(runs_at(tmp_path)))
    assert not seen.open
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert seen.of("html")[0]["lang"] == "en"
    assert len(seen.of("main")) == len(seen.of("nav")) == len(seen.of("header")) == 1


def test_identifiers_are_unique_and_every_link_leads_somewhere(tmp_path: Path):
    seen = Seen(made(runs_at(tmp_path)))
    identifiers = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    for _, attributes in seen.tags:
        for key in ("href", "xlink:href"):
            if key in attributes:
                assert attributes[key].startswith("data:") or attributes[key][1:] in identifiers, attributes
        for key in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(key, "").split()) <= set(identifiers)
        for clip in re.findall(r"url\(#([^)]*)\)", " ".join(attributes.values())):
            assert clip in identifiers


def test_the_page_asks_for_nothing_and_runs_nothing(tmp_path: Path):
    picture = tmp_path / "a.png"
    picture.write_bytes(PIXEL)
    seen = Seen(made(runs_at(tmp_path / "runs"), attention=[picture]))
    assert not seen.of("script", "link", "iframe", "object", "embed", "base", "form")
    for tag, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), (tag, attributes)
        assert "url(http" not in attributes.get("style", "") and "@import" not in attributes.get("style", "")
    (policy,) = [one["content"] for one in seen.of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_every_picture_says_what_it_is(tmp_path: Path):
    picture = tmp_path / "a.png"
    picture.write_bytes(PIXEL)
    text = made(runs_at(tmp_path / "runs"), attention=[picture])
    seen = Seen(text)
    assert all(one["role"] == "img" and one["aria-labelledby"] for one in seen.of("svg"))
    assert len(re.findall("<title id=", text)) == len(re.findall("<desc id=", text)) == len(seen.of("svg"))
    assert [one["alt"] for one in seen.of("img")] == ["Attention, a.png"]
    assert "x: 70.5 ± 0.7 [6.4], 50.0 ± 0.0 [0.0]" in text  # the curve in words
    for attributes in seen.of("th"):
        assert attributes["scope"] in ("col", "row")
    assert len(re.findall("<caption>", text)) == len(seen.of("table"))
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in seen.of("div") if one.get("class") == "scroll")


def test_names_are_text_whatever_they_are(tmp_path: Path):
    text = made(runs_at(tmp_path, name=HOSTILE), title=HOSTILE)
    seen = Seen(text)
    assert not seen.of("script", "img")
    assert "\u202e" not in text
    shown = "".join(seen.words)
    assert HOSTILE.replace("\u202e", "\\u202e") in shown


def test_a_run_says_what_made_it_and_how_it_is_repeated(tmp_path: Path):
    folder = runs_at(tmp_path / "my runs")
    shown = "".join(Seen(made(folder)).words)
    for number, row in ((0, 1), (1, 1), (2, 2)):
        seed = 1 if number == 1 else 0
        config = f"'{folder}/{number}/config.json'"
        assert f"avcil-incr run --config {config} --out repeated/row-{row}/seed-{seed}" in shown
    provenance = json.loads((folder / "0" / "config.json").read_text())["provenance"]
    assert all(name in shown for task in provenance["tasks"] for name in task)
    assert f"avcil-incr plot '{folder}' --kind curves --out curves.pdf" in shown


def test_colours_are_the_pages(tmp_path: Path):
    text = made(runs_at(tmp_path))
    styles = " ".join(attributes.get("style", "") for _, attributes in Seen(text).tags)
    assert "var(--line-1)" in styles and "var(--ink)" in styles
    assert "#0072b2" not in styles and "#000000" not in styles


def test_a_sweep_is_there_only_where_sizes_differ(tmp_path: Path):
    runs_at(tmp_path)
    assert 'id="memory"' not in made(tmp_path)
    write(tmp_path / "a", "y", memory_size=10, tasks=[["class 0 x", "class 1 x"], ["class 2 x"]])
    write(tmp_path / "b", "y", memory_size=20, tasks=[["class 0 x", "class 1 x"], ["class 2 x"]])
    assert 'id="memory"' in made(tmp_path)


def test_what_cannot_be_drawn_is_told_in_its_place(tmp_path: Path):
    folder = runs_at(tmp_path)
    (folder / "0" / "predictions.csv").unlink()
    (folder / "2" / "history.csv").unlink()
    shown = "".join(Seen(made(folder)).words)
    assert "predictions.csv cannot be read" in shown
    assert "history.csv cannot be read" in shown


def test_many_classes_are_left_out(tmp_path: Path):
    shown = "".join(Seen(made(runs_at(tmp_path, classes=FEW_CLASSES + 1))).words)
    assert f"Left out for more than {FEW_CLASSES} classes" in shown


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.svg", b"<svg/>", "is a .png or .jpg"),
        ("a.png", b"<svg/>", "is no .png picture"),
        ("a.png", None, "cannot be"),
    ],
)
def test_only_pictures_are_put_into_the_page(tmp_path: Path, name: str, content: bytes | None, words: str):
    folder = runs_at(tmp_path / "runs")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        made(folder, attention=[tmp_path / name])


@pytest.mark.slow
def test_nine_methods_of_five_seeds_and_ten_tasks_fit_into_five_megabytes(tmp_path: Path):
    """With curves of 200 epochs a task and confusion between thirty classes."""
    tasks = [[f"class {3 * task + number}" for number in range(3)] for task in range(10)]
    labels = [label for task in tasks for label in task]
    history = [f"{task},{epoch},{1 + 1 / epoch},{epoch / 2}" for task in range(1, 11) for epoch in range(1, 201)]
    answers = [f"{task},v,{label},{labels[7]}" for task in range(1, 11) for label in labels]
    matrix = [[90.0 - task - column for column in range(task)] for task in range(1, 11)]
    shape: dict[str, Any] = {"accuracy_matrix": matrix, "accuracy_by_task": [77.7] * 10, "chosen_epochs": [1] * 10}
    for number in range(45):
        path = tmp_path / str(number)
        write(path, f"method-{number // 5}", seed=number % 5, tasks=tasks, **shape)
        (path / "history.csv").write_text("task,epoch,loss,validation_accuracy\n" + "\n".join(history) + "\n")
        (path / "predictions.csv").write_text("after_task,video_id,label,predicted\n" + "\n".join(answers) + "\n")
    assert len(made(tmp_path).encode()) < 5_000_000


def test_the_same_runs_give_the_same_page(tmp_path: Path):
    folder = runs_at(tmp_path)
    assert made(folder) == made(folder)


@pytest.mark.slow
@pytest.mark.skipif(browser.FOUND is None, reason="no Chromium here")
def test_in_a_browser_nothing_is_clipped_asked_for_or_refused(tmp_path: Path):
    out = tmp_path / "report.html"
    out.write_text(made(runs_at(tmp_path / "runs", name=HOSTILE)), encoding="utf-8")
    with browser.browser() as chromium:
        for width in (390, 1440):
            for scheme in ("light", "dark"):
                chromium.open(out, width=width, scheme="dark" if scheme == "dark" else "light")
                chromium.value("document.querySelectorAll('details').forEach(one => one.open = true)")
                assert chromium.value("document.scrollingElement.scrollWidth") <= width
                assert chromium.value("[...document.querySelectorAll('svg')].every(one => one.clientWidth > 150)")
                assert chromium.requests() == []
                assert chromium.errors() == []
                ground = chromium.value("getComputedStyle(document.body).backgroundColor")
                assert ground == ("rgb(20, 23, 27)" if scheme == "dark" else "rgb(255, 255, 255)")
        chromium.value("document.querySelector('.skip').focus()")
        assert chromium.value("document.activeElement.getBoundingClientRect().left") == 0
