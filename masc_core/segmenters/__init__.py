"""What makes a mask of an image and the noun that names its subject: one file each, and a name in
`SEGMENTERS`.

In a notebook:

    mask = load_segmenter("sam3")(image, "dog")
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from masc_core.segmenters.protocol import Segmenter

SEGMENTERS = {
    "sam3": "masc_core.segmenters.sam3:Sam3",
    "clipseg": "masc_core.segmenters.clipseg:ClipSeg",
    "grounded_sam2": "masc_core.segmenters.grounded_sam2:GroundedSam2",
    "owlv2_sam2": "masc_core.segmenters.owlv2_sam2:Owlv2Sam2",
}
"""By name, `module:class`: imported when it is asked for. The class is called with its settings, by
keyword, and gives a `protocol.Segmenter`."""


def make_segmenter(name: str, **settings: Any) -> Segmenter:
    """The segmenter of this name, which has loaded nothing.

    Args:
        settings: those of its class; what is left out is as its authors published it.

    Raises:
        ValueError: an unknown name or setting; the message names the nearest known one.
    """
    if name not in SEGMENTERS:
        raise ValueError(f"segmenter {name!r} is not known{_meant(name, list(SEGMENTERS))}")
    module, _, attribute = SEGMENTERS[name].partition(":")
    segmenter_class = getattr(import_module(module), attribute)
    known = list(inspect.signature(segmenter_class).parameters)
    for setting in settings:
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}{_meant(setting, known)}")
    segmenter: Segmenter = segmenter_class(**settings)
    return segmenter


def load_segmenter(name: str, **settings: Any) -> Callable[[Image.Image, str], np.ndarray]:
    """A function of an image and a text, which gives the mask of what the text names.

    The mask is (H, W) uint8 at the image's own size: 255 where it is, 0 elsewhere and where nothing
    is found. A wrong image is a TypeError, a blank text a ValueError.

    Args:
        settings: see `make_segmenter`.

    Raises:
        ValueError: an unknown name or setting, or a checkpoint that cannot be used.
        OSError, ImportError: the network cannot be loaded.
    """
    segmenter = make_segmenter(name, **settings)
    segmenter.load()
    return partial(segment_image, segmenter)


def segment_image(segmenter: Segmenter, image: Image.Image, text: str) -> np.ndarray:
    """One image's mask by a segmenter that was loaded; see `load_segmenter`."""
    from PIL import Image

    from masc_core.protocol import Batch

    if not isinstance(image, Image.Image):
        raise TypeError(
            f"an image is a PIL.Image.Image, not a {type(image).__name__}; Image.open and "
            "Image.fromarray give one"
        )
    sample = segmenter.prepare(image.convert("RGB"), text)
    [mask] = segmenter.segment(Batch([sample], sample.pixels[None].to(segmenter.device)))
    return mask


def _meant(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
