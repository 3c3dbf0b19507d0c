"""The columns of further masks, sample by sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from jobs.pipeline.scoring.config import MetricConfig
from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import small_scorer
from tests.shards import generation, png


def test_a_mask_that_is_shrunk_to_too_little_has_no_value_and_its_row_stays(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    image, _ = painted((96, 96), 3)
    small = np.zeros((96, 96), np.uint8)
    small[30:60, 30:60] = 255
    disk = np.hypot(*np.mgrid[-12:13, -12:13]) <= 12
    left = ndimage.binary_erosion(small > 0, disk).mean()
    assert 0 < left < 0.01 < (small > 0).mean()
    names = ["given", "erode:12", "dilate:2", "drop:0.99"]
    metric = MetricConfig(masks=names, min_fg_fraction=0.01)
    scorer = small_scorer(naflex_checkpoint, tmp_path, metric=metric)
    document, *_ = generation("a", 3)
    row = scorer.rows_of([document, ("a.mask.png", png(small)), ("a.png", png(image))])["a"]
    assert row["status"] == "ok"
    assert (row["cp@erode:12"], row["pf@erode:12"]) == (pytest.approx(row["cp@erode:12"]), None)
    assert row["pf@drop:0.99"] is None
    assert row["pf@dilate:2"] is not None
    assert row["cp"] is not None
    assert f"mask erode:12: foreground is {left:.4f}, not over 0.01" in row["error"]
    assert "mask drop:0.99: foreground is 0.0000, not over 0.01" in row["error"]
