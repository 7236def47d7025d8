from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from avcil.errors import InputError
from avcil.predict.attention import AttentionMaps
from avcil.predict.attention_figure import DOTS, GAP, LESS, MORE, SIDES, STRENGTH, Gaze, Scale, draw, overlaid, save
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

EVEN = Scale(0.0, 1.0, 0.1)
TOP, BOTTOM = (np.array(matplotlib.colormaps["viridis"](end, bytes=True)[:3], dtype=float) for end in (1.0, 0.0))


def hot(token: int, tokens: int) -> torch.Tensor:
    attention = torch.zeros(tokens)
    attention[token] = 1.0
    return attention


def maps(*slices: torch.Tensor, temporal: tuple[float, ...] | None = None) -> AttentionMaps:
    weights = torch.full((len(slices),), 1 / len(slices)) if temporal is None else torch.tensor(temporal)
    return AttentionMaps(torch.stack(slices), weights)


def words_of(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))


def rendered(figure: Figure, path: Path) -> np.ndarray:
    save(figure, path)
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def near(picture: np.ndarray, colour: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows and columns of the pixels of a colour."""
    return np.nonzero(np.abs(picture - colour).max(axis=2) <= 2)


@pytest.mark.parametrize("token", [0, 7, 12, 15])
def test_a_hot_token_colours_its_own_patch(token: int):
    """Of a grey frame of 64 pixels in 4 x 4 patches: full colour at the patch's centre, none beyond its neighbours."""
    frame = np.full((3, 64, 64), 100, dtype=np.uint8)
    picture = overlaid(hot(token, 16), (4, 4), EVEN, frame).astype(float)
    assert picture.shape == (64, 64, 3)
    top, left = 16 * (token // 4), 16 * (token % 4)
    like = np.abs(picture - (STRENGTH * TOP + (1 - STRENGTH) * 100)).sum(axis=2)
    rows, columns = np.nonzero(like == like.min())
    assert top <= rows.min() and rows.max() < top + 16 and left <= columns.min() and columns.max() < left + 16
    assert like[top + 7 : top + 9, left + 7 : left + 9].max() < 40
    far = np.ones((64, 64), dtype=bool)
    far[max(0, top - 8) : top + 24, max(0, left - 8) : left + 24] = False
    assert np.abs(picture[far] - (STRENGTH * BOTTOM + (1 - STRENGTH) * 100)).max() <= 1
    changed = np.abs(picture - picture[far][0]).sum(axis=2) > 0
    rows, columns = np.nonzero(changed)
    if top and left and top < 48 and left < 48:  # spread evenly around the patch's centre
        assert (rows.mean(), columns.mean()) == pytest.approx((top + 7.5, left + 7.5))


def test_a_grid_that_is_wider_than_high():
    frame = np.zeros((3, 20, 40), dtype=np.uint8)
    picture = overlaid(hot(5, 8), (2, 4), EVEN, frame)  # second row, second column
    row, column = np.unravel_index(picture.astype(int).sum(axis=2).argmax(), (20, 40))
    assert 10 <= row < 20 and 10 <= column < 20


def test_the_frame_is_seen_below_in_grey():
    frame = np.zeros((3, 8, 8), dtype=np.uint8)
    frame[0, :, :4] = 200  # red, of which grey has 0.299
    picture = overlaid(torch.zeros(4), (2, 2), EVEN, frame).astype(float)
    assert picture[0, 7] == pytest.approx(STRENGTH * BOTTOM, abs=1)
    assert picture[0, 0] - picture[0, 7] == pytest.approx(np.full(3, (1 - STRENGTH) * 0.299 * 200), abs=1)


def test_a_map_alone_has_a_pixel_a_patch():
    picture = overlaid(torch.tensor([0.0, 0.25, 0.5, 1.0]), (2, 2), EVEN)
    expected = matplotlib.colormaps["viridis"](np.array([[0.0, 0.25], [0.5, 1.0]]), bytes=True)[:, :, :3]
    np.testing.assert_array_equal(picture, expected)


def test_the_scale_reaches_from_the_least_to_the_most_of_all_maps():
    first = maps(torch.tensor([0.2, 0.8]), torch.tensor([0.4, 0.6]), temporal=(0.45, 0.55))
    second = maps(torch.tensor([0.1, 0.9]), torch.tensor([0.5, 0.5]), temporal=(0.7, 0.3))
    scale = Scale.of([first, second])
    assert (scale.least, scale.most, scale.deviation) == pytest.approx((0.1, 0.9, 0.2))
    assert scale.placed(np.array([0.1, 0.5, 0.9], dtype=np.float32)) == pytest.approx([0, 0.5, 1])
    assert Scale(1.0, 1.0, 0.0).placed(np.array([1.0], dtype=np.float32)) == [0.0]


def test_the_drawn_figure_has_each_map_the_right_way_up(tmp_path: Path):
    """Two slices: the hot patch top right, then bottom left."""
    figure = draw("clip", [Gaze("run", {1: maps(hot(1, 4), hot(2, 4))})])
    picture = rendered(figure, tmp_path / "figure.png")[: int(2.2 * DOTS)]  # above the colour bar
    rows, columns = near(picture, TOP)
    _, dark_columns = near(picture, BOTTOM)
    middle = (dark_columns.min() + dark_columns.max()) / 2
    first, second = columns < middle, columns > middle
    assert rows[first].max() < rows[second].min() + 2
    assert columns[first].min() > dark_columns.min() + 50
    assert columns[second].max() < dark_columns.max() - 50
    assert first.sum() == pytest.approx(second.sum(), rel=0.03) and first.sum() > 1000


def test_the_drawn_figure_has_each_frame_the_right_way_up(tmp_path: Path):
    frame = np.zeros((3, 32, 32), dtype=np.uint8)
    frame[0, :16, 16:] = 255  # red, top right
    gaze = Gaze("run", {1: maps(torch.full((4,), 0.25))}, [(1, frame)])
    picture = rendered(draw("clip", [gaze]), tmp_path / "figure.png")
    red_rows, red_columns = near(picture, np.array([255.0, 0, 0]))
    black_rows, black_columns = near(picture[: red_rows.max() + 100], np.zeros(3))
    below = black_rows > red_rows.min()
    assert red_rows.max() - red_rows.min() == pytest.approx(red_columns.max() - red_columns.min(), abs=3)
    assert red_columns.min() - 100 < black_columns[below].min() + 30 < red_columns.min()


def test_bars_reach_to_the_side_of_more_and_less():
    """Weights 0.5, 0.3 and 0.2 lie 1/6, -1/30 and -4/30 from even; the longest bar is half a picture."""
    even = torch.full((4,), 0.25)
    figure = draw("clip", [Gaze("run", {1: maps(even, even, even, temporal=(0.5, 0.3, 0.2))})])
    bars = [
        bar
        for bar in figure.findobj(Rectangle)
        if isinstance(bar, Rectangle) and to_hex(bar.get_facecolor()) in (MORE, LESS)
    ]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [MORE, LESS, LESS]
    assert [bar.get_width() for bar in bars] == pytest.approx(
        [SIDES[1] / 2, -0.1 * SIDES[1], -0.4 * SIDES[1]], rel=1e-5
    )
    marks = [bar.get_x() for bar in bars]
    assert np.diff(marks) == pytest.approx(np.full(2, SIDES[1] + GAP))
    for words in ("50.00 %", "30.00 %", "20.00 %", "even 33.3 %", "half a bar is 17 percentage points"):
        assert words in words_of(figure)


def test_a_row_says_how_much_has_moved_and_runs_stand_side_by_side():
    before, after = maps(torch.tensor([0.4, 0.2, 0.2, 0.2])), maps(torch.tensor([0.3, 0.3, 0.2, 0.2]))
    figure = draw(
        "a $b$ clip_$", [Gaze("with", {1: before, 3: before}), Gaze("without", {1: before, 3: after})], ["Note."]
    )
    words = words_of(figure)
    for line in ("a $b$ clip_$", "with", "without", "after task 1", "Note.", "2 x 2 patches"):
        assert line in words
    assert "after task 3: 0.00 % of the attention moved since task 1" in words
    assert "after task 3: 10.00 % of the attention moved since task 1" in words
    assert "Frames" not in words
    with_, without = (
        next(text for text in figure.findobj(Text) if text.get_text() == word) for word in ("with", "without")
    )
    assert with_.get_position()[1] == without.get_position()[1] and with_.get_position()[0] < without.get_position()[0]


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_same_figure_gives_the_same_bytes(suffix: str, tmp_path: Path):
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        save(draw("a $b", [Gaze("run", {1: maps(hot(1, 4), hot(2, 4), temporal=(0.6, 0.4))})]), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])


def test_long_names_are_wrapped_and_cover_nothing():
    title = "av-cil " + " ".join(f"setting_{number}=value" for number in range(12))
    figure = draw(
        "/a/long/path/of/a/clip.mp4", [Gaze(title, {1: maps(hot(0, 4))}), Gaze("other", {1: maps(hot(0, 4))})]
    )
    figure.draw_without_rendering()
    boxes = [
        text.get_window_extent() for text in figure.axes[0].texts if text.get_text() and text.get_fontweight() == "bold"
    ]
    assert len(boxes) > 4
    assert not [1 for one, box in enumerate(boxes) for other in boxes[:one] if box.overlaps(other)]
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_tokens_that_are_no_picture():
    with pytest.raises(InputError, match="no spatial attention"):
        draw("clip", [Gaze("run", {1: maps(hot(0, 1))})])
    with pytest.raises(InputError, match="3 tokens a time slice are no square grid"):
        draw("clip", [Gaze("run", {1: maps(hot(1, 3))})])
