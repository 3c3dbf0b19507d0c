"""Prompts that the text tower cannot read to their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import MAX_NUM_PATCHES, SmallScorer, small_scorer
from tests.shards import generation, png

LONG = "a photo of a cat on a beach, " * 345  # 10,005 characters


@pytest.fixture
def scorer(naflex_checkpoint: Path, tmp_path: Path) -> SmallScorer:
    return small_scorer(naflex_checkpoint, tmp_path)


def score(scorer: SmallScorer, prompt: str, **fields: Any) -> dict[str, Any]:
    return scorer.rows_of(generation("a", 3, prompt=prompt, **fields))["a"]


@pytest.mark.parametrize("subject", ["cat", "dog"])
def test_a_prompt_of_ten_thousand_characters_is_cut_as_the_authors_cut_it_and_flagged(
    scorer: SmallScorer, naflex_checkpoint: Path, subject: str
) -> None:
    from masc import MaSC

    row = score(scorer, LONG, subject=subject)
    theirs = MaSC(str(naflex_checkpoint), device="cpu", naflex_max_patches=MAX_NUM_PATCHES).score(
        *painted((96, 96), 1), *painted((96, 96), 3), LONG, subject
    )
    assert row["status"] == "ok"
    assert row["text"] == theirs.extras["prompt_text"]
    assert row["pf"] == pytest.approx(theirs.pf, abs=1e-5)
    [n_tokens] = scorer.encoder.count_tokens([row["text"]])
    assert n_tokens > 1000
    assert row["error"] == f"text: {n_tokens} tokens, cut to 64"


def test_a_text_that_fits_to_the_last_token_is_not_flagged(scorer: SmallScorer) -> None:
    fits, longer = "!" * 63, "!" * 64
    assert scorer.encoder.count_tokens([fits, longer]) == [64, 65]
    assert score(scorer, fits)["error"] is None
    assert score(scorer, longer)["error"] == "text: 65 tokens, cut to 64"


def test_a_cut_is_named_beside_other_reasons(scorer: SmallScorer) -> None:
    shard = generation("a", 3, prompt=LONG)
    shard[1] = ("a.mask.png", png(np.full((96, 96), 255, np.uint8)))
    error = scorer.rows_of(shard)["a"]["error"]
    first, second = error.split("; ")
    assert first == "pf: no background patch"
    assert second.startswith("text: ")
