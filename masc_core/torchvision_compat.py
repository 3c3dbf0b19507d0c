"""Makes torchvision importable beside a CPU build of torch.

The torchvision wheel on PyPI for Linux is linked against CUDA. Beside a CPU-only torch its compiled
operators do not load, and `import torchvision` then stops at the first operator that it describes
(pytorch/vision issue 9085), although the image processors need none of them: they resize with
torch's own kernels. Declaring the operators without an implementation lets the rest import.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import torch

# What torchvision/_meta_registrations.py describes whether or not it loaded.
_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# torch drops an operator when the library object that declared it is collected.
_declared: list[torch.library.Library] = []


@cache
def make_torchvision_importable() -> None:
    """Call this before importing anything of transformers that may import torchvision.

    Does nothing where torchvision's operators load, or where it is not installed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    for compiled in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(compiled)
        except OSError:
            library = torch.library.Library("torchvision", "FRAGMENT")
            for name in _OPERATORS:
                if not hasattr(torch.ops.torchvision, name):
                    library.define(f"{name}{_SIGNATURE}")
            _declared.append(library)
