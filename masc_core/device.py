"""What is particular to CUDA, in one place; on a CPU it comes to nothing."""

from __future__ import annotations

from functools import cache

import torch

CPU_BATCH = 1
"""Larger ones are slower on a CPU: the activations of one image fit its caches better."""

MAX_GPU_BATCH = 64
"""64 images of 1024 patches fill any GPU; more only cost memory."""

MEMORY_SHARE = 0.5
"""Of a GPU's free memory that a batch may take; the rest is for what the estimate does not see."""


def upload(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Bring a CPU tensor to the device; meant for a thread beside the one that computes.

    On CUDA it goes through pinned memory on a stream of its own, so that the device computes
    meanwhile. It is there when this returns, and no other stream needs to wait for it.
    """
    if device.type != "cuda":
        return tensor.to(device, dtype)
    copies = _copy_stream(device)
    with torch.cuda.stream(copies):
        moved = tensor.pin_memory().to(device, non_blocking=True).to(dtype)
    copies.synchronize()
    return moved


def default_batch_size(bytes_an_image: int, device: torch.device) -> int:
    """How many images to give to one forward pass, by the device's free memory.

    Args:
        bytes_an_image: activations of one image, at most.
    """
    if device.type != "cuda":
        return CPU_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(MAX_GPU_BATCH, int(free * MEMORY_SHARE / bytes_an_image)))


def release_cached_memory(device: torch.device) -> None:
    """Give back what torch keeps for later, after it ran out of memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
