"""`docs/metrics.md`: what it lists is there, and its metric of one's own runs."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked, metrics_for
from jobs.pipeline.scoring.plan import ScoringPlan
from masc_core.columns import POOLS, TEXTS
from masc_core.comparators import COMPARATORS, PUBLISHED, load_comparator, make_comparators
from masc_core.comparators.matching import FORMS
from masc_core.comparators.settings import settings_key
from tests.masc_core.comparators.checkpoints import TOWER, differing
from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import MAX_IMAGE_PIXELS, ready_scorer
from tests.shards import generation, reference, write_tar

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
IN_A_NOTEBOOK, A_METRIC, A_NAME = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

AGGREGATORS = ("masked_maxcos", "global_maxcos", "weighted_maxcos", "recall_fg")


def rows_of_the_table() -> list[list[str]]:
    systems = PAGE.partition("## The systems")[2].partition("\n\n- ")[0]
    lines = [line for line in systems.splitlines() if line.startswith("| `")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def named(pattern: str) -> list[str]:
    """The names that a pattern of the table stands for."""
    if "AGGREGATOR" in pattern:
        return [pattern.replace("AGGREGATOR", each) for each in AGGREGATORS]
    if "POOL" in pattern:
        return [
            pattern.replace("POOL", pool).replace("TEXT", text)
            for pool, text in product(POOLS, TEXTS)
        ]
    if "FORM" in pattern:
        return [pattern.replace("FORM", each) for each in FORMS]
    return [pattern]


def test_the_table_has_every_comparator_with_its_checkpoint_and_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: True)
    monkeypatch.setattr("masc_core.comparators.mast3r.CODE", ())
    rows = rows_of_the_table()
    assert {name for row in rows for name in named(row[0])} == {*COMPARATORS}
    for pattern, _, checkpoint, settings, _ in rows:
        [name, *_] = named(pattern)
        assert settings == f"comparators.{settings_key(name)}"
        if name != "dreamsim":
            own = replace(PUBLISHED, source=str(tmp_path)) if "mast3r" in name else PUBLISHED
            source = make_comparators([name], own).source
            assert source == f"{settings}.name_or_path={checkpoint}"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    path = tmp_path_factory.mktemp("dinov2")
    tower = {name: TOWER[name] for name in TOWER if name != "intermediate_size"}
    config = Dinov2Config(**tower, mlp_ratio=2, image_size=224, patch_size=32)
    differing(lambda: Dinov2Model(config)).save_pretrained(path)
    return path


@pytest.fixture
def dinov2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's file and name, as a reader adds them."""
    (tmp_path / "dinov2_of_the_page.py").write_text(A_METRIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    name, where = re.findall(r'"([^"]+)"', A_NAME)
    attribute = where.partition(":")[2]
    monkeypatch.setitem(COMPARATORS, name, f"dinov2_of_the_page:{attribute}")
    return name


def plainly(checkpoint: Path, seeds: tuple[int, ...]) -> torch.Tensor:
    """CLS tokens of painted images, as the library's documentation has it."""
    from torchvision import transforms
    from transformers import Dinov2Model

    model = Dinov2Model.from_pretrained(checkpoint)
    prepare = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    pixels = torch.stack([prepare(painted((96, 96), seed)[0]) for seed in seeds])
    with torch.inference_mode():
        return model(pixels).last_hidden_state[:, 0]


def expected(checkpoint: Path, generations: tuple[int, ...]) -> list[list[float]]:
    made, photos = plainly(checkpoint, generations), plainly(checkpoint, (1, 2))
    cosine = torch.nn.functional.cosine_similarity(made[:, None], photos[None], dim=-1)
    return cosine.tolist()


def test_the_metric_is_under_40_lines_and_runs_in_a_notebook(checkpoint: Path, dinov2: str) -> None:
    assert len(A_METRIC.splitlines()) < 40
    comparator = load_comparator(dinov2, name_or_path=str(checkpoint))
    photos = [painted((96, 96), seed)[0] for seed in (1, 2)]
    value = comparator(painted((96, 96), 7)[0], photos)
    [values] = expected(checkpoint, (7,))
    assert value == pytest.approx(sum(values) / 2, abs=1e-5)
    assert abs(values[0] - values[1]) > 0.01


def test_the_metric_runs_in_the_job(checkpoint: Path, dinov2: str, tmp_path: Path) -> None:
    asked = metrics_asked(
        EncoderConfig("demo", max_num_patches=36),
        MetricConfig(extra=[dinov2]),
        {dinov2: ComparatorConfig(str(checkpoint))},
        MAX_IMAGE_PIXELS,
    )
    metrics = metrics_for(asked, {column for each in asked for column in each.columns})
    plan = ScoringPlan(str(tmp_path / "run"), metrics, groups_asked(asked), 0, MAX_IMAGE_PIXELS)
    photos = write_tar(tmp_path / "r.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    samples = [m for seed in (5, 6, 7) for m in generation(f"{seed}", seed)]
    [shard] = find_shards([str(write_tar(tmp_path / "g.tar", samples))])
    ready_scorer(plan, [photos], batch_size=2).process(shard)
    rows: list[dict[str, Any]] = pq.read_table(
        tmp_path / "run" / "scores" / f"{shard.id}.parquet"
    ).to_pylist()
    for row, values in zip(rows, expected(checkpoint, (5, 6, 7)), strict=True):
        assert row["dinov2_per_reference"] == pytest.approx(values, abs=1e-5)
        assert row["dinov2"] == pytest.approx(sum(values) / 2, abs=1e-5)
        assert row["cp"] is not None


def test_the_line_for_a_notebook_runs(
    checkpoint: Path, dinov2: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the page's own metric for CLIP, of which no weights are here."""
    from importlib import import_module

    network = import_module("dinov2_of_the_page").Dinov2Network
    monkeypatch.setattr(network, "published", str(checkpoint))
    photos = {name: painted((96, 96), i)[0] for i, name in enumerate(("photo", "another_photo"), 1)}
    given: dict[str, Any] = {"generation": painted((96, 96), 7)[0], **photos}
    exec(IN_A_NOTEBOOK.replace("clip_i", dinov2), given)
    [values] = expected(checkpoint, (7,))
    assert given["value"] == pytest.approx(sum(values) / 2, abs=1e-5)
