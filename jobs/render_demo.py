"""`python -m jobs.render_demo`: a data set of six models whose truth is known, without a download.

It holds photos of the rendered world with exact masks, and the manifest that `jobs.pack` reads.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from jobs.demo.dataset import MANIFEST, REFERENCES_PER_CONCEPT, render_dataset
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)

MOST_PROMPTS = len(SCENES) - REFERENCES_PER_CONCEPT


@dataclass
class RenderDemoConfig:
    out: str = setting(help="directory for images, masks and manifest.csv")
    seed: int = setting(0, "another seed, another set of photos of the same subjects")
    concepts: int = setting(len(SUBJECTS), f"subjects, 1 to {len(SUBJECTS)}")
    prompts: int = setting(2, f"prompts a concept, each with another scene, 1 to {MOST_PROMPTS}")
    size: int = setting(192, "shorter side of every image, in pixels, 64 to 2048")

    def check(self) -> None:
        """What types alone cannot say.

        Raises:
            CallError: a value out of range.
        """
        for name, least, most in (
            ("seed", 0, 2**63 - 1),
            ("concepts", 1, len(SUBJECTS)),
            ("prompts", 1, MOST_PROMPTS),
            ("size", 64, 2048),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise CallError(f"{name}={value}: must be from {least} to {most}")


def render_demo(config: RenderDemoConfig, as_json: bool) -> int:
    """Render references and six models' generations of small subjects in painted scenes.

    `faithful` shows what was asked for; `wrong_scene` and `wrong_subject` (another of its kind) get
    one half wrong; `damaged` shows the subject recoloured and without half of its parts;
    `copy_paste` hands back the reference, `noise` nothing at all.
    """
    config.check()
    try:
        rows = render_dataset(
            Path(config.out),
            seed=config.seed,
            n_concepts=config.concepts,
            n_prompts=config.prompts,
            size=config.size,
        )
    except OSError as error:
        raise CallError(f"out={config.out}: {error.strerror or error}") from error
    generations = sum(row["role"] == "generation" for row in rows)
    references = len(rows) - generations
    log.info("rendered %d generations and %d references", generations, references)
    manifest = str(Path(config.out) / MANIFEST)
    result = {"manifest": manifest, "generations": generations, "references": references}
    sys.stdout.write((json.dumps(result) if as_json else manifest) + "\n")
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("render_demo", RenderDemoConfig, render_demo, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
