"""A small slice of each benchmark, so that `make bench` is never broken unseen."""

from __future__ import annotations

import json
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pytest
import torch
from PIL import Image

from tests import photos
from tests.benchmarks import (
    analysis_coverage,
    arithmetic,
    comparator_costs,
    coverage,
    early,
    efficiency,
    input_side,
    many_answers,
    memory,
    on_gpu,
    packing,
    precision,
    reducing,
    report_page,
    rewarding,
    scoring,
    segmenter_costs,
    segmenter_iou,
    year,
)
from tests.benchmarks.comparator_systems import CLIP_POOLS, SYSTEMS, Tower
from tests.benchmarks.figures import at_least, at_most, median_ratio, show
from tests.benchmarks.workload import small_checkpoint
from tests.commands import here
from tests.joining import joining
from tests.masc_core.segmenters import checkpoints
from tests.photos import WHY_NOT, are_there

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def jobs_here(joined_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are called in this process, and one worker does them all: `make bench` times commands,
    a slice need not wait for a process and a worker each time."""
    monkeypatch.setattr("tests.benchmarks.job.command", here)


@pytest.fixture
def cluster_with_room(
    joined_here: None, cluster_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other processes join the tests' cluster, on which no worker of a job before waits."""
    joining.make_room()
    monkeypatch.setenv("RAY_ADDRESS", cluster_address)


@pytest.mark.services
def test_the_reducers_slice_reads_every_row(tmp_path: Path) -> None:
    figures = reducing.against_the_bare_queries(tmp_path, 1, 10_000, 4)
    assert figures[0].value > 0
    summary = json.loads((tmp_path / "reduce-10000" / "summary" / "summary.json").read_text())
    assert summary["counts"]["n"] == 10_000


def test_the_early_slice_has_a_line_for_each_effect_and_each_promise() -> None:
    figures = list(early.of_nights(2))
    assert len([each for each in figures if each.name.startswith("as the whole night")]) == 78
    assert len([each for each in figures if each.target == "<= 6"]) == 4


def test_the_memory_of_the_reducer_is_measured(tmp_path: Path) -> None:
    seconds, peak = reducing.in_little_memory(tmp_path, 1_000, 2)
    assert seconds.value > 0
    assert 0.05 < peak.value < 1


@pytest.mark.services
def test_the_reports_slice_is_a_page_that_a_browser_opens(tmp_path: Path) -> None:
    seconds, peak, size, opened = report_page.of_many_rows(tmp_path, 2_000, 2, 60)
    assert 0 < opened.value < seconds.value
    assert 0.05 < peak.value < 2
    page = (tmp_path / "report-2000" / "report" / "index.html").stat()
    assert size.value == pytest.approx(page.st_size / 1e6)


def test_the_intervals_slice_has_a_line_for_each_number_of_concepts() -> None:
    shares = list(coverage.of_intervals(draws=3))
    assert len(shares) == 14
    assert all(0 <= figure.value <= 100 for figure in shares)
    assert [figure.value > 0 for figure in coverage.cost(models=2, columns=2)] == [True] * 3


def test_the_analyses_slice_has_a_line_for_each_design() -> None:
    shares = list(analysis_coverage.of_analyses(draws=2))
    assert len(shares) == 21
    assert all(0 <= figure.value <= 100 for figure in shares if figure.unit == "%")
    [cost] = analysis_coverage.cost(keys=420, concepts=5, metrics=2)
    assert cost.is_met


def test_the_years_slice_has_a_drift_that_the_pin_catches() -> None:
    found = {figure.name: figure for figure in year.of_a_year(years=2, nights=60)}
    drift = "drift of a tenth of a margin of 0.01 a night"
    assert found[f"{drift}: years in which the pin alarms"].value == 100
    assert 10 < found[f"{drift}: the pin's first alarm, median"].value < 40
    assert found["one checkpoint 3 margins worse, pin: caught at once"].value == 100


def test_the_input_sides_slice_measures_every_format(tmp_path: Path) -> None:
    figures = input_side.in_a_worker(tmp_path, 4, seconds=0.1)
    assert len(figures) == 4
    assert all(figure.value > 0 for figure in figures)


def test_packing_is_timed_beside_a_plain_copy_of_as_many_images(tmp_path: Path) -> None:
    ratio, rate, memory_ = packing.against_plain_reading(tmp_path, 1, 2, ["emu2"])
    # Two concepts: two references, and nine prompts each of one method.
    assert "20 pairs of 512 px" in ratio.name
    assert [figure.value > 0 for figure in (ratio, rate, memory_)] == [True] * 3
    # The plain side writes an image and a mask of each; the job JSON too.
    assert members_in(tmp_path / "packing" / "plain") == 2 * 20
    assert members_in(tmp_path / "packing" / "job") == 3 * 20


def members_in(folder: Path) -> int:
    n = 0
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            n += len(tar.getnames())
    return n


@pytest.mark.services
def test_the_quick_script_scores_what_the_job_scores(
    tmp_path: Path, checkpoint: Path, jobs_here: None, cluster_with_room: None
) -> None:
    figures = scoring.against_a_quick_script(tmp_path, checkpoint, 1, 3)
    assert figures[0].value > 0
    [out] = (tmp_path / "quick").glob("out-*")
    scripts = {row["key"]: row for row in pads.dataset(out).to_table().to_pylist()}
    for row in pads.dataset(tmp_path / "quick" / "run" / "scores").to_table().to_pylist():
        assert row["cp"] == pytest.approx(scripts[row["key"]]["cp"], abs=1e-5)
        assert row["pf"] == pytest.approx(scripts[row["key"]]["pf"], abs=1e-5)


@pytest.mark.services
def test_the_jobs_slice_agrees_with_the_authors(
    tmp_path: Path, checkpoint: Path, jobs_here: None
) -> None:
    ratio, difference, start = scoring.against_the_authors(
        tmp_path, checkpoint, rounds=1, n=3, n_references=1, least=0
    )
    assert ratio.value > 0
    assert difference.value < 1e-5
    assert start.value > 0


@pytest.mark.services
def test_the_bare_encoder_is_timed_beside_the_job(
    tmp_path: Path, checkpoint: Path, jobs_here: None
) -> None:
    ratio, waiting = scoring.against_the_bare_encoder(tmp_path, checkpoint, 1, 3)
    assert ratio.value > 0
    assert 0 <= waiting.value <= 1


@pytest.mark.skipif(not are_there(), reason=WHY_NOT)
def test_precision_is_measured_on_every_photo(checkpoint: Path) -> None:
    figures = precision.on_photos(checkpoint, {"bfloat16": 3, "float16": 2})
    assert [figure.target for figure in figures] == ["<= 0.01", ">= 0.999"] * 4
    assert "15 samples" in figures[0].detail
    assert "10 samples" in figures[4].detail


def test_the_encoders_rate_is_held_against_a_matrix_product(checkpoint: Path) -> None:
    # In float32 the bare encoder is timed above.
    [figure] = efficiency.of_the_encoder(checkpoint, 1, side=256, dtypes=["bfloat16"])
    assert figure.value > 0


def test_further_masks_and_columns_are_timed_beside_cp_and_pf_alone(checkpoint: Path) -> None:
    figures = many_answers.of_one_forward(checkpoint, rounds=1, n=1)
    assert [figure.value > 0 for figure in figures] == [True, True]


def test_the_gradient_is_timed_beside_the_reward_alone(checkpoint: Path) -> None:
    figures = rewarding.of_the_reward(checkpoint, 1, 1, ("float32",))
    assert [figure.value > 0 for figure in figures] == [True, True]
    assert figures[0].target == "<= 3.2"


def test_comparators_are_measured_one_by_one_and_together(tmp_path: Path) -> None:
    systems = [
        replace(each, tower=Tower(48, 2, 3, 96, each.tower.patch_size))
        for each in (*SYSTEMS, CLIP_POOLS)
        if each.names[0] in ("clip_i", "dinov3", "am_radio", *CLIP_POOLS.names)
    ]
    figures = comparator_costs.of_each(tmp_path, 1, systems)
    counted = [figure for figure in figures if "counted" in figure.name]
    assert [figure.is_met for figure in counted] == [True] * len(systems)
    assert all(figure.value > 0 for figure in figures if figure not in counted)
    for together in comparator_costs.of_all_together(tmp_path, 1, 1, systems):
        assert together.value > 0


@pytest.mark.services
def test_the_gpu_benchmark_as_far_as_a_cpu_goes(
    tmp_path: Path, checkpoint: Path, jobs_here: None
) -> None:
    figures = on_gpu.on_gpu(tmp_path, checkpoint, 1, torch.device("cpu"), ["float32"], 12, 0.2)
    *rates, difference = figures
    assert [figure.value > 0 for figure in rates] == [True] * 5
    assert difference.is_met


@pytest.mark.skipif(not are_there(), reason=WHY_NOT)
def test_masks_that_are_right_are_seen_to_be_right_and_random_ones_to_be_chance() -> None:
    own = [photo for each in photos.by_subject().values() for photo in each[:2]][:16]
    right = {photo.image.convert("RGB").tobytes(): photo.mask > 0 for photo in own}
    random = np.random.default_rng(0)

    def perfect(image: Image.Image, text: str) -> np.ndarray:
        return right[image.tobytes()]

    def blind(image: Image.Image, text: str) -> np.ndarray:
        return random.random((image.height, image.width)) < 0.5

    [fits, others] = segmenter_iou.of_masks("perfect", perfect, own)
    assert fits.value == 1
    assert others.value < 0.6
    assert "finds its subjects" in fits.detail
    [fits, _] = segmenter_iou.of_masks("blind", blind, own)
    assert "no better than chance" in fits.detail


def test_a_segmenters_cost_is_counted(tmp_path: Path) -> None:
    def small(folder: Path, name: str) -> Path:
        return checkpoints.WRITERS[name](folder / name)

    figures = segmenter_costs.of_each(tmp_path, torch.device("cpu"), ["owlv2_sam2"], small)
    assert [figure.value > 0 for figure in figures] == [True, True]


def test_the_arithmetic_of_an_encoder() -> None:
    # By hand: 1 layer, width 2, MLP 3, 5 patches: 5 * (2 * (16 + 12) + 4 * 5 * 2).
    assert arithmetic.flops_an_image(width=2, layers=1, mlp=3, patches=5) == 480
    assert pytest.approx(0.97e12, rel=0.01) == arithmetic.SO400M


def test_the_memory_of_a_command_is_its_peak(tmp_path: Path) -> None:
    code = "import time; block = bytearray(300 << 20); time.sleep(1); del block; time.sleep(1)"
    driver, worker = memory.peaks_of([sys.executable, "-c", code])
    assert 300 < driver < 400
    assert worker == 0
    with pytest.raises(RuntimeError, match="wrong"):
        memory.peaks_of([sys.executable, "-c", "raise ValueError('wrong')"])


def test_the_table_says_what_is_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert median_ratio([(2, 1), (9, 3), (4, 1)])[0] == 3
    figures = [at_least("speed", 1.9, "x", 2), at_most("memory", 1.0, "GB", 2)]
    show(figures, tmp_path / "bench.json")
    printed = capsys.readouterr().out
    assert "NO" in printed
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [figure["is_met"] for figure in written["figures"]] == [False, True]
    assert written["machine"]["cores"] >= 1
