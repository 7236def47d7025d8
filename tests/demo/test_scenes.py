import dataclasses

import numpy as np
import pytest
from avcil.demo.clips import plan
from avcil.demo.scenes import (
    FRAMES,
    MOTIONS,
    SAMPLE_RATE,
    SAMPLES,
    SIDE,
    SOUNDS,
    Scene,
    draw_frames,
    draw_scene,
    draw_sound,
)
from scipy import stats

SEED = (3, 1)


def test_every_motion_starts_from_the_same_frame():
    scene = draw_scene(SEED)
    first = draw_frames(scene, "right")[0]
    assert first.shape == (SIDE, SIDE, 3)
    assert len({draw_frames(scene, motion)[0].tobytes() for motion in MOTIONS}) == 1
    assert len({draw_frames(scene, motion)[1].tobytes() for motion in MOTIONS}) == len(MOTIONS)


def test_opposite_motions_show_the_same_pictures_in_other_places():
    """On a plain ground without noise a moving thing is its first picture, shifted round the edges."""
    scene = dataclasses.replace(
        draw_scene(SEED), distractors=(), grain=0.0, speed=16 / SIDE, background=np.zeros((SIDE, SIDE, 3), np.float32)
    )
    shifts = {"right": (0, 1), "left": (0, -1), "up": (-1, 0), "down": (1, 0)}
    for motion in MOTIONS:
        frames = draw_frames(scene, motion)  # one pixel a frame
        for index in (1, 20, FRAMES - 1):
            down, across = (step * index for step in shifts[motion])
            expected = np.roll(frames[0].astype(int), (down, across), axis=(0, 1))
            assert np.abs(frames[index].astype(int) - expected).max() <= 1


def test_where_the_thing_is_tells_nothing_at_any_moment():
    """Its start is spread evenly round the picture, so its place is, at every moment, for every motion."""
    scenes = [draw_scene((11, index)) for index in range(400)]
    for index in (0, FRAMES // 2, FRAMES - 1):
        for direction in (-1, 0, 1):
            moved = [direction * scene.speed * SIDE * index / 16 for scene in scenes]
            across = [(scene.thing.across + step) % SIDE / SIDE for scene, step in zip(scenes, moved, strict=True)]
            assert stats.kstest(across, "uniform").pvalue > 0.001
            down = [(scene.thing.down + step) % SIDE / SIDE for scene, step in zip(scenes, moved, strict=True)]
            assert stats.kstest(down, "uniform").pvalue > 0.001


def test_sounds_of_one_scene_are_equally_loud_and_different():
    sounds = [draw_sound(draw_scene(SEED), sound) for sound in SOUNDS]
    assert all(sound.shape == (2, SAMPLES) and sound.dtype == np.float32 for sound in sounds)
    power = [float(np.mean(sound.astype(float) ** 2)) for sound in sounds]
    assert power == pytest.approx([power[0]] * len(sounds), rel=0.01)
    for index, one in enumerate(sounds):
        assert all(not np.allclose(one, other, atol=0.01) for other in sounds[:index])


def test_sounds_share_their_spread_of_pitch():
    """Of a scene without noise and overtones, the power in each third of the octave and a half."""
    for sound in SOUNDS:
        shares = np.zeros(3)
        for index in range(20):
            scene = dataclasses.replace(draw_scene((5, index)), noise=0.0, overtones=())
            spectrum = np.abs(np.fft.rfft(draw_sound(scene, sound)[0])) ** 2
            height = np.log2(np.fft.rfftfreq(SAMPLES, 1 / SAMPLE_RATE).clip(1) / scene.pitch)
            shares += [spectrum[(height >= low) & (height < low + 0.5)].sum() / spectrum.sum() for low in (0, 0.5, 1)]
        assert shares / 20 == pytest.approx([1 / 3] * 3, abs=0.05)


def test_loud_clips_stay_within_full_scale():
    loudest = dataclasses.replace(draw_scene(SEED), loudness=0.2, pan=0.7)
    assert np.abs(draw_sound(loudest, "rising")).max() < 1


def test_distractors_go_nowhere():
    walks = [walk for index in range(50) for _, walk in draw_scene((1, index)).distractors]
    still = [walk for walk in walks if not walk.any()]
    assert 0.3 < len(still) / len(walks) < 0.7
    for walk in walks:
        assert walk.shape == (FRAMES, 2)
        assert walk[-1] == pytest.approx([0, 0], abs=1e-3)


def test_nothing_but_motion_and_sound_depends_on_the_class():
    """Over the demo's own 300 clips, no fact of the scenes differs between motions, sounds or classes."""
    clips = plan()
    facts = [facts_of(draw_scene(clip.seed)) for clip in clips]
    for name in facts[0]:
        values = np.array([fact[name] for fact in facts])
        for key in ("motion", "sound", "label", "split"):
            groups = np.array([getattr(clip, key) for clip in clips])
            probability = stats.kruskal(*(values[groups == group] for group in np.unique(groups))).pvalue
            assert probability > 0.001, (name, key)


def facts_of(scene: Scene) -> dict[str, float]:
    """The numbers of a scene."""
    facts: dict[str, float] = {
        name: getattr(scene, name)
        for name in ("speed", "grain", "pitch", "sweeps", "phase", "loudness", "hum", "noise")
    }
    facts |= {"pan": scene.pan, "background": float(scene.background.mean()), "overtones": sum(scene.overtones)}
    for index, (thing, walk) in enumerate([(scene.thing, None), *scene.distractors]):
        facts |= {f"{name} {index}": getattr(thing, name) for name in ("across", "down", "radius")}
        facts |= {f"colour {channel} {index}": thing.colour[channel] for channel in range(3)}
        facts[f"shape {index}"] = ("disc", "square", "diamond").index(thing.shape)
        if walk is not None:
            facts[f"walk {index}"] = float(np.abs(walk).mean())
    return facts
