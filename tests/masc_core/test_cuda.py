"""Behaviour on a real CUDA device: `make gpu-check`, on a machine that has one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.pipeline.run.reports import RowCounts
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.plan import ScoringPlan
from masc_core import Encoder, Generation, MaSC
from masc_core.defaults import Dtype
from masc_core.device import default_batch_size, upload
from tests.commands import command, description_of, rows_of
from tests.pictures import painted
from tests.pipeline.scoring.asking import metrics_of
from tests.pipeline.scoring.small_scorer import ready_scorer
from tests.shards import generation, reference, write_tar

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CUDA = torch.device("cuda")
PROMPT = "a photo of a cat on a beach"


def scores_of(masc: MaSC, n: int = 4) -> np.ndarray:
    """(n, 2) of CP and PF on painted images of two grids."""
    references = masc.encode_references(*zip(painted((300, 200), 1), strict=True))
    sizes = [(320, 320), (400, 250)]
    scores = masc.score_batch(
        [Generation(*painted(sizes[i % 2], 2 + i), PROMPT, references, "cat") for i in range(n)]
    )
    return np.array([(score.cp, score.pf) for score in scores])


@pytest.mark.parametrize("checkpoint", ["naflex", "fixed"])
def test_scores_equal_the_authors_on_the_same_device(
    request: pytest.FixtureRequest, checkpoint: str
) -> None:
    from masc import MaSC as Oracle

    path = str(request.getfixturevalue(f"{checkpoint}_checkpoint"))
    ours, oracle = MaSC.from_pretrained(path, device=CUDA), Oracle(path, device="cuda")
    for size in [(320, 320), (400, 250), (113, 331)]:
        pair = *painted((300, 200), 1), *painted(size, 2), PROMPT, "cat"
        a, b = ours.score(*pair), oracle.score(*pair)
        assert a.cp == pytest.approx(b.cp, abs=1e-5)
        assert a.pf == pytest.approx(b.pf, abs=1e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.01), ("float16", 0.01)]
)
def test_scores_are_those_of_the_cpu(
    naflex_checkpoint: Path, dtype: Dtype, tolerance: float
) -> None:
    on_cpu = scores_of(MaSC.from_pretrained(str(naflex_checkpoint), device="cpu"))
    on_gpu = scores_of(MaSC.from_pretrained(str(naflex_checkpoint), device=CUDA, dtype=dtype))
    np.testing.assert_allclose(on_gpu, on_cpu, atol=tolerance)


def test_a_compiled_encoder_scores_the_same(naflex_checkpoint: Path) -> None:
    plain = scores_of(MaSC.from_pretrained(str(naflex_checkpoint), device=CUDA))
    compiled = scores_of(MaSC.from_pretrained(str(naflex_checkpoint), device=CUDA, compile=True))
    np.testing.assert_allclose(compiled, plain, atol=1e-4)


def test_the_flash_kernel_takes_a_batch(naflex_checkpoint: Path) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    encoder = Encoder.from_pretrained(str(naflex_checkpoint), device=CUDA, dtype="bfloat16")
    pixels, grid = encoder.prepare_image(painted((400, 250), 1)[0])
    # It refuses what comes with a mask.
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert encoder.encode_images(pixels[None].expand(2, -1, -1), grid).isfinite().all()


def test_an_upload_from_another_thread_is_complete() -> None:
    tensors = [torch.full((64, 1024, 768), float(i)) for i in range(4)]
    with ThreadPoolExecutor(1) as pool:
        for i, moved in enumerate(pool.map(lambda t: upload(t, CUDA, torch.bfloat16), tensors)):
            assert moved.device.type == "cuda"
            assert bool((moved == i).all())


def test_a_batch_of_the_default_size_fits(naflex_checkpoint: Path) -> None:
    encoder = Encoder.from_pretrained(str(naflex_checkpoint), device=CUDA)
    pixels, grid = encoder.prepare_image(painted((512, 512), 1)[0])
    n = default_batch_size(encoder.bytes_an_image, CUDA)
    assert len(encoder.encode_images(pixels[None].expand(n, -1, -1), grid)) == n


def test_running_out_of_memory_halves_the_batch(naflex_checkpoint: Path, tmp_path: Path) -> None:
    settings = EncoderConfig(name_or_path=str(naflex_checkpoint))
    metrics = metrics_of(settings, MetricConfig())
    plan = ScoringPlan(str(tmp_path / "run"), metrics, {}, 0.0, 64_000_000)
    references = write_tar(tmp_path / "r.tar", reference("cat/0", 1))
    scorer = ready_scorer(plan, [references], batch_size=64)
    members = [m for i in range(64) for m in generation(f"{i:02d}", i, (256, 256))]
    first, second = find_shards(
        [str(write_tar(tmp_path / f"g{number}.tar", members)) for number in range(2)]
    )
    torch.cuda.reset_peak_memory_stats()
    standing = torch.cuda.memory_allocated()
    assert scorer.process(first).counts == RowCounts(ok=64)
    assert scorer.batch_sizes["masc"] == 64
    # Room for a quarter of what that took.
    room = standing + (torch.cuda.max_memory_allocated() - standing) // 4
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        assert scorer.process(second).counts == RowCounts(ok=64)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert scorer.batch_sizes["masc"] < 64


@pytest.mark.services
def test_the_job_runs_on_the_gpu(naflex_checkpoint: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "references-0.tar", reference("cat/0", 1))
    members = [m for i in range(9) for m in generation(f"{i}", i)]
    write_tar(tmp_path / "generations-0.tar", members)
    done = command(
        "evaluate",
        *(f"samples={tmp_path}/generations-0.tar", f"references={tmp_path}/references-0.tar"),
        *(f"run={tmp_path}/run", f"encoder.name_or_path={naflex_checkpoint}"),
    )
    assert done.returncode == 0, done.stderr
    assert len(rows_of(tmp_path / "run")) == 9
    [worker] = description_of(tmp_path / "run")["workers"]
    assert worker["device"].startswith("cuda")
    assert len(worker["gpus"]) == 1
