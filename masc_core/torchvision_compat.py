"""Makes torchvision importable beside a CPU build of torch.

The torchvision wheel on PyPI for Linux is linked against CUDA. Beside a CPU-only torch its compiled
operators do not load, and `import torchvision` then stops at the first operator that it describes
(pytorch/vision issue 9085), although the image processors need none of them: they resize with
torch's own kernels. Declaring the operators without an implementation lets the rest import.
"""

from __future__ import annotations

import importlib
import sys

import torch

# What torchvision/_meta_registrations.py describes unconditionally.
_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# torch drops an operator when the library object that declared it is collected.
_declared: list[torch.library.Library] = []


def import_torchvision() -> None:
    """Import torchvision; call this before anything of transformers that may import it.

    Raises:
        RuntimeError: torchvision's own error, when it is not the one that this mends.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in _OPERATORS:
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"{name}{_SIGNATURE}")
        _declared.append(library)
        # What the failed import left half-made would be taken for finished.
        for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        importlib.import_module("torchvision")
