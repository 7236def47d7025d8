"""What is seen and heard in one demo clip: a thing that moves and sounds, among things that mean nothing.

A class is a motion and a sound. Everything else about a clip is drawn from its seed before the class is known:
where the thing starts, its size, shape and colour, the distractors, the background, the pitch, the loudness,
the noise. The picture has no edges: what leaves on one side comes back on the other, so that the place of the
thing is spread evenly over the picture at every moment, whichever way it moves, and no single frame tells the
class. The sounds likewise share one spread of pitch and one loudness: only the order in time differs.

Shapes: T frames, H x W pixels, N samples.
"""

import colorsys
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Motion = Literal["right", "left", "up", "down"]
Sound = Literal["rising", "falling", "wavering", "skipping"]
MOTIONS: tuple[Motion, ...] = get_args(Motion)
SOUNDS: tuple[Sound, ...] = get_args(Sound)

SECONDS = 2
SIDE = 112
"""Height and width of the picture, in pixels."""
FRAME_RATE = 16
SAMPLE_RATE = 44_100
FRAMES = SECONDS * FRAME_RATE
SAMPLES = SECONDS * SAMPLE_RATE

STEPS = 6
"""Notes a sweep of a skipping sound."""

# Across and down.
DIRECTION: dict[Motion, tuple[int, int]] = {"right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)}

Picture = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Thing:
    """A figure of one colour."""

    across: float
    """Where its centre is in the first frame, in pixels from the left."""
    down: float
    """The same, from the top."""
    radius: float
    """Half its width, in pixels."""
    shape: Literal["disc", "square", "diamond"]
    """Its outline."""
    colour: tuple[float, float, float]
    """Red, green, blue, 0 to 255."""


@dataclass(frozen=True)
class Scene:
    """All of a clip that its class does not decide."""

    thing: Thing
    """What moves and sounds."""
    speed: float
    """Pictures (widths or heights) a second."""
    distractors: tuple[tuple[Thing, npt.NDArray[np.float32]], ...]
    """Other things, each with its displacements (T, 2) in pixels: zero, or a walk that leads nowhere."""
    background: Picture
    """(H, W, 3)."""
    grain: float
    """Standard deviation of the camera's noise, in grey levels."""
    pitch: float
    """The lowest frequency of the sound's fundamental, in Hz."""
    sweeps: float
    """Sweeps a second."""
    phase: float
    """Where in a sweep the clip begins, 0 to 1."""
    overtones: tuple[float, ...]
    """Amplitudes of the second, third, ... partial beside the first."""
    loudness: float
    """Root mean square of the sound, full scale = 1."""
    hum: float
    """Frequency of a steady tone in the background, in Hz."""
    noise: float
    """Root mean square of background noise and hum together, beside the sound's."""
    pan: float
    """Share of the sound in the left channel, 0 to 1."""
    noise_seed: int
    """For camera noise and background noise."""


def draw_scene(seed: tuple[int, ...]) -> Scene:
    """A scene. It is not told the class, so nothing in it can depend on the class."""
    random = np.random.default_rng(seed)
    return Scene(
        thing=_draw_thing(random, radius=(14, 26)),
        speed=float(random.uniform(0.6, 0.9)),
        distractors=tuple((_draw_thing(random, radius=(5, 9)), _draw_walk(random)) for _ in range(2)),
        background=_draw_background(random),
        grain=float(random.uniform(1, 5)),
        pitch=float(random.uniform(300, 600)),
        sweeps=float(random.uniform(1.5, 2.5)),
        phase=float(random.uniform()),
        overtones=tuple(float(amplitude) for amplitude in random.uniform(0.1, 0.6, 3)),
        loudness=float(random.uniform(0.05, 0.2)),
        hum=float(random.uniform(100, 2000)),
        noise=float(random.uniform(0.1, 0.3)),
        pan=float(random.uniform(0.3, 0.7)),
        noise_seed=int(random.integers(2**31)),
    )


def _draw_thing(random: np.random.Generator, radius: tuple[float, float]) -> Thing:
    across, down = random.uniform(0, SIDE, 2)
    shapes: tuple[Literal["disc", "square", "diamond"], ...] = ("disc", "square", "diamond")
    return Thing(
        across=float(across),
        down=float(down),
        radius=float(random.uniform(*radius)),
        shape=shapes[random.integers(3)],
        colour=_draw_colour(random, saturation=(0, 0.45), brightness=(0.9, 1)),
    )


def _draw_colour(
    random: np.random.Generator, saturation: tuple[float, float], brightness: tuple[float, float]
) -> tuple[float, float, float]:
    red, green, blue = colorsys.hsv_to_rgb(random.uniform(), random.uniform(*saturation), random.uniform(*brightness))
    return 255 * red, 255 * green, 255 * blue


def _draw_walk(random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Displacements (T, 2): nothing, or, every other time, a random walk bent so that it ends where it began."""
    steps = random.normal(0, 2, (FRAMES, 2)) * random.integers(2)
    walk = np.cumsum(steps - steps.mean(axis=0), axis=0)
    return walk.astype(np.float32)  # (T, 2)


def _draw_background(random: np.random.Generator) -> Picture:
    """A dull colour under broad waves that run on over the edges."""
    colour = np.array(_draw_colour(random, saturation=(0.1, 0.6), brightness=(0.1, 0.25)), np.float32)
    waves = random.integers(1, 4, 2) * random.choice([-1, 1], 2)
    height = random.uniform(3, 12)
    place = np.arange(SIDE, dtype=np.float32) * 2 * np.pi / SIDE
    texture = height * np.sin(waves[0] * place[:, None] + waves[1] * place + random.uniform(0, 2 * np.pi))
    ground: npt.NDArray[np.float32] = np.clip(colour + texture[..., None], 0, 255).astype(np.float32)  # (H, W, 3)
    return ground


def draw_frames(scene: Scene, motion: Motion) -> npt.NDArray[np.uint8]:
    """The clip's pictures: uint8 (T, H, W, 3), RGB. The thing passes in front of the distractors."""
    random = np.random.default_rng((scene.noise_seed, 0))
    step = np.array(DIRECTION[motion]) * scene.speed * SIDE / FRAME_RATE
    frames = np.empty((FRAMES, SIDE, SIDE, 3), np.uint8)
    for index in range(FRAMES):
        picture = scene.background.copy()
        for distractor, walk in scene.distractors:
            _paint(picture, distractor, walk[index])
        _paint(picture, scene.thing, step * index)
        picture += random.normal(0, scene.grain, (SIDE, SIDE, 1))
        frames[index] = np.clip(picture, 0, 255).round()
    return frames


def _paint(picture: Picture, thing: Thing, displacement: npt.NDArray[np.floating]) -> None:
    """Lay `thing` over `picture` (H, W, 3), its edges softened over one pixel, running on over the borders."""
    place = np.arange(SIDE, dtype=np.float32)
    across, down = (
        np.abs((place - centre + SIDE / 2) % SIDE - SIDE / 2)
        for centre in (thing.across + displacement[0], thing.down + displacement[1])
    )
    if thing.shape == "disc":
        distance = np.hypot(down[:, None], across)
    elif thing.shape == "square":
        distance = np.maximum(down[:, None], across)
    else:
        distance = down[:, None] + across
    cover = np.clip(thing.radius - distance + 0.5, 0, 1)[..., None]  # (H, W, 1)
    picture += cover * (np.array(thing.colour, np.float32) - picture)


def draw_sound(scene: Scene, sound: Sound) -> npt.NDArray[np.float32]:
    """The clip's sound: float32 (2, N), within -1..1.

    A tone with overtones goes through an octave and a half, again and again: gliding upwards, gliding downwards,
    gliding up and down in turn (each sweep as long as in the others), or in six held steps in any order.
    """
    random = np.random.default_rng((scene.noise_seed, 1))
    time = np.arange(SAMPLES) / SAMPLE_RATE
    turn = scene.sweeps * time + scene.phase
    if sound == "rising":
        height = turn % 1
    elif sound == "falling":
        height = 1 - turn % 1
    elif sound == "wavering":
        height = 1 - np.abs(turn % 2 - 1)
    else:
        orders = random.permuted(np.tile(np.arange(STEPS), (int(turn[-1]) + 1, 1)), axis=1)  # one row a sweep
        height = (orders[turn.astype(int), (turn % 1 * STEPS).astype(int)] + 0.5) / STEPS
    frequency = scene.pitch * 2 ** (1.5 * height)  # (N,)
    angle = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    tone = np.sin(angle)
    for partial, amplitude in enumerate(scene.overtones, start=2):
        tone += amplitude * np.sin(partial * angle)
    hiss = random.normal(0, 1, SAMPLES)
    background = _of_power(hiss) + _of_power(np.sin(2 * np.pi * scene.hum * time))
    mono = scene.loudness * (_of_power(tone) + scene.noise * _of_power(background))
    channels = np.stack([scene.pan * mono, (1 - scene.pan) * mono]) * 2  # (2, N)
    return np.clip(channels, -1, 1).astype(np.float32)


def _of_power(wave: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`wave` scaled to a root mean square of 1."""
    scaled: npt.NDArray[np.float64] = wave / np.sqrt(np.mean(wave**2))
    return scaled
