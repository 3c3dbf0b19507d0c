"""What a row asks of a run, and why it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.paper.recipes import read_recipes
from jobs.pipeline.paper.settings import PaperConfig
from jobs.pipeline.paper.systems import problems_of
from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig

DEMO = EncoderConfig("demo")


@pytest.fixture(autouse=True)
def nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: None)


def test_a_matcher_that_cannot_be_had_is_a_row_that_says_what_it_needs() -> None:
    [recipe] = read_recipes(["aggregators"])
    config = PaperConfig(data="", encoder=DEMO)
    matchers = [each for each in recipe.systems if each.name.endswith((".recall", ".masked"))]
    problems = problems_of(config, matchers)
    for name, why in (
        ("lightglue.recall", "no weights: ETH-CVG/lightglue_superpoint: no such directory"),
        ("loftr.masked", "not installed: needs the package kornia: pip install 'masc-eval[loftr]'"),
        ("roma.recall", "not installed: needs the package romatch: pip install 'masc-eval[roma]'"),
        ("mast3r.masked", "not installed: needs a checkout of MASt3R: git clone --recursive"),
    ):
        assert problems[name].startswith(why)
    assert problems.keys() == {each.name for each in matchers}
    assert len(problems) == 7


def test_a_checkout_that_is_none_ends_the_call(tmp_path: Path) -> None:
    [recipe] = read_recipes(["aggregators"])
    comparators = {"mast3r": ComparatorConfig(source=str(tmp_path))}
    config = PaperConfig(data="", encoder=DEMO, comparators=comparators)
    with pytest.raises(CallError, match=f"source={tmp_path}: no mast3r/model.py there"):
        problems_of(config, recipe.systems)
