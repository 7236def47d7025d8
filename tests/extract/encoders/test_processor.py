"""Processor settings of every age become the same preparation."""

import pytest
from avcil.errors import InputError
from avcil.extract.encoders.processor import audio_preparation, visual_preparation
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation

NEW = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "VideoMAEImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 224},
}


def visual(settings, size=224):
    return visual_preparation(settings, frames=16, image_size=size, source="here")


def test_the_published_settings_are_the_defaults_of_the_preparation():
    assert visual(NEW) == VisualPreparation()


def test_settings_of_2022_mean_the_same():
    old = {key: NEW[key] for key in ("image_mean", "image_std", "resample")} | {"size": 224}
    assert visual(old) == VisualPreparation()


def test_every_setting_reaches_the_preparation():
    settings = NEW | {
        "size": {"shortest_edge": 256},
        "crop_size": 192,
        "resample": 3,
        "rescale_factor": 0.5,
        "image_mean": 0.25,
        "image_std": [0.1, 0.2, 0.3],
    }
    assert visual(settings, 192) == VisualPreparation(
        frames=16,
        shortest_edge=256,
        crop=192,
        resample="bicubic",
        rescale=0.5,
        mean=(0.25, 0.25, 0.25),
        std=(0.1, 0.2, 0.3),
    )


def test_steps_left_out_change_nothing():
    prepared = visual(NEW | {"do_rescale": False, "do_normalize": False})
    assert (prepared.rescale, prepared.mean, prepared.std) == (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_mean": None}, "'image_mean' must be three numbers"),  # the class would quietly take 0.5
        ({"image_std": [0.2, 0.2]}, "'image_std' must be three numbers"),
        ({"do_resize": False}, "'do_resize' must be true"),
        ({"do_center_crop": False}, "'do_center_crop' must be true"),
        ({"size": {"height": 224, "width": 224}}, "must give a shortest edge and a square crop"),
        ({"crop_size": {"height": 224, "width": 200}}, "must give a shortest edge and a square crop"),
        ({"crop_size": 200}, "crops to 200, the model takes 224 pixels"),
        ({"resample": 9}, "'resample' is 9"),
    ],
)
def test_settings_that_no_frame_can_have_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        visual(NEW | change)


def test_sound_without_settings_is_prepared_for_audiomae():
    assert audio_preparation(None, frames=1024, bins=128, source="here") == AudioPreparation()


def test_settings_without_normalisation():
    assert not audio_preparation({"do_normalize": False}, frames=1024, bins=128, source="here").normalise
