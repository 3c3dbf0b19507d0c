"""The demo as a whole: from nothing to a leaderboard, in one call."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.demo.dataset import MANIFEST, render_dataset
from jobs.demo.world.subjects import SUBJECTS
from jobs.pages.reporting import report
from jobs.pages.settings import ReportConfig
from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.command.call import RECIPES, parse
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE
from jobs.pipeline.command.settings import require_in_range, setting
from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.evaluation import EvaluateConfig, evaluate
from jobs.pipeline.packing import PackConfig, pack
from jobs.pipeline.results.leaderboard import print_leaderboard
from jobs.pipeline.results.summary import Summary

log = logging.getLogger(__name__)

RECIPE = RECIPES / "demo.yaml"

PROMPTS, SIZE, SHARD_SIZE = 2, 192, 48
"""Prompts a concept, pixels of an image's shorter side, samples a shard: what README shows."""


@dataclass
class DemoConfig:
    out: str = setting(
        "demo", "directory of images/, shards/ and run/; the same call goes on there"
    )
    concepts: int = setting(len(SUBJECTS), f"subjects, 2 to {len(SUBJECTS)}")


def demo(config: DemoConfig, as_json: bool) -> int:
    """Show what the scores tell, on six models whose truth is known; no download, no GPU.

    Renders photos of drawn subjects with exact masks, packs them into shards, scores them by two
    workers with the small encoder in this package, prints the leaderboard and writes the page of
    the run. A minute on two cores.
    """
    require_in_range(("concepts", config.concepts, 2, len(SUBJECTS)))
    out = Path(config.out).absolute()
    _make_shards(out, config.concepts)
    shards, run = out / "shards", str(out / "run")
    recipe = parse([str(RECIPE)], EvaluateConfig)
    asked = replace(
        recipe,
        samples=[str(shards / "generations-*.tar")],
        references=[str(shards / "references-*.tar")],
        run=run,
    )
    try:
        outcome = evaluate(asked)
    except Incomplete as error:
        log.error("%s; the same call goes on from here", error)
        return EXIT_INCOMPLETE
    page = report(ReportConfig(run=[run])).page
    _show(asked, outcome, page, as_json)
    if outcome.n_set_aside:
        log.error("shards were set aside (see failed/); the same call tries them again")
        return EXIT_INCOMPLETE
    return EXIT_DONE


def _make_shards(out: Path, n_concepts: int) -> None:
    """Render and pack, unless the shards of an earlier call are there.

    Raises:
        CallError: they are of another number of concepts, or `out` cannot be written.
    """
    said = out / "shards" / "concepts.json"
    if said.exists():
        if (there := json.loads(said.read_text())) != n_concepts:
            raise CallError(
                f"concepts={n_concepts}: {out} holds a demo of {there}; another out= has room"
            )
        return
    images = out / "images"
    try:
        rows = render_dataset(images, seed=0, n_concepts=n_concepts, n_prompts=PROMPTS, size=SIZE)
    except OSError as error:
        raise CallError(f"out={out}: {error.strerror or error}") from error
    log.info("rendered %d images", len(rows))
    pack(
        PackConfig(
            manifest=str(images / MANIFEST),
            out=str(out / "shards"),
            shard_size=SHARD_SIZE,
            overwrite=True,
        )
    )
    said.write_text(json.dumps(n_concepts))


def _show(asked: EvaluateConfig, outcome: Outcome[Summary], page: str, as_json: bool) -> None:
    """The result, on stdout, and where everything lies."""
    if as_json:
        document = {"run": asked.run, "page": page, **outcome.result.document()}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        print_leaderboard(outcome.result.model, asked.metric.extra, outcome.result.groups)
    log.info("everything is in %s; open %s", asked.run, page)
