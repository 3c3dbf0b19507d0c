"""The demo's data set: photos of the rendered world by six models whose truth is known.

Images with exact masks, and the manifest that `jobs.pack` reads.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.demo.world.prompts import prompt
from jobs.demo.world.render import MaskedImage, random_pose, render
from jobs.demo.world.scenes import SCENES, Scene
from jobs.demo.world.subjects import SUBJECTS, Subject, concepts, damaged

MANIFEST = "manifest.csv"
COLUMNS = ["image", "mask", "role", "model", "concept", "prompt", "subject", "prompt_id", "seed"]
REFERENCES_PER_CONCEPT = 2
ASPECTS = ((1, 1), (4, 3), (3, 4))
"""Of width to height, drawn for each photo."""
JPEG_QUALITY = 92

Row = dict[str, str | int]
"""A line of the manifest; columns that are not there stay empty."""


@dataclass(frozen=True)
class Request:
    """What a model is asked for, and what it has to go by."""

    subject: Subject
    scene: Scene
    reference: MaskedImage
    size: int
    """Shorter side of the image, in pixels."""


def _faithful(request: Request, rng: np.random.Generator) -> MaskedImage:
    return _photograph(request.subject, request.scene, request.size, rng)


def _wrong_scene(request: Request, rng: np.random.Generator) -> MaskedImage:
    others = [other for other in SCENES if other != request.scene]
    return _photograph(request.subject, others[rng.integers(len(others))], request.size, rng)


def _wrong_subject(request: Request, rng: np.random.Generator) -> MaskedImage:
    """Another of its kind."""
    asked = request.subject
    others = [each for each in concepts("test") if each.kind == asked.kind and each != asked]
    return _photograph(others[rng.integers(len(others))], request.scene, request.size, rng)


def _damaged(request: Request, rng: np.random.Generator) -> MaskedImage:
    return _photograph(damaged(request.subject), request.scene, request.size, rng)


def _copy_paste(request: Request, rng: np.random.Generator) -> MaskedImage:
    return request.reference


def _noise(request: Request, rng: np.random.Generator) -> MaskedImage:
    """Every pixel by chance, and a mask where a subject would be."""
    image, mask = _photograph(request.subject, request.scene, request.size, rng)
    pixels = rng.integers(0, 256, (image.height, image.width, 3), dtype=np.uint8)
    return Image.fromarray(pixels), mask


MODELS: dict[str, Callable[[Request, np.random.Generator], MaskedImage]] = {
    "faithful": _faithful,
    "wrong_scene": _wrong_scene,
    "wrong_subject": _wrong_subject,
    "damaged": _damaged,
    "copy_paste": _copy_paste,
    "noise": _noise,
}
"""What each model makes of a request."""


def render_dataset(
    out: Path, *, seed: int, n_concepts: int, n_prompts: int, size: int
) -> list[Row]:
    """Write images, masks and manifest.csv into `out`; the same arguments write the same bytes.

    Args:
        out: directory; made if missing.
        seed: another one gives other photos of the same subjects.
        n_concepts: the first of SUBJECTS.
        n_prompts: prompts a concept, each with another scene, at most
            len(SCENES) - REFERENCES_PER_CONCEPT.
        size: shorter side of every image, in pixels.

    Returns:
        The rows of the manifest, a concept's references before its generations.

    Raises:
        OSError: `out` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        row
        for subject in SUBJECTS[:n_concepts]
        for row in _write_concept(subject, out, seed, n_prompts, size)
    ]
    with (out / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _write_concept(
    subject: Subject, out: Path, seed: int, n_prompts: int, size: int
) -> Iterator[Row]:
    """Write a concept's references, and what every model makes of every prompt."""
    scenes = [SCENES[i] for i in _rng(seed, subject.id).permutation(len(SCENES))]
    # References lie in scenes that no prompt asks for, so that a copy is wrong there.
    asked, of_references = scenes[:n_prompts], scenes[-REFERENCES_PER_CONCEPT:]
    references = []
    for index, scene in enumerate(of_references):
        stem = f"references/{subject.id}/{index:02d}"
        reference = _photograph(subject, scene, size, _rng(seed, stem))
        references.append(reference)
        yield {
            **_write(reference, out, stem),
            "role": "reference",
            "concept": subject.id,
            "subject": subject.noun,
        }
    for model, imagine in MODELS.items():
        for scene in asked:
            stem = f"generations/{model}/{subject.id}/{scene.id}_{seed}"
            request = Request(subject, scene, references[0], size)
            yield {
                **_write(imagine(request, _rng(seed, stem)), out, stem),
                "role": "generation",
                "model": model,
                "concept": subject.id,
                "prompt": prompt(subject, scene),
                "subject": subject.noun,
                "prompt_id": scene.id,
                "seed": seed,
            }


def _photograph(subject: Subject, scene: Scene, size: int, rng: np.random.Generator) -> MaskedImage:
    """A photo in one of the aspects, its shorter side `size` pixels."""
    across, down = ASPECTS[rng.integers(len(ASPECTS))]
    shorter = min(across, down)
    frame = (size * across // shorter, size * down // shorter)
    return render(subject, scene, random_pose(rng), frame)


def _write(photo: MaskedImage, out: Path, stem: str) -> Row:
    """Write a photo and its mask under `out`; their paths, as the manifest has them."""
    image, mask = photo
    (out / stem).parent.mkdir(parents=True, exist_ok=True)
    image.save(out / f"{stem}.jpg", quality=JPEG_QUALITY)
    mask.save(out / f"{stem}.mask.png")
    return {"image": f"{stem}.jpg", "mask": f"{stem}.mask.png"}


def _rng(seed: int, name: str) -> np.random.Generator:
    """Chance for one photo, the same whatever else is rendered."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
