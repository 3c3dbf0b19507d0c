"""What goes into the metric and what comes out: records of one image each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from masc_core.encoder import Grid
from masc_core.masks import MaskLike


@dataclass(frozen=True)
class ReferenceDetail:
    """What columns beside CP need of a photo: K of its patches, all or the foreground of some
    mask."""

    tokens: torch.Tensor
    """float32 (K, D), of unit length."""

    weights: torch.Tensor
    """float32 (K,): the given mask on these patches."""

    foregrounds: Mapping[str, torch.Tensor]
    """bool (K,): whether a patch is foreground of a further mask, by the mask's name. Without those
    that the photo lacks."""

    blurred: Mapping[str, torch.Tensor]
    """float32 (K,): the given mask blurred, by the sigma as it was written."""

    full_pool: torch.Tensor | None = None
    """float32 (D,), of unit length: the attention pool over all patches; None where nobody asks."""


@dataclass(frozen=True)
class Reference:
    """One photo of the concept, encoded."""

    tokens: torch.Tensor
    """float32 (R, D): unit-length tokens of the R patches whose weight is above `fg_threshold`."""

    n_patches: int
    """Patches of the photo, foreground or not."""

    fg_weight: float
    """Mean mask weight over the patches, in [0, 1]."""

    fg_fraction: float
    """Share of the mask's pixels that are foreground, in [0, 1]."""

    detail: ReferenceDetail | None = None
    """None where only CP and PF of the given mask are asked for."""

    @property
    def n_fg_patches(self) -> int:
        """R; 0 makes CP NaN."""
        return len(self.tokens)


@dataclass(frozen=True)
class Generation:
    """One generated image to score."""

    image: Image.Image
    """Any size and mode; converted to RGB as PIL does."""

    mask: MaskLike
    """(H, W), of any size of the image's aspect: non-zero is foreground, in [0, 1] or [0, 255].
    An array, or what `np.asarray` makes one of: a PIL image, a tensor, nested lists."""

    prompt: str
    """The prompt that made the image."""

    references: Sequence[Reference]
    """What it is scored against, at least one; from `MaSC.encode_references`."""

    subject: str | None = None
    """The noun that names the concept in the prompt; None leaves the prompt as it is."""

    key: str = ""
    """Names the image; seeds the masks that are drawn by chance."""

    masks: Mapping[str, MaskLike] = field(default_factory=dict)
    """Further masks of the image, as `mask`, by their names."""


@dataclass(frozen=True)
class Prepared:
    """An image resized, ready for the encoder; made off the device, in threads."""

    pixels: torch.Tensor
    """What `Encoder.prepare_image` returns, float32 on the CPU."""

    grid: Grid
    """Patch grid (Hp, Wp)."""

    weights: torch.Tensor
    """float32 (Hp * Wp,): the mask on the patch grid."""

    fg_fraction: float
    """Share of the mask's pixels that are foreground, in [0, 1]."""

    text: str
    """The prompt without its subject: what PF encodes."""

    subject_found: bool
    """Whether stripping removed anything."""

    prompt: str = ""
    """The whole prompt."""

    masks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Further masks on the patch grid, as `weights`, by their names; without those it lacks."""

    blurred: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """The mask blurred, on the patch grid, by the sigma as it was written."""

    lacks: Mapping[str, str] = field(default_factory=dict)
    """Why there is no mask, by its name."""

    @property
    def bucket(self) -> Grid:
        """What may be stacked together: images of one patch grid."""
        return self.grid


@dataclass(frozen=True)
class EncodedText:
    """A text that PF is measured against."""

    embedding: torch.Tensor
    """float32 (D,), not normalised."""

    n_tokens: int
    """Before it was cut to the tower's length."""


@dataclass(frozen=True)
class Score:
    """CP and PF of one generation, and what they rest on."""

    cp: float
    """Concept preservation in [-1, 1], higher is better: `cp_per_reference` reduced over the
    references that have a foreground patch. NaN when none has."""

    pf: float
    """Prompt following in [-1, 1], higher is better. NaN when every patch is foreground."""

    cp_per_reference: list[float]
    """CP against each reference, in the order given; NaN for one without foreground patches."""

    n_ref_fg_patches: list[int]
    """Foreground patches of each reference (weight > `fg_threshold`)."""

    n_fg_patches: int
    """Patches of the generation hidden from PF (weight >= `fg_threshold`)."""

    n_bg_patches: int
    """Patches of the generation that PF sees."""

    grid: Grid
    """Patch grid (Hp, Wp) of the generation."""

    fg_fraction: float
    """Share of the generation's mask pixels that are foreground, in [0, 1]."""

    text: str
    """The string that PF encoded."""

    subject_found: bool
    """Whether stripping the subject changed the prompt."""

    n_text_tokens: int
    """Tokens of `text`; what is past `Encoder.text_length` was cut."""

    extra: dict[str, float | None] = field(default_factory=dict)
    """The further columns asked for, by name; None where there is no such mask."""

    extra_per_reference: dict[str, list[float] | None] = field(default_factory=dict)
    """Of those that compare with references, the value for each; NaN where it is undefined."""

    extras: dict[str, Any] = field(default_factory=dict)
    """From `MaSC.score` only: the diagnostics of `masc-metric`, under its names."""

    @property
    def n_patches(self) -> int:
        """Patches of the generation."""
        return self.grid[0] * self.grid[1]
