"""Small trees in the layout of the ratings that DreamBench++ ships."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CONCEPTS = ("live_subject_animal_00_kitten", "object_03_tea-pot", "object_11_mug", "style_02_ink")
FOLDERS = {
    ("cp", "clip_i"): "data_clipi_rating",
    ("cp", "dino_i"): "data_dino_rating",
    ("cp", "gpt4o"): "data_gpt_rating/concept_preservation_wo_internal_thinking",
    ("cp", "gpt4v"): "data_gpt_rating/concept_preservation_gpt4v_full",
    ("pf", "clip_t"): "data_clipt_rating",
    ("pf", "gpt4o"): "data_gpt_rating/prompt_following_full",
    ("pf", "gpt4v"): "data_gpt_rating/prompt_following_gpt4v_full",
}


@dataclass
class RatingTree:
    """What is said of each key, by aspect, method and who says it; `group1` and `group2` are
    people."""

    methods: Sequence[str]
    said: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)

    def write(self, root: Path) -> Path:
        """The files."""
        for (aspect, method, who), ratings in self.said.items():
            if who.startswith("group"):
                path = root / "data_human_rating" / "merged_data" / who / f"{method}-{aspect}.json"
            else:
                path = root / FOLDERS[aspect, who] / f"{method}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(ratings))
        return root


def rating_tree(
    methods: Sequence[str], concepts: Sequence[str] = CONCEPTS, seed: int = 0
) -> RatingTree:
    """Whole numbers of 0 to 4 of people and GPT, and continuous ones of the others."""
    rng, tree = np.random.default_rng(seed), RatingTree(methods)
    keys = [f"{concept}-{prompt}" for concept in concepts for prompt in range(9)]
    for at, method in enumerate(methods):
        for aspect in ("cp", "pf"):
            truth = rng.normal(1.5 + at % 2, 1.2, len(keys))
            for who in ("group1", "group2", *(who for of, who in FOLDERS if of == aspect)):
                values = truth + rng.normal(0, 0.6, len(keys))
                if who.startswith(("group", "gpt")):
                    values = np.clip(values.round(), 0, 4)
                else:
                    values = 0.2 + 0.1 * values
                tree.said[aspect, method, who] = dict(zip(keys, values.tolist(), strict=True))
    return tree
