"""What the systems of the paper's tables make of images: by transformers, scipy and numpy alone.

The preference models alone are by ours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn.functional import cosine_similarity, normalize
from transformers import CLIPModel, CLIPProcessor

from masc_core.comparators import load_comparator
from tests.masc_core.comparators import test_patch_scores as patch_scores
from tests.masc_core.comparators.scoring import Sample
from tests.masc_core.comparators.test_clip_pools import plain_pools
from tests.masc_core.comparators.test_descriptors import plain_dino, plain_radio
from tests.masc_core.test_extra_scores import Oracle, Plain, by_hand, on_grid

[SIGLIP2_B] = [case for case in patch_scores.CASES if case.backbone == "siglip2_b"]


@dataclass(frozen=True)
class Described:
    """An image, after every system."""

    key: str
    """Under which it is packed."""
    mask: np.ndarray
    masc: Plain
    """By MaSC's encoder."""
    vectors: dict[str, torch.Tensor]
    """One (D,) an image, by the system."""
    siglip2_b: torch.Tensor
    """Patch tokens (N, D)."""

    def weights(self, mask: str) -> np.ndarray:
        """A mask of `metric.masks` on the patch grid (N,)."""
        kind, _, amount = mask.partition(":")
        given = on_grid(self.mask, self.masc.grid).numpy()
        if kind == "drop":
            # The share of the foreground that comes first in an order of the key's own.
            seed = int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:8], "little")
            order = np.random.default_rng(seed).permutation(np.flatnonzero(given >= 0.5))
            given[order[: round(float(amount) * len(order))]] = 0
            return given
        radius = int(amount)
        y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        change = {"dilate": ndimage.binary_dilation, "erode": ndimage.binary_erosion}[kind]
        changed = change(self.mask > 0, y**2 + x**2 <= radius**2)
        return on_grid(changed.astype(np.uint8) * 255, self.masc.grid).numpy()


class Libraries:
    """The checkpoints of one call, each loaded by its library."""

    def __init__(self, folder: Path, encoder: Path, max_num_patches: int) -> None:
        self._folder = folder
        self._masc = Oracle(encoder, max_num_patches)
        self._clip = CLIPModel.from_pretrained(folder / "clip").eval()
        self._clip_processor = CLIPProcessor.from_pretrained(folder / "clip")
        # Ours: tests of their own hold them against what their authors' packages give.
        at = {"imagereward": "reward", "vqascore": "flant5", "hpsv3": "hpsv3"}
        self._preferences = {
            name: load_comparator(name, name_or_path=str(folder / where), dtype="float32")
            for name, where in at.items()
        }

    @torch.inference_mode()
    def described(self, shots: Sequence[tuple[str, Path, Path]]) -> dict[str, Described]:
        """Images by their keys, each with the file of its mask."""
        images = [Image.open(image).convert("RGB") for _, image, _ in shots]
        masks = [np.asarray(Image.open(mask).convert("L")) for *_, mask in shots]
        samples = [Sample(*each) for each in zip(images, masks, strict=True)]
        vectors = {
            "clip_i": self._clip_images(images),
            "dino_i": plain_dino(self._folder / "dino", torch.float32)(images),
            "am_radio": plain_radio(self._folder / "radio", torch.float32)(images),
        }
        tokens = patch_scores.plain_tokens(
            SIGLIP2_B, self._folder / "siglip", samples, torch.float32
        )
        return {
            key: Described(
                *(key, masks[i], self._masc.image(images[i])),
                {name: own[i] for name, own in vectors.items()},
                tokens[i],
            )
            for i, (key, *_) in enumerate(shots)
        }

    @torch.inference_mode()
    def prompted(
        self, described: Described, image: Path, prompt: str, stripped: str
    ) -> dict[str, float]:
        """The columns that hold a generation against its prompt."""
        masc, weights = described.masc, on_grid(described.mask, described.masc.grid)
        visible = {"bg": weights < 0.5, "fg": weights >= 0.5, "full": weights >= 0}
        texts = {"stripped": self._masc.text(stripped), "full": self._masc.text(prompt)}
        found = {
            f"pf.{pool}.{text}": float(masc.pool(visible[pool]) @ texts[text])
            for pool in visible
            for text in texts
        }
        words = self._clip_processor(
            text=[prompt], padding=True, truncation=True, return_tensors="pt"
        )
        [said] = self._clip.get_text_features(**words).pooler_output
        shown = [Sample(Image.open(image).convert("RGB"), described.mask, prompt)]
        pools = plain_pools(self._folder / "clip", shown, stripped=[stripped])
        return {
            **found,
            "pf": found["pf.bg.stripped"],
            "siglip2_t": found["pf.full.full"],
            "clip_t": float(cosine_similarity(described.vectors["clip_i"], said, dim=0)),
            **{
                name: preference(shown[0].image, prompt=prompt)
                for name, preference in self._preferences.items()
            },
            **{name: value for name, [value] in pools.items()},
        }

    def _clip_images(self, images: list[Image.Image]) -> torch.Tensor:
        pixels = self._clip_processor(images=images, return_tensors="pt")
        return self._clip.get_image_features(**pixels).pooler_output


def compared(reference: Described, generation: Described, masks: Sequence[str]) -> dict[str, float]:
    """The columns that hold a generation against a reference."""
    ours, theirs = reference.masc, generation.masc
    best = (normalize(ours.tokens, dim=-1) @ normalize(theirs.tokens, dim=-1).T).amax(1).numpy()
    given = on_grid(reference.mask, ours.grid).numpy()
    weights = {"cp": given, **{f"cp@{mask}": reference.weights(mask) for mask in masks}}
    grid = SIGLIP2_B.grid
    aggregated = patch_scores.plain_scores(
        *(reference.siglip2_b, patch_scores.on_grid(reference.mask, grid)),
        *(generation.siglip2_b, patch_scores.on_grid(generation.mask, grid)),
    )
    with torch.inference_mode():
        by_masc = by_hand(ours, reference.mask, theirs, on_grid(generation.mask, theirs.grid))
    return {
        **by_masc,
        **{name: float(best[own > 0.5].mean()) for name, own in weights.items()},
        **{f"cp.{name}@siglip2_b": value for name, value in aggregated.items()},
        **{
            name: float(cosine_similarity(own, generation.vectors[name], dim=0))
            for name, own in reference.vectors.items()
        },
    }
