"""MaSC as a torchmetrics.Metric: the means of the scores, over batches and over ranks."""

from __future__ import annotations

import importlib
import math
import socket
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
import torch.distributed as dist

from masc_core import Generation, MaSC, MaSCMetric, Reference
from tests.pictures import painted

SHARES = ([[0], [1, 2]], [[3]])
"""Batches of each rank, of unequal numbers: a mean of the ranks' means would be another."""

OTHER_RANK = """
import sys
from tests.masc_core.test_torchmetrics import computed_by
computed_by(1, *sys.argv[1:])
"""


@pytest.fixture(scope="module")
def masc(naflex_checkpoint: Path) -> MaSC:
    return MaSC.from_pretrained(str(naflex_checkpoint), device="cpu", max_num_patches=64)


def reference_of(masc: MaSC) -> list[Reference]:
    photo, mask = painted((128, 128), 1)
    return masc.encode_references([photo], [mask])


def generations(references: list[Reference], seeds: list[int]) -> list[Generation]:
    """Pictures by their seeds; number 2 is covered by its mask, and so has no PF."""
    found = []
    for seed in seeds:
        image, mask = painted((128, 128), 10 + seed)
        if seed == 2:
            mask = np.full_like(mask, 255)
        found.append(Generation(image, mask, f"a cat in scene {seed}", references, "cat"))
    return found


def expected(masc: MaSC) -> dict[str, float]:
    """By the scores of all four, summed up here."""
    scores = masc.score_batch(generations(reference_of(masc), [0, 1, 2, 3]))
    cp, pf = (fmean(v for s in scores if not math.isnan(v := getattr(s, n))) for n in ("cp", "pf"))
    return {"cp": cp, "pf": pf, "cp_x_pf": cp * pf, "n": 4, "n_cp_nan": 0, "n_pf_nan": 1}


def as_floats(found: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


def test_batches_add_up_and_a_reset_forgets_them(masc: MaSC) -> None:
    metric = MaSCMetric(masc)
    for own in ([0, 1, 2], [3]):
        metric.update(generations(reference_of(masc), own))
    assert as_floats(metric.compute()) == pytest.approx(expected(masc), abs=1e-6)
    metric.reset()
    metric.update(generations(reference_of(masc), [2]))
    found = as_floats(metric.compute())
    assert (found["n"], found["n_pf_nan"]) == (1, 1)
    assert math.isnan(found["pf"])
    assert math.isnan(found["cp_x_pf"])


def test_states_of_two_metrics_merge(masc: MaSC) -> None:
    first, second = MaSCMetric(masc), MaSCMetric(masc)
    first.update(generations(reference_of(masc), [0, 1]))
    second.update(generations(reference_of(masc), [2, 3]))
    first.merge_state(second)
    assert as_floats(first.compute()) == pytest.approx(expected(masc), abs=1e-6)


def test_a_call_gives_the_batchs_own_means_and_keeps_count(masc: MaSC) -> None:
    metric = MaSCMetric(masc)
    metric(generations(reference_of(masc), [0, 1, 2]))
    alone = as_floats(metric(generations(reference_of(masc), [3])))
    [score] = masc.score_batch(generations(reference_of(masc), [3]))
    assert (alone["cp"], alone["pf"], alone["n"]) == pytest.approx(
        (score.cp, score.pf, 1), abs=1e-6
    )
    assert as_floats(metric.compute()) == pytest.approx(expected(masc), abs=1e-6)


def computed_by(rank: int, checkpoint: str, port: str) -> dict[str, float]:
    """What one of two ranks computes, having seen its share."""
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", address, rank=rank, world_size=2)
    try:
        masc = MaSC.from_pretrained(checkpoint, device="cpu", max_num_patches=64)
        metric = MaSCMetric(masc)
        for own in SHARES[rank]:
            metric.update(generations(reference_of(masc), own))
        found = as_floats(metric.compute())
        dist.barrier()
        return found
    finally:
        dist.destroy_process_group()


@pytest.mark.services
def test_two_ranks_compute_what_one_does_alone(masc: MaSC, naflex_checkpoint: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    root = Path(__file__).parents[2]
    words = [sys.executable, "-c", OTHER_RANK, str(naflex_checkpoint), port]
    with subprocess.Popen(words, cwd=root) as other:
        found = computed_by(0, str(naflex_checkpoint), port)
    assert other.returncode == 0
    assert found == pytest.approx(expected(masc), abs=1e-6)


def test_without_torchmetrics_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "masc_core.torchmetrics")
    with pytest.raises(ImportError, match=r"pip install 'masc-eval\[torchmetrics\]'"):
        importlib.import_module("masc_core.torchmetrics")
