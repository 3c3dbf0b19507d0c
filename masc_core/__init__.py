"""MaSC, a masked similarity metric for concept-driven generation (arXiv 2605.22469).

Tensors in, scores out: this package knows nothing of Ray, tar files or storage.

>>> from masc_core import MaSC
>>> masc = MaSC.from_pretrained("demo")  # or "google/siglip2-so400m-patch16-naflex"
>>> score = masc.score(photo, photo_mask, image, mask, "a cat on a beach", "cat")
>>> score.text
'on a beach'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masc_core.encoder import Encoder
    from masc_core.explaining import Explanation, ReferenceMatch, explain
    from masc_core.metric import MaSC
    from masc_core.records import Generation, Prepared, Reference, Score
    from masc_core.subject import strip_subject
    from masc_core.torchmetrics import MaSCMetric

__version__ = "0.1.0"

__all__ = [
    "Encoder",
    "Explanation",
    "Generation",
    "MaSC",
    "MaSCMetric",
    "Prepared",
    "Reference",
    "ReferenceMatch",
    "Score",
    "explain",
    "strip_subject",
]

_MODULE_OF = {
    "Encoder": "masc_core.encoder",
    "Explanation": "masc_core.explaining",
    "ReferenceMatch": "masc_core.explaining",
    "explain": "masc_core.explaining",
    "MaSC": "masc_core.metric",
    "MaSCMetric": "masc_core.torchmetrics",
    "strip_subject": "masc_core.subject",
}


def __getattr__(name: str) -> Any:
    """Imported at first use: torch takes seconds, and a command's `--help` needs none of it."""
    if name in __all__:
        return getattr(importlib.import_module(_MODULE_OF.get(name, "masc_core.records")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
