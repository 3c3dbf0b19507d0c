"""A comparator is one file and one name: it is in `--help`, the schema, the fingerprint, the
rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.rows import SCORES_SCHEMA, scores_schema
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked
from masc_core.comparators import COMPARATORS
from tests.commands import Run, description_of, here, rows_of
from tests.comparators import TOYS
from tests.pictures import painted
from tests.pipeline.scoring.asking import metrics_of
from tests.pipeline.scoring.small_scorer import small_scorer
from tests.shards import Member, generation, reference, write_tar

DEMO = EncoderConfig(name_or_path="demo")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, where in TOYS.items():
        monkeypatch.setitem(COMPARATORS, name, where)


def evaluate(*words: str) -> Run:
    return here("evaluate", *words)


def members(n: int) -> list[Member]:
    sizes = [(96, 96), (128, 72), (72, 128)]
    return [m for i in range(n) for m in generation(f"{i:02d}", i, sizes[i % 3])]


def test_it_is_a_column_of_the_schema_and_part_of_the_fingerprint() -> None:
    metric = MetricConfig(extra=["mean_colour"])
    metrics = metrics_of(DEMO, metric)
    schema = scores_schema(metrics)
    assert schema.names == [*SCORES_SCHEMA.names, "mean_colour"]
    assert groups_asked(metrics_asked(DEMO, metric, {}, 10))["mean_colour"]["channel"] == "red"
    plain = metrics_of(DEMO, MetricConfig())
    assert scores_schema(plain) == SCORES_SCHEMA
    assert list(groups_asked(metrics_asked(DEMO, MetricConfig(), {}, 10))) == ["masc"]


@pytest.mark.slow
def test_help_lists_the_metrics_that_there_are() -> None:
    shown = evaluate("--help").stdout
    assert "mean_colour" in shown
    assert "tones" in shown


def test_its_values_are_in_the_rows_beside_unchanged_scores(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    plain = small_scorer(naflex_checkpoint, tmp_path / "plain").rows_of(members(6))
    asking = MetricConfig(extra=["mean_colour"])
    rows = small_scorer(naflex_checkpoint, tmp_path / "asking", metric=asking).rows_of(members(6))
    for i, (key, row) in enumerate(rows.items()):
        red = np.asarray(painted([(96, 96), (128, 72), (72, 128)][i % 3], i)[0])[..., 0].mean()
        assert row.pop("mean_colour") == pytest.approx(red / 255, abs=1e-6)
        assert row.items() >= {k: v for k, v in plain[key].items() if k != "shard"}.items()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_kept_references_and_two_buckets_give_equal_rows_at_any_batch_size(
    naflex_checkpoint: Path, tmp_path: Path, batch_size: int
) -> None:
    metric = MetricConfig(extra=["tones"])
    small = small_scorer(naflex_checkpoint, tmp_path, metric=metric, batch_size=batch_size)
    rows = small.rows_of(members(9))
    for i, row in enumerate(rows.values()):
        own = four_tones(painted([(96, 96), (128, 72), (72, 128)][i % 3], i)[0])
        expected = [
            float(np.minimum(own, four_tones(painted((96, 96), seed)[0])).sum()) for seed in (1, 2)
        ]
        assert row["tones_per_reference"] == pytest.approx(expected, abs=1e-6)
        assert row["tones"] == pytest.approx(sum(expected) / 2, abs=1e-6)


def four_tones(image: object) -> np.ndarray:
    counts = np.histogram(np.asarray(image.convert("L")), 4, (0, 256))[0]  # type: ignore[attr-defined]
    return counts / counts.sum()


def test_what_it_cannot_bear_costs_a_null_and_a_reason_and_no_row(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    metric = MetricConfig(extra=["tones", "mean_colour"])
    small = small_scorer(naflex_checkpoint, tmp_path, metric=metric)
    rows = small.rows_of(
        [*members(5), *generation("unprepared", 7), *generation("unscored", 8), *members(7)[-6:]]
    )
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["unprepared"]["error"] == "tones: no tones in it"
    assert rows["unscored"]["error"] == "tones: RuntimeError: tones do not add up"
    for key, row in rows.items():
        assert (row["tones"] is None) == key.startswith("un")
        assert (row["error"] is None) == (not key.startswith("un"))
        assert row["mean_colour"] is not None
        assert not math.isnan(row["cp"])


def test_values_that_are_missing_are_counted_for_the_run_to_warn_of(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    metric = MetricConfig(extra=["tones", "mean_colour"])
    small = small_scorer(naflex_checkpoint, tmp_path, metric=metric)
    made = [*members(2), *generation("unprepared", 7), *generation("unscored", 8)]
    [shard] = find_shards([str(write_tar(tmp_path / "g.tar", made))])
    warned = small.scorer.process(shard).warnings["no value"]
    assert warned.n == 2
    assert warned.example == "unprepared: tones: no tones in it"


def test_a_reference_that_it_cannot_use_costs_the_values_that_need_it(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    metric = MetricConfig(extra=["tones"])
    odd = reference("dog/unprepared", 5, concept="dog")
    rows = small_scorer(naflex_checkpoint, tmp_path, odd, metric=metric).rows_of(
        [*generation("a", 1), *generation("b", 2, concept="dog")]
    )
    assert rows["a"]["tones"] is not None
    assert rows["b"]["tones"] is None
    assert rows["b"]["error"] == "tones: reference dog/unprepared: no tones in it"
    assert not math.isnan(rows["b"]["cp"])


def test_a_column_that_comes_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.comparators.mean_colour import MeanColour

    monkeypatch.setattr(MeanColour, "columns", {"cp": "float64"})
    with pytest.raises(CallError, match="mean_colour: the column 'cp' comes twice"):
        metrics_of(DEMO, MetricConfig(extra=["mean_colour"]))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_asks_it_on_every_worker_and_asking_for_less_changes_nothing(
    joined_here: None, naflex_checkpoint: Path, tmp_path: Path, workers: int
) -> None:
    write_tar(tmp_path / "references-0.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    for shard in range(3):
        own = [m for i in range(4) for m in generation(f"{shard}/{i}", 4 * shard + i)]
        write_tar(tmp_path / f"generations-{shard}.tar", own)
    words = [
        *(f"samples={tmp_path}/generations-*.tar", f"references={tmp_path}/references-*.tar"),
        *(f"run={tmp_path}/run", f"encoder.name_or_path={naflex_checkpoint}"),
        "encoder.max_num_patches=36",
        *(f"workers.count={workers}", "workers.cpus=1"),
    ]
    done = evaluate(*words, "metric.extra=[mean_colour,tones]")
    assert done.returncode == 0, done.stderr
    rows = {row["key"]: row for row in rows_of(tmp_path / "run")}
    assert len(rows) == 12
    for number, row in enumerate(rows[key] for key in sorted(rows)):
        own = four_tones(painted((96, 96), number)[0])
        both = [np.minimum(own, four_tones(painted((96, 96), seed)[0])).sum() for seed in (1, 2)]
        assert row["tones"] == pytest.approx(np.mean(both), abs=1e-6)
        assert row["mean_colour"] is not None
    fingerprint = description_of(tmp_path / "run")["fingerprint"]
    assert fingerprint["tones"]["bins"] == {"wide": 8, "tall": 4}
    parts = {path: path.read_bytes() for path in (tmp_path / "run" / "scores").iterdir()}
    less = evaluate(*words, "metric.extra=[mean_colour]")
    assert less.returncode == 0
    assert {path: path.read_bytes() for path in parts} == parts
