"""The pictures of the decoders' benchmark show their numbers, and it asks for the right ones."""

from dataclasses import replace

import numpy as np
from avcil.benchmarks.decoders import FRAMES, HEIGHT, KINDS, WIDTH, expected, number_of, picture, times_of, verdict


def test_pictures_show_their_numbers():
    for width in (WIDTH, 319):
        assert [number_of(picture(number, HEIGHT, width)) for number in range(FRAMES)] == list(range(FRAMES))


def test_the_numbers_asked_for():
    plain = KINDS[0]
    assert expected(plain) == [round(i * 249 / 15) for i in range(16)]
    cut = expected(replace(plain, starts=-1.0))
    assert (cut[0], cut[-1]) == (25, 249)
    slower = replace(plain, slower=True)
    wanted = np.linspace(0, times_of(slower)[-1], 16)
    nearest = [int(np.abs(np.array(times_of(slower)) - time).argmin()) for time in wanted]
    assert np.abs(np.array(expected(slower)) - nearest).max() <= 1  # ties


def test_verdicts():
    numbers = [3, 4, 5]
    right = [picture(number, HEIGHT, WIDTH) for number in numbers]
    assert verdict(right, right, numbers) == "right"
    late = [picture(number + 2, HEIGHT, WIDTH) for number in numbers]
    assert verdict([*right[:1], *late[1:]], right, numbers) == "2 wrong, by up to 2"
    darker = [np.maximum(image, 7) - 7 for image in right]
    assert verdict(darker, right, numbers) == "right, pixels off by up to 7"
