"""Real comparators side by side in one pass, on small checkpoints of the real architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring import reference_encoder, scorer
from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked, metrics_for
from jobs.pipeline.scoring.plan import ScoringPlan
from masc_core.comparators.settings import settings_key
from tests.masc_core.comparators import checkpoints
from tests.pipeline.scoring.small_scorer import MAX_IMAGE_PIXELS, ready_scorer
from tests.shards import generation, reference, write_tar

pytestmark = pytest.mark.slow

WRITTEN: dict[str, Callable[[Path], None]] = {
    "clip_i": checkpoints.write_clip,
    "dino_i": checkpoints.write_dino,
    "dinov3": checkpoints.write_dinov3,
    "am_radio": checkpoints.write_radio,
    "cp.masked_maxcos@siglip2_b": checkpoints.write_siglip,
}
"""Five networks; CLIP's prompts and SigLIP2's other aggregators come with them."""

FREE = ["clip_t", "cp.recall_fg@siglip2_b"]
"""Columns that need no forward of their own."""


def test_five_comparators_decode_an_image_once_and_encode_a_reference_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[str] = Counter()
    decode = scorer.decode_image

    def counted(raw: Any, most: int) -> Image.Image:
        decoded[raw.key] += 1
        return decode(raw, most)

    monkeypatch.setattr(scorer, "decode_image", counted)
    monkeypatch.setattr(reference_encoder, "decode_image", counted)
    comparators = {}
    for name, write in WRITTEN.items():
        write(tmp_path / settings_key(name))
        comparators[settings_key(name)] = ComparatorConfig(str(tmp_path / settings_key(name)))
    comparators["clip_t"] = comparators["clip_i"]
    asked = metrics_asked(
        EncoderConfig("demo", max_num_patches=36),
        MetricConfig(extra=[*WRITTEN, *FREE]),
        comparators,
        MAX_IMAGE_PIXELS,
    )
    columns = {column for each in asked for column in each.columns}
    metrics = metrics_for(asked, columns)
    assert [metric.name for metric in metrics] == ["masc", *WRITTEN]
    plan = ScoringPlan(str(tmp_path / "run"), metrics, groups_asked(asked), 0, MAX_IMAGE_PIXELS)
    references = write_tar(tmp_path / "r.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    forwards: Counter[str] = Counter()
    for metric in metrics[1:]:
        monkeypatch.setattr(metric, "load", counting(metric, forwards))
    shard_scorer = ready_scorer(plan, [references], batch_size=2)
    shards = [
        write_tar(
            tmp_path / f"g{number}.tar",
            [m for i in range(3) for m in generation(f"{number}/{i}", 3 * number + i)],
        )
        for number in range(2)
    ]
    rows = []
    for shard in find_shards([str(each) for each in shards]):
        assert shard_scorer.process(shard).counts.ok == 3
        part = tmp_path / "run" / "scores" / f"{shard.id}.parquet"
        rows += pq.read_table(part).to_pylist()
    assert len(rows) == 6
    assert {(row["status"], row["error"]) for row in rows} == {("ok", None)}
    assert all(row[name] is not None for row in rows for name in columns)
    assert len(decoded) == 8
    assert set(decoded.values()) == {1}
    # Two references once, whichever shard asks, and six generations.
    assert forwards == dict.fromkeys(WRITTEN, 2 + 6)


def counting(metric: Any, forwards: Counter[str]) -> Callable[[], None]:
    """The metric's `load`, with its network's images counted from then on."""
    load = metric.load

    def counted() -> None:
        load()
        model = getattr(metric.network, "_vision", None) or metric.network._model

        def count(module: Any, args: Any) -> None:
            forwards[metric.name] += len(args[0])

        model.register_forward_pre_hook(count)

    return counted
