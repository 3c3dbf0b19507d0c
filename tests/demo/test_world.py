"""The rendered world: what it shows is known, exact, and the same every time."""

from __future__ import annotations

from itertools import combinations, cycle, pairwise

import numpy as np
import pytest

from jobs.demo.world.kinds import KINDS
from jobs.demo.world.prompts import TEMPLATES, prompt
from jobs.demo.world.render import Pose, backdrop, random_pose, render
from jobs.demo.world.scenes import SCENES, Scene
from jobs.demo.world.subjects import COLOURS, SUBJECTS, Subject, concept, concepts, damaged, nouns
from masc_core.subject import strip_subject

SIZES = ((192, 192), (256, 192), (192, 256))
FRONTAL = Pose(x=0.5, depth=0.5, scale=0.7, angle=0, turn=1, flip=False, light=90, seed=0)

subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.id)
scenes = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.id)


def photo(
    subject: Subject, scene: Scene = SCENES[0], pose: Pose = FRONTAL
) -> tuple[np.ndarray, np.ndarray]:
    """Image (192, 192, 3) int, and mask (192, 192) bool."""
    image, mask = render(subject, scene, pose, (192, 192))
    return np.asarray(image).astype(int), np.asarray(mask) > 0


@scenes
def test_the_same_pose_gives_the_same_bytes(scene: Scene) -> None:
    pose = random_pose(np.random.default_rng(5))
    first, second = (render(SUBJECTS[0], scene, pose, (256, 192)) for _ in range(2))
    assert [part.tobytes() for part in first] == [part.tobytes() for part in second]


def test_the_same_generator_state_gives_the_same_pose() -> None:
    poses = [random_pose(np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert poses[0] == poses[1] != poses[2]


def test_ids_are_unique_and_safe_in_file_names() -> None:
    ids = [thing.id for thing in (*SUBJECTS, *SCENES)]
    assert len(set(ids)) == len(ids)
    assert all(name.replace("_", "").isalnum() for name in ids)


def test_any_two_subjects_look_different() -> None:
    seen = {subject.id: photo(subject) for subject in SUBJECTS}
    for (_, (image, mask)), (_, (other, other_mask)) in combinations(seen.items(), 2):
        either = mask | other_mask
        assert np.abs(image - other)[either].mean() > 25


def test_the_individuals_of_a_noun_look_different_and_have_its_colour() -> None:
    noun = "striped red beetle"
    individuals = [concept(noun, number) for number in range(4)]
    assert individuals[0] == concept(noun)
    for each in individuals:
        assert each.noun == noun
        assert COLOURS["red"] in {part.paint.colour for part in each.parts}
    for (image, mask), (other, other_mask) in combinations(map(photo, individuals), 2):
        assert np.abs(image - other)[mask | other_mask].mean() > 10


def test_any_two_scenes_look_different() -> None:
    seen = [np.asarray(scene.paint(0, (192, 192))).astype(int) for scene in SCENES]
    for scene, other in combinations(seen, 2):
        assert np.abs(scene - other).mean() > 25


@scenes
def test_a_scene_is_painted_anew_for_another_seed(scene: Scene) -> None:
    first, second = (np.asarray(scene.paint(seed, (192, 192))).astype(int) for seed in (0, 1))
    assert (first != second).any(axis=2).mean() > 0.1


@subjects
def test_the_mask_is_exactly_where_the_subject_is(subject: Subject) -> None:
    rng = np.random.default_rng(2)
    for scene, size in zip(SCENES, cycle(SIZES), strict=False):
        pose = random_pose(rng)
        image, mask = render(subject, scene, pose, size)
        empty = backdrop(subject, scene, pose, size)
        assert image.size == mask.size == size
        assert set(np.unique(mask)) == {0, 255}
        differs = (np.asarray(image) != np.asarray(empty)).any(axis=2)
        drawn = np.asarray(mask) > 0
        assert not differs[~drawn].any()
        assert differs[drawn].mean() > 0.97


@subjects
def test_the_whole_subject_is_in_the_picture_and_large_enough_to_score(subject: Subject) -> None:
    rng = np.random.default_rng(11)
    for size in 6 * SIZES:
        mask = np.asarray(render(subject, SCENES[3], random_pose(rng), size)[1]) > 0
        assert 0.04 < mask.mean() < 0.5
        border = (*mask[[0, -1]], *mask[:, [0, -1]].T)
        assert sum(edge.sum() for edge in border) < 0.05 * mask.sum()


@subjects
def test_a_damaged_subject_lost_half_its_parts_and_its_colours(subject: Subject) -> None:
    broken = damaged(subject)
    assert broken.id == subject.id
    assert len(broken.missing) == len(subject.parts) // 2
    assert len(broken.parts) + len(broken.missing) == len(subject.parts)
    (image, mask), (other, other_mask) = photo(subject), photo(broken)
    assert other_mask.sum() < mask.sum()
    assert np.abs(image - other)[mask & other_mask].mean() > 40


@subjects
@pytest.mark.parametrize("size", [(24, 24), (64, 85), (320, 240)])
def test_pictures_come_in_any_size(subject: Subject, size: tuple[int, int]) -> None:
    image, mask = render(subject, SCENES[9], FRONTAL, size)
    assert image.size == mask.size == size
    assert mask.getbbox()


def test_the_article_fits_the_noun() -> None:
    articles = {noun: concept(noun).with_article.split()[0] for noun in ("orange cat", "red robot")}
    assert articles == {"orange cat": "an", "red robot": "a"}


def test_no_concept_is_in_two_splits() -> None:
    splits = [set(nouns(split)) for split in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [720, 144, 144]
    assert not any(one & other for one, other in combinations(splits, 2))


def test_every_split_has_every_kind() -> None:
    for split in ("train", "validation", "test"):
        assert {noun.split()[-1] for noun in nouns(split)} == set(KINDS)


def test_the_demo_shows_two_test_concepts_of_each_kind() -> None:
    assert [subject.kind for subject in SUBJECTS] == 2 * list(KINDS)
    assert {subject.noun for subject in SUBJECTS} <= set(nouns("test"))


def test_a_concept_follows_from_its_noun_and_fills_its_frame() -> None:
    for subject in concepts("validation")[:20]:
        again = concept.__wrapped__(subject.noun)
        assert again == subject
        points = np.array([point for part in subject.parts for point in part.outline])
        assert np.abs(points).max() == pytest.approx(1.08)


def test_concepts_of_one_colour_pattern_and_kind_differ_in_more_than_their_noun_says() -> None:
    seconds = {
        part.paint.second
        for subject in concepts("train")
        if subject.noun.startswith("striped red")
        for part in subject.parts
        if part.paint.pattern == "stripes"
    }
    assert len(seconds) > 3


def test_damage_grows_with_its_amount_and_never_heals() -> None:
    for subject in SUBJECTS:
        stages = [damaged(subject, amount) for amount in (0, 0.25, 0.5, 0.75, 1)]
        assert stages[0] == subject
        assert stages[-1] == damaged(subject)
        for before, after in pairwise(stages):
            assert set(before.missing) <= set(after.missing)
            assert before != after


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_prompt_without_its_subject_is_what_stripping_leaves(template: str) -> None:
    for subject in SUBJECTS:
        whole = prompt(subject, SCENES[1], template)
        assert strip_subject(whole, subject.noun) == prompt(None, SCENES[1], template)
        assert SCENES[1].phrase in whole
    assert prompt(SUBJECTS[0], None, template).endswith(SUBJECTS[0].noun)
