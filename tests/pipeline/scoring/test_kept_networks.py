"""What one job has loaded in a worker, the next one does not load again; unless it is another."""

from __future__ import annotations

import pickle
import shutil
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from transformers import AutoModel

from jobs.pipeline.errors import CallError
from jobs.pipeline.networks import Networks
from jobs.pipeline.scoring.config import MetricConfig
from jobs.pipeline.scoring.plan import METRICS, ScoringPlan, SharedReferences, load_scorer
from jobs.pipeline.scoring.reference_index import ReferenceIndex
from masc_core.masc_scores import MascScores
from masc_core.protocol import Kind
from tests.comparators.mean_colour import MeanColour
from tests.pipeline.scoring.small_scorer import SmallScorer, small_plan, small_scorer
from tests.shards import generation, reference, write_tar

MEMBERS = [member for i in range(3) for member in generation(f"{i}", 10 + i)]


@pytest.fixture
def checkpoint(naflex_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(naflex_checkpoint, tmp_path / "checkpoint"))


def in_worker(plan: ScoringPlan, folder: Path, networks: Networks) -> SmallScorer:
    """The scorer of another job of a worker."""
    scorer = load_scorer(plan, threads=2, batch_size=4, networks=networks)
    shard = write_tar(folder / "references.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    answer, stored = scorer.read_input(str(shard))
    scorer.share(SharedReferences(ReferenceIndex([answer.entries])), lambda number: stored)
    [masc] = held(networks)
    assert isinstance(masc, MascScores)
    return SmallScorer(scorer, masc, folder)


def held(networks: Networks) -> list[Any]:
    """The metrics that are loaded."""
    own = networks.take(METRICS)
    networks.put(METRICS, own)
    return list(own.values())


def figures(scorer: SmallScorer) -> dict[str, tuple[float, float]]:
    return {key: (row["cp"], row["pf"]) for key, row in scorer.rows_of(MEMBERS).items()}


def test_an_equal_metric_is_there_already_and_scores_as_one_that_was_just_loaded(
    checkpoint: Path, tmp_path: Path
) -> None:
    expected = figures(small_scorer(checkpoint, tmp_path / "fresh"))
    plans = [small_plan(checkpoint, tmp_path / name, MetricConfig()) for name in "abc"]
    networks = Networks()
    first = in_worker(plans[0], tmp_path / "a", networks)
    assert figures(first) == expected
    checkpoint.rename(tmp_path / "moved away")
    second = in_worker(plans[1], tmp_path / "b", networks)
    assert figures(second) == expected
    assert second.encoder is first.encoder
    with pytest.raises(CallError, match="cannot be loaded"):
        in_worker(plans[2], tmp_path / "c", Networks())


def test_other_weights_in_the_same_place_are_loaded(checkpoint: Path, tmp_path: Path) -> None:
    networks = Networks()
    plan = small_plan(checkpoint, tmp_path / "a", MetricConfig())
    before = in_worker(plan, tmp_path / "a", networks)
    model = AutoModel.from_pretrained(checkpoint)
    for parameter in model.parameters():
        parameter.data.mul_(1.1)
    model.save_pretrained(checkpoint)
    plan = small_plan(checkpoint, tmp_path / "b", MetricConfig())
    after = in_worker(plan, tmp_path / "b", networks)
    assert figures(after) == figures(small_scorer(checkpoint, tmp_path / "fresh"))
    assert figures(after) != figures(before)
    assert after.encoder is not before.encoder


@pytest.mark.parametrize(
    "metric",
    [
        MetricConfig(extra=["cp.recall_fg"]),
        MetricConfig(fg_threshold=0.25),
        MetricConfig(min_fg_fraction=0.01),
    ],
)
def test_what_is_asked_for_in_another_way_is_loaded(
    naflex_checkpoint: Path, tmp_path: Path, metric: MetricConfig
) -> None:
    networks = Networks()
    plain = small_plan(naflex_checkpoint, tmp_path / "a", MetricConfig())
    first = in_worker(plain, tmp_path, networks)
    # In another order of the same keys it is the same.
    same = {group: dict(reversed(own.items())) for group, own in plain.groups.items()}
    assert in_worker(replace(plain, groups=same), tmp_path, networks).masc is first.masc
    second = in_worker(small_plan(naflex_checkpoint, tmp_path / "b", metric), tmp_path, networks)
    assert second.masc is not first.masc
    assert held(networks) == [second.masc], "what nobody uses is let go"


class Heavy(MeanColour):
    """Notes whether the network that was there before it has been let go when it is loaded."""

    name = "heavy"
    columns: Mapping[str, Kind] = {"heavy": "float64"}
    before: ClassVar[weakref.ref[Any]]
    was_free: ClassVar[bool | None] = None

    def load(self) -> None:
        Heavy.was_free = Heavy.before() is None


def test_the_networks_of_a_pass_are_gone_before_those_of_the_next_are_loaded(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    networks = Networks()
    plan = small_plan(naflex_checkpoint, tmp_path, MetricConfig())
    first = in_worker(pickle.loads(pickle.dumps(plan)), tmp_path, networks)  # as it comes there
    assert figures(first)
    Heavy.before = weakref.ref(first.encoder)
    del first  # as a worker does
    load_scorer(replace(plan, metrics=(Heavy(),), groups={"heavy": {}}), 2, None, networks)
    assert Heavy.was_free
    assert [each.name for each in held(networks)] == ["heavy"]
