"""What a checkpoint costs, by arithmetic from its configuration; loads no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from masc_core.defaults import DEMO, DEMO_CHECKPOINT

BYTES_A_NUMBER = 4
"""Patch tokens of references are kept in float32, whatever the tower computes in."""


@dataclass(frozen=True)
class VisionShape:
    """The sizes of a vision tower."""

    width: int
    """D, of a patch token."""
    mlp: int
    """M, of the layer between."""
    layers: int
    patches: int
    """N, of an image: the budget of a NaFlex encoder, the grid of a fixed-size one."""

    @property
    def flops_an_image(self) -> float:
        """Floating-point operations of one forward: N L (2 (4 D² + 2 D M) + 4 N D)."""
        weights = 2 * (4 * self.width**2 + 2 * self.width * self.mlp)
        attention = 4 * self.patches * self.width
        return float(self.patches * self.layers * (weights + attention))

    @property
    def token_bytes_an_image(self) -> int:
        """All patch tokens of one reference, as they are kept."""
        return BYTES_A_NUMBER * self.patches * self.width


def vision_shape(
    name_or_path: str,
    revision: str | None,
    max_num_patches: int | None,
    trust_remote_code: bool = False,
) -> VisionShape:
    """The sizes of a checkpoint's vision tower.

    Args:
        name_or_path: of a checkpoint that was found.
        max_num_patches: of a NaFlex encoder; None for a fixed-size one.

    Raises:
        OSError, ValueError, ImportError: its configuration cannot be read.
    """
    import transformers

    # A tokenizer's marks beyond the text tower's own are no news.
    transformers.utils.logging.set_verbosity_error()
    where = str(DEMO_CHECKPOINT) if name_or_path == DEMO else name_or_path
    config: Any = transformers.AutoConfig.from_pretrained(
        where, revision=revision, trust_remote_code=trust_remote_code
    ).vision_config
    patches = max_num_patches
    if patches is None:
        patches = (config.image_size // config.patch_size) ** 2
    return VisionShape(
        config.hidden_size, config.intermediate_size, config.num_hidden_layers, patches
    )
