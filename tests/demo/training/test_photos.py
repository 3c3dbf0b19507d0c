"""Photos whose truth is known."""

from __future__ import annotations

import numpy as np

from jobs.demo.training.photos import SIZES, Photo, take_photo, take_photos
from jobs.demo.world.render import Pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS

POSE = Pose(x=0.5, depth=0.5, scale=0.7, angle=0, turn=1, flip=False, light=90, seed=0)


def test_a_photo_is_the_subject_in_the_scene_that_it_says() -> None:
    photo = take_photo(SUBJECTS[1], 7, POSE, (128, 96))
    image, mask = render(SUBJECTS[1], SCENES[7], POSE, (128, 96))
    assert (photo.subject, photo.scene) == (SUBJECTS[1], 7)
    assert photo.image.tobytes() == image.tobytes()
    assert photo.mask.shape == (96, 128)
    assert (photo.mask == np.asarray(mask)).all()
    assert set(np.unique(photo.mask)) == {0, 255}


def test_photos_of_a_subject_lie_in_different_scenes_and_take_sizes_in_turn() -> None:
    photos = take_photos(SUBJECTS[:2], 4)
    assert [photo.subject for photo in photos] == [*4 * [SUBJECTS[0]], *4 * [SUBJECTS[1]]]
    for own in (photos[:4], photos[4:]):
        assert len({photo.scene for photo in own}) == 4
    sizes = [photo.image.size for photo in photos]
    assert sizes == [SIZES[i % 3] for i in (0, 1, 2, 3, 1, 2, 3, 4)]


def test_a_subject_s_photos_follow_from_the_seed_and_its_place() -> None:
    def seen(photos: list[Photo]) -> list[bytes]:
        return [photo.image.tobytes() for photo in photos]

    three = seen(take_photos(SUBJECTS[:3], 1))
    assert seen(take_photos(SUBJECTS[:2], 1)) == three[:2]
    assert seen(take_photos(SUBJECTS[:3], 1, seed=1)) != three
