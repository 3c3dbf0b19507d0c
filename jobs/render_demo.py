"""`python -m jobs.render_demo`: a data set of six models whose truth is known, without a download.

It holds photos of the rendered world with exact masks, and the manifest that `jobs.pack` reads.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.demo.world.prompts import prompt
from jobs.demo.world.render import random_pose, render
from jobs.demo.world.scenes import SCENES, Scene
from jobs.demo.world.subjects import SUBJECTS, Subject, concepts, damaged
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)

COLUMNS = ["image", "mask", "role", "model", "concept", "prompt", "subject", "prompt_id", "seed"]
REFERENCES = 2
ASPECTS = ((1, 1), (4, 3), (3, 4))
JPEG_QUALITY = 92

Row = dict[str, str | int]
Photo = tuple[Image.Image, Image.Image]
"""An image and its mask."""


@dataclass
class RenderDemoConfig:
    out: str = setting(help="directory for images, masks and manifest.csv")
    seed: int = setting(0, "another seed, another set of photos of the same subjects")
    concepts: int = setting(len(SUBJECTS), f"subjects, 1 to {len(SUBJECTS)}")
    prompts: int = setting(
        2, f"prompts a concept, each with another scene, 1 to {len(SCENES) - REFERENCES}"
    )
    size: int = setting(192, "shorter side of every image, in pixels, 64 to 2048")


@dataclass(frozen=True)
class Request:
    """What a model is asked for, and what it has to go by."""

    subject: Subject
    scene: Scene
    reference: Photo
    size: int
    """Shorter side of the image, in pixels."""


def _faithful(request: Request, rng: np.random.Generator) -> Photo:
    return _photograph(request.subject, request.scene, request.size, rng)


def _wrong_scene(request: Request, rng: np.random.Generator) -> Photo:
    others = [other for other in SCENES if other != request.scene]
    return _photograph(request.subject, others[rng.integers(len(others))], request.size, rng)


def _wrong_subject(request: Request, rng: np.random.Generator) -> Photo:
    """Another of its kind."""
    asked = request.subject
    others = [each for each in concepts("test") if each.kind == asked.kind and each != asked]
    return _photograph(others[rng.integers(len(others))], request.scene, request.size, rng)


def _damaged(request: Request, rng: np.random.Generator) -> Photo:
    return _photograph(damaged(request.subject), request.scene, request.size, rng)


def _copy_paste(request: Request, rng: np.random.Generator) -> Photo:
    return request.reference


def _noise(request: Request, rng: np.random.Generator) -> Photo:
    """Every pixel by chance, and a mask where a subject would be."""
    image, mask = _photograph(request.subject, request.scene, request.size, rng)
    pixels = rng.integers(0, 256, (image.height, image.width, 3), dtype=np.uint8)
    return Image.fromarray(pixels), mask


MODELS: dict[str, Callable[[Request, np.random.Generator], Photo]] = {
    "faithful": _faithful,
    "wrong_scene": _wrong_scene,
    "wrong_subject": _wrong_subject,
    "damaged": _damaged,
    "copy_paste": _copy_paste,
    "noise": _noise,
}
"""What each model makes of a request."""


def render_demo(config: RenderDemoConfig, as_json: bool) -> int:
    """Render references and six models' generations of small subjects in painted scenes.

    `faithful` shows what was asked for; `wrong_scene` and `wrong_subject` (another of its kind) get
    one half wrong; `damaged` shows the subject recoloured and without half of its parts;
    `copy_paste` hands back the reference, `noise` nothing at all.
    """
    _check(config)
    out = Path(config.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CallError(f"out={config.out}: {error.strerror}") from error
    rows = [
        row for subject in SUBJECTS[: config.concepts] for row in _concept(subject, out, config)
    ]
    manifest = out / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    generations = sum(row["role"] == "generation" for row in rows)
    references = len(rows) - generations
    log.info("rendered %d generations and %d references", generations, references)
    result = {"manifest": str(manifest), "generations": generations, "references": references}
    sys.stdout.write((json.dumps(result) if as_json else str(manifest)) + "\n")
    return EXIT_DONE


def _check(config: RenderDemoConfig) -> None:
    allowed = {
        "seed": (0, 2**63 - 1),
        "concepts": (1, len(SUBJECTS)),
        "prompts": (1, len(SCENES) - REFERENCES),
        "size": (64, 2048),
    }
    for name, (least, most) in allowed.items():
        value = getattr(config, name)
        if not least <= value <= most:
            raise CallError(f"{name}={value}: must be from {least} to {most}")


def _concept(subject: Subject, out: Path, config: RenderDemoConfig) -> Iterator[Row]:
    """References of a concept, and what every model makes of every prompt."""
    mixed = [SCENES[i] for i in _rng(config.seed, subject.id).permutation(len(SCENES))]
    # References lie in scenes that no prompt asks for, so that a copy is wrong there.
    asked, own = mixed[: config.prompts], mixed[-REFERENCES:]
    references = []
    for index, scene in enumerate(own):
        stem = f"references/{subject.id}/{index:02d}"
        photo = _photograph(subject, scene, config.size, _rng(config.seed, stem))
        references.append(photo)
        yield {
            **_write(photo, out, stem),
            "role": "reference",
            "concept": subject.id,
            "subject": subject.noun,
        }
    for model, imagine in MODELS.items():
        for scene in asked:
            stem = f"generations/{model}/{subject.id}/{scene.id}_{config.seed}"
            request = Request(subject, scene, references[0], config.size)
            yield {
                **_write(imagine(request, _rng(config.seed, stem)), out, stem),
                "role": "generation",
                "model": model,
                "concept": subject.id,
                "prompt": prompt(subject, scene),
                "subject": subject.noun,
                "prompt_id": scene.id,
                "seed": config.seed,
            }


def _photograph(subject: Subject, scene: Scene, size: int, rng: np.random.Generator) -> Photo:
    """A photo in one of the aspects, its shorter side `size` pixels."""
    across, down = ASPECTS[rng.integers(len(ASPECTS))]
    shorter = min(across, down)
    frame = (size * across // shorter, size * down // shorter)
    return render(subject, scene, random_pose(rng), frame)


def _write(photo: Photo, out: Path, stem: str) -> Row:
    """Write a photo and its mask under `out`; their paths, as the manifest has them."""
    image, mask = photo
    (out / stem).parent.mkdir(parents=True, exist_ok=True)
    image.save(out / f"{stem}.jpg", quality=JPEG_QUALITY)
    mask.save(out / f"{stem}.mask.png")
    return {"image": f"{stem}.jpg", "mask": f"{stem}.mask.png"}


def _rng(seed: int, name: str) -> np.random.Generator:
    """Chance for one photo, the same whatever else is rendered."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def main() -> int:
    """The command line."""
    return run_command("render_demo", RenderDemoConfig, render_demo, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
