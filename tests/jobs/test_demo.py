"""The demo as `make demo` runs it: six models whose truth is known come out in their order."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.demo.dataset import render_dataset
from jobs.pipeline.comparison import CompareConfig, compare
from jobs.pipeline.planning import PlanConfig, plan
from tests.commands import here

RIGHT_SCENE = ("faithful", "wrong_subject", "damaged")
WRONG_SCENE = ("wrong_scene", "copy_paste", "noise")
CONF = Path(__file__).parents[2] / "conf" / "demo.yaml"


NIGHTS = {1: ("faithful",), 2: ("faithful",), 3: ("faithful",)}
NIGHTS[4] = ("faithful", "damaged", "wrong_subject", "wrong_scene")
"""Models that are scored with other seeds too, by seed; they are called MODEL@SEED there."""


@pytest.fixture(scope="module")
def run(joined_here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run, and in it further nights of some of its models."""
    folder = tmp_path_factory.mktemp("demo")
    images, shards, run = folder / "images", folder / "shards", folder / "run"
    nights = _write_nights(folder / "nights")
    for words in (
        ("render_demo", f"out={images}"),
        ("pack", f"manifest={images}/manifest.csv", f"out={shards}", "shard_size=48"),
        (
            *("evaluate", str(CONF), f"samples=[{shards}/generations-*.tar,{nights}]"),
            *(f"references={shards}/references-*.tar", f"run={run}"),
            *("workers.count=1", "workers.cpus=1"),
        ),
    ):
        called = here(*words)
        assert called.returncode == 0, called.stderr
    return run


def _write_nights(folder: Path) -> Path:
    """A shard of generations of other seeds."""
    entries = []
    for seed, models in NIGHTS.items():
        rows = render_dataset(folder / f"{seed}", seed=seed, n_concepts=24, n_prompts=2, size=192)
        entries += [
            {
                **row,
                "image": f"{seed}/{row['image']}",
                "mask": f"{seed}/{row['mask']}",
                "model": f"{row['model']}@{seed}",
            }
            for row in rows
            if row["role"] == "generation" and row["model"] in models
        ]
    with (folder / "manifest.jsonl").open("w") as file:
        file.writelines(f"{json.dumps(entry)}\n" for entry in entries)
    packed = here("pack", f"manifest={folder}/manifest.jsonl", f"out={folder}/shards")
    assert packed.returncode == 0, packed.stderr
    return folder / "shards" / "generations-000000.tar"


@pytest.fixture(scope="module")
def models(run: Path) -> dict[str, dict[str, Any]]:
    """`summary/model.parquet` of the demo's six models."""
    rows = pq.read_table(run / "summary" / "model.parquet").to_pylist()
    return {row["model"]: row for row in rows if "@" not in row["model"]}


@pytest.fixture(scope="module")
def margins(run: Path) -> dict[str, float]:
    """What two seeds of one model propose."""
    planned = plan(
        PlanConfig(str(run), str(run), model="faithful@1", baseline_model="faithful@2")
    ).document()
    return planned["margin"]


@pytest.mark.parametrize(
    ("candidate", "regressed"),
    [("damaged", ["cp"]), ("wrong_subject", ["cp"]), ("wrong_scene", ["pf"]), ("faithful", [])],
)
def test_what_is_worse_regresses_by_the_margins_that_two_nights_propose(
    run: Path, margins: dict[str, float], candidate: str, regressed: list[str]
) -> None:
    judged = compare(
        CompareConfig(
            *(str(run), [str(run)], "faithful@3", f"{candidate}@4"),
            gate=dict(margins),
        )
    )
    [found] = judged.comparisons
    verdicts = {name: found.columns[name].verdict for name in ("cp", "pf")}
    assert [name for name, verdict in verdicts.items() if verdict == "regressed"] == regressed
    if candidate == "faithful":
        assert set(verdicts.values()) == {"same"}


def assert_above(models: dict[str, dict[str, Any]], score: str, better: str, worse: str) -> None:
    """With intervals that do not overlap."""
    low, high = models[better][f"{score}_ci_low"], models[worse][f"{score}_ci_high"]
    assert low > high, f"{score}: {better} from {low:.3f}, {worse} to {high:.3f}"


def test_it_ends_with_a_page_to_look_at(run: Path) -> None:
    page = (run / "report" / "index.html").read_text()
    assert "leads" in page
    assert page.count('class="g-item') == 24


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
