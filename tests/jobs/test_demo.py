"""The demo as `make demo` runs it: six models whose truth is known come out in their order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.commands import command

RIGHT_SCENE = ("faithful", "wrong_subject", "damaged")
WRONG_SCENE = ("wrong_scene", "copy_paste", "noise")
CONF = Path(__file__).parents[2] / "conf" / "demo.yaml"


@pytest.fixture(scope="module")
def models(
    cluster_address: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """`summary/model.parquet` of the demo, by model."""
    folder = tmp_path_factory.mktemp("demo")
    images, shards, run = folder / "images", folder / "shards", folder / "run"
    for words in (
        ("render_demo", f"out={images}"),
        ("pack", f"manifest={images}/manifest.csv", f"out={shards}", "shard_size=48"),
        (
            *("evaluate", str(CONF), f"samples={shards}/generations-*.tar"),
            *(f"references={shards}/references-*.tar", f"run={run}"),
            f"ray.address={cluster_address}",
        ),
    ):
        called = command(*words)
        assert called.returncode == 0, called.stderr
    rows = pq.read_table(Path(run) / "summary" / "model.parquet").to_pylist()
    return {row["model"]: row for row in rows}


def assert_above(models: dict[str, dict[str, Any]], score: str, better: str, worse: str) -> None:
    """With intervals that do not overlap."""
    low, high = models[better][f"{score}_ci_low"], models[worse][f"{score}_ci_high"]
    assert low > high, f"{score}: {better} from {low:.3f}, {worse} to {high:.3f}"


def test_every_sample_has_both_scores(models: dict[str, dict[str, Any]]) -> None:
    assert len(models) == 6
    for row in models.values():
        assert row["n_ok"] == row["n"] == 48
        assert row["n_cp_nan"] == row["n_pf_nan"] == 0


@pytest.mark.parametrize("kept", ["faithful", "wrong_scene", "copy_paste"])
@pytest.mark.parametrize("lost", ["wrong_subject", "damaged", "noise"])
def test_cp_is_higher_where_the_subject_is_kept(
    models: dict[str, dict[str, Any]], kept: str, lost: str
) -> None:
    assert_above(models, "cp", kept, lost)


@pytest.mark.parametrize("right", RIGHT_SCENE)
@pytest.mark.parametrize("wrong", WRONG_SCENE)
def test_pf_is_higher_where_the_scene_is_the_one_asked_for(
    models: dict[str, dict[str, Any]], right: str, wrong: str
) -> None:
    assert_above(models, "pf", right, wrong)


def test_cp_ranks_what_is_left_of_the_subject(models: dict[str, dict[str, Any]]) -> None:
    for better, worse in pairwise(["copy_paste", "faithful", "wrong_subject", "damaged", "noise"]):
        assert_above(models, "cp", better, worse)


def test_faithful_wins(models: dict[str, dict[str, Any]]) -> None:
    assert max(models.values(), key=lambda row: row["cp_x_pf"])["model"] == "faithful"


def test_the_leak_tells_a_copied_reference_from_a_faithful_image(
    models: dict[str, dict[str, Any]],
) -> None:
    assert_above(models, "cp.leak", "copy_paste", "faithful")
