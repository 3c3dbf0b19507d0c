"""What is particular to CUDA, as far as a CPU shows it."""

from __future__ import annotations

import pytest
import torch

from masc_core.device import CPU_BATCH, MAX_GPU_BATCH, default_batch_size, upload


@pytest.mark.parametrize(
    ("free", "expected"),
    [(10 * 2**30, 5), (2**40, MAX_GPU_BATCH), (2**20, 1)],
)
def test_a_gpus_batch_takes_half_of_its_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, expected: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**41))
    assert default_batch_size(2**30, torch.device("cuda")) == expected


def test_on_a_cpu_there_is_nothing_to_fill() -> None:
    assert default_batch_size(2**40, torch.device("cpu")) == CPU_BATCH
    tensor = torch.ones(2, 3)
    assert upload(tensor, torch.device("cpu"), torch.float32) is tensor
    assert upload(tensor, torch.device("cpu"), torch.bfloat16).dtype == torch.bfloat16
