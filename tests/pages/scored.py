"""A small run as `jobs.evaluate` makes it, without Ray: two models, two concepts of two photos."""

from __future__ import annotations

from pathlib import Path

from jobs.pipeline.command.call import parse
from jobs.pipeline.evaluation import EvaluateConfig
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.scoring_task import Scoring
from tests.in_process import run_here
from tests.shards import generation, reference, write_tar

MODELS = ("alpha", "beta")
CONCEPTS = {"cat": 0, "dog": 40}
"""By name, the number of the first picture."""
SEEDS = (0, 1)


def write_shards(folder: Path, offset: int = 0) -> Path:
    """Shards of 8 generations and 4 references; `offset` makes other generations."""
    references = [
        member
        for concept, first in CONCEPTS.items()
        for i in range(2)
        for member in reference(f"{concept}/{i}", first + i, concept=concept, subject=concept)
    ]
    write_tar(folder / "references-0.tar", references)
    for model in MODELS:
        picture = offset + 100 + 10 * MODELS.index(model)
        members = [
            member
            for concept, first in CONCEPTS.items()
            for seed in SEEDS
            for member in generation(
                f"{model}/{concept}-{seed}",
                picture + first + seed,
                (128, 96),
                model=model,
                concept=concept,
                subject=concept,
                seed=seed,
                prompt=f"a photo of a {concept} on a beach",
            )
        ]
        write_tar(folder / f"generations-{model}.tar", members)
    return folder


def score(shards: str | Path, run: str | Path, *words: str) -> str:
    """Evaluate by the demo's encoder; the run's address."""
    config = parse(
        [
            f"samples={shards}/generations-*.tar",
            f"references={shards}/references-*.tar",
            f"run={run}",
            "encoder.name_or_path=demo",
            *words,
        ],
        EvaluateConfig,
    )
    run_here(Scoring(config), RunDirectory(str(run)), config.workers, config.ray, config.limits)
    return str(run)
