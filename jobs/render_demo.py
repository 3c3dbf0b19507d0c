"""`python -m jobs.render_demo`: a data set of four models whose truth is known, without a download.

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

from jobs.pipeline.command_line import EXIT_DONE, CallError, run_command, setting
from jobs.world.render import random_pose, render
from jobs.world.scenes import SCENES, Scene
from jobs.world.subjects import SUBJECTS, Subject, damaged

log = logging.getLogger(__name__)

COLUMNS = ["image", "mask", "role", "model", "concept", "prompt", "subject", "prompt_id", "seed"]
REFERENCES = 2
ASPECTS = ((1, 1), (4, 3), (3, 4))
JPEG_QUALITY = 92

Row = dict[str, str | int]
Model = Callable[[Subject, Scene, np.random.Generator], tuple[Subject, Scene]]


@dataclass
class RenderDemoConfig:
    out: str = setting(help="directory for images, masks and manifest.csv")
    seed: int = setting(0, "another seed, another set of photos of the same subjects")
    concepts: int = setting(8, f"subjects, 1 to {len(SUBJECTS)}")
    prompts: int = setting(4, f"prompts a concept, each with another scene, 1 to {len(SCENES)}")
    size: int = setting(192, "shorter side of every image, in pixels, 64 to 2048")


def _faithful(subject: Subject, scene: Scene, rng: np.random.Generator) -> tuple[Subject, Scene]:
    return subject, scene


def _wrong_scene(subject: Subject, scene: Scene, rng: np.random.Generator) -> tuple[Subject, Scene]:
    others = [other for other in SCENES if other != scene]
    return subject, others[rng.integers(len(others))]


def _wrong_subject(
    subject: Subject, scene: Scene, rng: np.random.Generator
) -> tuple[Subject, Scene]:
    others = [other for other in SUBJECTS if other != subject]
    return others[rng.integers(len(others))], scene


def _damaged(subject: Subject, scene: Scene, rng: np.random.Generator) -> tuple[Subject, Scene]:
    return damaged(subject), scene


MODELS: dict[str, Model] = {
    "faithful": _faithful,
    "wrong_scene": _wrong_scene,
    "wrong_subject": _wrong_subject,
    "damaged": _damaged,
}
"""What each model shows when asked for a subject in a scene."""


def render_demo(config: RenderDemoConfig, as_json: bool) -> int:
    """Render references and four models' generations of small subjects in painted scenes.

    `faithful` shows what was asked for, `wrong_scene` and `wrong_subject` get one half wrong, and
    `damaged` shows the subject recoloured and without half of its parts.
    """
    _check(config)
    out = Path(config.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CallError(f"out={config.out}: {error.strerror}") from error
    rows = [
        row
        for subject in SUBJECTS[: config.concepts]
        for row in (*_references(subject, out, config), *_generations(subject, out, config))
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
        "prompts": (1, len(SCENES)),
        "size": (64, 2048),
    }
    for name, (least, most) in allowed.items():
        value = getattr(config, name)
        if not least <= value <= most:
            raise CallError(f"{name}={value}: must be from {least} to {most}")


def _references(subject: Subject, out: Path, config: RenderDemoConfig) -> Iterator[Row]:
    """Photos of the concept in scenes of their own."""
    for index in range(REFERENCES):
        stem = f"references/{subject.id}/{index:02d}"
        rng = _rng(config.seed, stem)
        scene = SCENES[rng.integers(len(SCENES))]
        files = _photograph(subject, scene, rng, out, stem, config.size)
        yield {**files, "role": "reference", "concept": subject.id, "subject": subject.noun}


def _generations(subject: Subject, out: Path, config: RenderDemoConfig) -> Iterator[Row]:
    """What every model makes of every prompt of the concept."""
    scenes = _rng(config.seed, subject.id).permutation(len(SCENES))[: config.prompts]
    for model, imagine in MODELS.items():
        for scene in (SCENES[index] for index in scenes):
            stem = f"generations/{model}/{subject.id}/{scene.id}_{config.seed}"
            rng = _rng(config.seed, stem)
            files = _photograph(*imagine(subject, scene, rng), rng, out, stem, config.size)
            yield {
                **files,
                "role": "generation",
                "model": model,
                "concept": subject.id,
                "prompt": f"a photo of {subject.with_article} {scene.phrase}",
                "subject": subject.noun,
                "prompt_id": scene.id,
                "seed": config.seed,
            }


def _photograph(
    subject: Subject, scene: Scene, rng: np.random.Generator, out: Path, stem: str, size: int
) -> Row:
    """Write one photo and its mask under `out`; their paths, as the manifest has them."""
    across, down = ASPECTS[rng.integers(len(ASPECTS))]
    shorter = min(across, down)
    frame = (size * across // shorter, size * down // shorter)
    image, mask = render(subject, scene, random_pose(rng), frame)
    row: Row = {"image": f"{stem}.jpg", "mask": f"{stem}.mask.png"}
    (out / stem).parent.mkdir(parents=True, exist_ok=True)
    image.save(out / f"{stem}.jpg", quality=JPEG_QUALITY)
    mask.save(out / f"{stem}.mask.png")
    return row


def _rng(seed: int, name: str) -> np.random.Generator:
    """Chance for one photo, the same whatever else is rendered."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def main() -> int:
    """The command line."""
    return run_command("render_demo", RenderDemoConfig, render_demo, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
