"""MaSC as a metric among others."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from masc_core import Generation
from masc_core.masc_scores import COLUMNS, MascScores, MascSettings
from masc_core.protocol import NOTES, Batch, EncodedReference
from tests.pictures import painted

SETTINGS = MascSettings(
    name_or_path="/a/checkpoint",
    revision=None,
    weights="sha256:1",
    dtype="float32",
    max_num_patches=64,
    is_naflex=True,
    compile=False,
    trust_remote_code=False,
    fg_threshold=0.5,
    stripper="regex",
    reference_reduction="mean",
)
EMPTY = np.zeros((160, 160), np.uint8)


@pytest.fixture(scope="module")
def metric(naflex_checkpoint: Path) -> MascScores:
    loaded = MascScores(replace(SETTINGS, name_or_path=str(naflex_checkpoint)))
    loaded.load()
    return loaded


def batch_of(metric: MascScores, *samples: Any) -> Batch:
    return Batch(samples, torch.stack([each.pixels for each in samples]))


def score(
    metric: MascScores, mask: np.ndarray, prompt: str, references: list[tuple[str, np.ndarray]]
) -> dict[str, Any]:
    """The columns of one generation, as a worker asks for them; references by key and mask."""
    photo, image = painted((160, 160), 1)[0], painted((160, 160), 2)[0]
    prepared = [metric.prepare(key, photo, {"given": m}, None, None) for key, m in references]
    features = metric.encode_references(batch_of(metric, *prepared))
    own = [EncodedReference(key, f) for (key, _), f in zip(references, features, strict=True)]
    sample = metric.prepare("g", image, {"given": mask}, prompt, "cat")
    values = metric.score(batch_of(metric, sample), [own])
    return {name: value for name, [value] in values.items()}


def test_it_gives_what_masc_itself_does(metric: MascScores) -> None:
    (photo, own), (image, mask) = painted((160, 160), 1), painted((160, 160), 2)
    row = score(metric, mask, "a cat on a mat", [("cat/0", own)])
    [reference] = metric.masc.encode_references([photo], [own])
    [expected] = metric.masc.score_batch(
        [Generation(image, mask, "a cat on a mat", [reference], "cat")]
    )
    assert row.keys() == {*COLUMNS, NOTES}
    assert (row["cp"], row["pf"], row["text"]) == (expected.cp, expected.pf, "on a mat")
    assert row["cp_per_reference"] == [row["cp"]]
    assert row["n_fg_patches"] + row["n_bg_patches"] == row["n_patches"] == 64
    assert (row["grid_h"], row["grid_w"]) == (8, 8)
    assert row[NOTES] is None


def test_a_nan_says_why(metric: MascScores) -> None:
    own = painted((160, 160), 1)[1]
    row = score(metric, EMPTY + 255, "a cat on a beach", [("cat/0", own), ("cat/1", EMPTY)])
    assert math.isnan(row["pf"])
    assert math.isnan(row["cp_per_reference"][1])
    assert row["cp"] == row["cp_per_reference"][0]
    assert row[NOTES] == "reference cat/1 has no foreground patch; pf: no background patch"


def test_a_nan_of_a_further_column_says_why(naflex_checkpoint: Path) -> None:
    further = MascScores(
        replace(
            SETTINGS,
            name_or_path=str(naflex_checkpoint),
            masks=("given", "erode:80"),
            extra=("cp.leak", "cp.weighted_maxcos", "pf.fg.full"),
        )
    )
    further.load()
    own = painted((160, 160), 1)[1]
    eroded = score(further, own, "a cat on a mat", [("cat/0", own)])
    assert math.isnan(eroded["cp@erode:80"])
    assert eroded[NOTES] == "cp@erode:80: no reference has a foreground patch"
    bare = score(further, EMPTY, "a cat on a mat", [("cat/0", EMPTY + 255)])
    assert math.isnan(bare["cp.leak"])
    assert math.isnan(bare["pf.fg.full"])
    said = str(bare[NOTES]).split("; ")
    assert "cp.leak: no background patch in the image or in any reference" in said
    assert "pf.fg.full: no foreground patch" in said
    whole = score(further, EMPTY + 255, "a cat on a mat", [("cat/0", EMPTY)])
    assert "cp.weighted_maxcos: no reference has a foreground patch" in whole[NOTES]
    scores = {name: value for name, value in whole.items() if isinstance(value, float)}
    undefined = {name for name, value in scores.items() if math.isnan(value)}
    assert undefined == {"cp", "pf", "cp@erode:80", "cp.leak", "cp.weighted_maxcos"}
    said = {each.partition(": ")[0] for each in whole[NOTES].split("; ")}
    assert undefined - {"cp"} <= said


def test_a_text_that_is_cut_says_how_long_it_was(metric: MascScores) -> None:
    length = metric.masc.encoder.text_length
    row = score(metric, EMPTY, "word " * length, [("cat/0", EMPTY + 255)])
    n_tokens = metric.masc.encoder.count_tokens([row["text"]])[0]
    assert n_tokens > length
    assert row[NOTES] == f"text: {n_tokens} tokens, cut to {length}"


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"name_or_path": "/elsewhere", "revision": "main"}, False),
        ({"compile": True}, False),
        ({"weights": "sha256:2"}, True),
        ({"dtype": "bfloat16"}, True),
        ({"max_num_patches": 32}, True),
        ({"fg_threshold": 0.4}, True),
        ({"stripper": "none"}, True),
        ({"reference_reduction": "max"}, True),
    ],
)
def test_the_fingerprint_tells_what_changes_scores_and_nothing_else(
    change: dict[str, Any], differs: bool
) -> None:
    changed = MascScores(replace(SETTINGS, **change))
    assert (changed.fingerprint() != MascScores(SETTINGS).fingerprint()) is differs


def test_a_fixed_size_encoder_has_no_patch_budget_to_differ_in() -> None:
    one, two = (MascScores(replace(SETTINGS, is_naflex=False, max_num_patches=n)) for n in (32, 64))
    assert one.fingerprint() == two.fingerprint()


def test_before_it_is_loaded_it_is_pickled_and_costs_no_torch() -> None:
    copy = pickle.loads(pickle.dumps(MascScores(SETTINGS)))
    assert copy.fingerprint() == MascScores(SETTINGS).fingerprint()
    code = "import sys, masc_core.masc_scores; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
