"""How a worker's process takes memory, for a process that repeats the same large buffers."""

from __future__ import annotations

ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_ARENA_MAX": "1",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""Environment of a worker, read by glibc and torch when the process starts.

On a CPU every layer of the encoder takes and frees buffers of some 10 MB. By default each is mapped
afresh, and zeroed by the kernel page by page: 5 % of a forward pass. Here freed buffers stay with
the process, in a single arena (others are unmapped when they run empty, and every thread that ends
would leave a few MB in another one), and large tensors begin on a huge page.
"""
