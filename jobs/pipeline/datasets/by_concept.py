"""Entries in an order in which a run may be decided early: concept after concept, by chance.

A gate that looks after each shard counts whole concepts, so a concept's generations belong into one
shard; and what it has seen has to be a random part of all, so the concepts come in no order of
their own. Equal entries come in the same order each time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from jobs.pipeline.datasets.entries import GENERATION, Entry

SEED = 0


def in_order_of_concepts(entries: Sequence[Entry]) -> list[Entry]:
    """The generations of each concept together, concepts in a random order; then the others.

    Within a concept the order stays.
    """
    concepts: dict[str, list[Entry]] = {}
    others = []
    for entry in entries:
        if entry.role == GENERATION:
            concepts.setdefault(concept_of(entry), []).append(entry)
        else:
            others.append(entry)
    # Sorted first, so that it is by the concepts alone, whichever comes first in the data set.
    order = sorted(concepts)
    random.Random(SEED).shuffle(order)
    return [*(entry for concept in order for entry in concepts[concept]), *others]


def concept_of(entry: Entry) -> str:
    """Its concept."""
    return str(entry.fields.get("concept"))
