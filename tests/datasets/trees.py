"""Small trees in the layouts of DreamBench++ and ORIDa, of photos or of painted pictures.

What is in them is told by number: `shots(subject, i)` is picture i of subject `subject`, so that a
test can compute any score from the images themselves. Holes are cut afterwards, by deleting files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.photos import by_subject
from tests.pictures import painted

Shot = tuple[Image.Image, np.ndarray]
"""A picture in RGB, and the mask of its subject, (H, W) uint8."""

Shots = Callable[[int, int], Shot]
"""Picture i of a subject, both counted from 0."""

KEYWORDS = ("kitten", "motorcycle", "piggy_bank", "watercolour", "dancer")
"""Of the concepts, in turn."""

CATEGORIES = ("live_subject/animal", "object", "object", "style", "live_subject/human")

SCENES = ("on a beach", "in the snow", "in a kitchen", "on a mountain", "at night")

METHODS = {
    "emu2": "emu2_gs3_step50_seed42_torch_bfloat16",
    "dreambooth_sd": "dreambooth_sd_gs7_5_step100_seed42_torch_float16",
}
"""Two of the seven, by the names that the authors' directories have."""


def painted_shots(size: tuple[int, int] = (64, 64)) -> Shots:
    """Pictures painted from their numbers."""
    return lambda subject, i: painted(size, 1000 * subject + i)


def photo_shots(size: tuple[int, int] = (128, 128)) -> Shots:
    """Real photos with their masks, the same again where a subject has no more of them."""
    subjects = list(by_subject().values())

    def shot(subject: int, i: int) -> Shot:
        photos = subjects[subject % len(subjects)]
        photo = photos[i % len(photos)]
        mask = Image.fromarray(photo.mask).resize(size, Image.Resampling.NEAREST)
        return photo.image.convert("RGB").resize(size), np.asarray(mask)

    return shot


@dataclass(frozen=True)
class DreamBenchTree:
    """A tree in the layout of DreamBench++."""

    root: Path
    concepts: tuple[str, ...]
    methods: tuple[str, ...]
    """By their short names."""
    n_prompts: int
    subjects: dict[str, str] = field(default_factory=dict)
    """By concept."""

    @property
    def masks(self) -> Path:
        return self.root / "masks"

    def directory(self, method: str) -> Path:
        """A method's, in `samples/`."""
        return self.root / "samples" / METHODS[method]

    def image(self, method: str, concept: str, prompt: int) -> Path:
        return self.directory(method) / "tgt_image" / concept / f"{prompt}_0.jpg"

    def text(self, method: str, concept: str, prompt: int) -> Path:
        return self.directory(method) / "text" / concept / f"{prompt}_0.txt"

    def mask(self, method: str, concept: str, prompt: int) -> Path:
        return self.masks / "samples" / METHODS[method] / concept / f"{prompt}_0.png"

    def reference(self, concept: str) -> Path:
        category, index = place_of(concept)
        return self.root / "images" / category / f"{index}.jpg"

    def captions(self, concept: str) -> Path:
        category, index = place_of(concept)
        return self.root / "captions" / category / f"{index}.txt"

    def reference_mask(self, concept: str) -> Path:
        category, index = place_of(concept)
        return self.masks / "refs" / category / f"{index}.png"


def place_of(concept: str) -> tuple[str, str]:
    """A concept's category and index, told from its name."""
    for category in CATEGORIES:
        start = category.replace("/", "_") + "_"
        if concept.startswith(start):
            return category, concept.removeprefix(start).partition("_")[0]
    raise ValueError(concept)


def prompt_of(noun: str, prompt: int) -> str:
    """What is asked for: the subject in a scene."""
    return f"a photo of a {noun} {SCENES[prompt % len(SCENES)]}"


def dreambenchplus_tree(
    root: Path,
    shots: Shots,
    n_concepts: int = 3,
    methods: Sequence[str] = tuple(METHODS),
    n_prompts: int = 2,
) -> DreamBenchTree:
    """Write one; each method's pictures of a concept are other ones, and so is the reference."""
    concepts = []
    tree = DreamBenchTree(root, (), tuple(methods), n_prompts)
    for number in range(n_concepts):
        category, keyword = CATEGORIES[number % 5], KEYWORDS[number % 5]
        concept = f"{category.replace('/', '_')}_{number:02d}_{keyword}"
        concepts.append(concept)
        noun = tree.subjects[concept] = keyword.replace("_", " ")
        prompts = [prompt_of(noun, prompt) for prompt in range(n_prompts)]
        save(shots(number, 0), tree.reference(concept), tree.reference_mask(concept))
        write_text(tree.captions(concept), "\n".join([noun, *prompts]) + "\n")
        for i, method in enumerate(methods):
            for prompt, text in enumerate(prompts):
                shot = shots(number, 1 + i * n_prompts + prompt)
                where = method, concept, prompt
                save(shot, tree.image(*where), tree.mask(*where))
                write_text(tree.text(*where), text + "\n")
    return DreamBenchTree(root, tuple(concepts), tuple(methods), n_prompts, tree.subjects)


@dataclass(frozen=True)
class OridaTree:
    """A tree in the layout of ORIDa."""

    root: Path

    def factual(self, subject: int, scene: str, k: int = 1) -> Path:
        """A photo in `factual_only`."""
        folder = self.subject(subject) / "factual_only" / "images"
        return folder / f"{stem_of(subject, scene, k)}.jpg"

    def counterfactual(self, subject: int, scene: str, k: int = 1) -> Path:
        """A photo in `factual_counterfactual`; 0 is the empty scene."""
        folder = self.subject(subject) / "factual_counterfactual" / scene / "images"
        return folder / f"{stem_of(subject, scene, k)}.jpg"

    def subject(self, subject: int) -> Path:
        return self.root / "train" / str(subject)


def stem_of(subject: int, scene: str, k: int) -> str:
    """As ORIDa's photos are called."""
    return f"00{subject:03d}_{scene}_{k}"


def mask_of(photo: Path) -> Path:
    """Where the mask of an ORIDa photo lies."""
    return photo.parents[1] / "annotations" / "masks" / f"{photo.stem}_mask.jpg"


def orida_tree(
    root: Path, shots: Shots, n_subjects: int = 3, n_factual: int = 7, n_others: int = 4
) -> OridaTree:
    """Write one of subjects 8, 9, 10, ... (in the order of their names 10 comes before 8).

    Each has `n_factual` backgrounds with two angles and two photos in `factual_only`, and
    `n_others` in `factual_counterfactual` with an empty scene; one background is in both.
    """
    tree = OridaTree(root)
    for number in range(n_subjects):
        subject = 8 + number
        for background in range(n_factual):
            for angle in range(4):
                scene = f"{100 + background}{'ab'[angle // 2]}"
                photo = tree.factual(subject, scene, 1 + angle % 2)
                save(shots(number, 4 * background + angle), photo, mask_of(photo))
        for other in range(n_others):
            # The first of them is a background of `factual_only` too.
            scene = f"{100 + n_factual - 1 + other}a"
            for k in (0, 1, 2):
                photo = tree.counterfactual(subject, scene, k)
                save(shots(number, 100 + 3 * other + k), photo, mask_of(photo))
    return tree


def save(shot: Shot, image: Path, mask: Path) -> None:
    """Write a picture and its mask."""
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    shot[0].save(image, quality=95)
    Image.fromarray(shot[1]).save(mask)


def write_text(path: Path, text: str) -> None:
    """Write a text file, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
