"""Concepts: told apart by how they look, divided once, and damaged by degrees."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from jobs.demo.world.kinds import KINDS
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import COLOURS, SUBJECTS, Subject, concept, concepts, damaged, nouns
from tests.demo.world.frontal import photo

subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.id)


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


@subjects
def test_a_damaged_subject_lost_half_its_parts_and_its_colours(subject: Subject) -> None:
    broken = damaged(subject)
    assert broken.id == subject.id
    assert len(broken.missing) == len(subject.parts) // 2
    assert len(broken.parts) + len(broken.missing) == len(subject.parts)
    (image, mask), (other, other_mask) = photo(subject), photo(broken)
    assert other_mask.sum() < mask.sum()
    assert np.abs(image - other)[mask & other_mask].mean() > 40


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


def test_damage_moves_every_channel_by_its_amount_of_half_the_range() -> None:
    subject = concept("red robot")
    before, after = (
        {part.outline: part.paint.colour for part in each.parts}
        for each in (subject, damaged(subject, 0.25))
    )
    assert COLOURS["red"] == (214, 48, 44)
    kept = [outline for outline, colour in before.items() if colour == (214, 48, 44)]
    assert {after[outline] for outline in kept if outline in after} == {(182, 80, 76)}
