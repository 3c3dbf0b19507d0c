"""`python -m jobs.evaluate`: the main job, from shards of generated images to a leaderboard."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial

import ray
from ray.exceptions import RayTaskError

from jobs.pipeline.cluster.driver import Driver, Incomplete
from jobs.pipeline.cluster.joining import joined_cluster
from jobs.pipeline.cluster.layout import layout_of_cluster
from jobs.pipeline.cluster.progress import Progress
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE, EXIT_TOO_MANY_ERRORS
from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.evaluation_config import EvaluateConfig, check
from jobs.pipeline.results.leaderboard import print_leaderboard
from jobs.pipeline.results.summary import Summary, summarise_run
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.fingerprint import fingerprint_of
from jobs.pipeline.run.lease import Lease
from jobs.pipeline.run.record import RunRecord
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.scoring.checkpoint import find_checkpoint
from jobs.pipeline.scoring.plan import Plan
from jobs.pipeline.storage.filesystem import absolute
from jobs.pipeline.storage.listing import expand
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


def evaluate(config: EvaluateConfig, as_json: bool) -> int:
    """Score WebDataset shards of generated images with MaSC, and rank the models that made them.

    Every GPU of the Ray cluster (or the CPU, without one) takes a worker. Results go to RUN: one
    row a sample in scores/, tables per model and concept in summary/. The same call again goes on
    where it stopped.
    """
    check(config)
    # Workers have working directories of their own.
    config = replace(config, run=absolute(config.run))
    shards = find_shards(expand(config.samples, "samples"))
    references = expand(config.references, "references")
    checkpoint = find_checkpoint(config.encoder)
    fingerprint = fingerprint_of(config, checkpoint, references)
    run = RunDirectory(config.run)
    with (
        Stop(config.limits.grace_seconds) as stop,
        Lease(run, on_loss=partial(stop.ask, "another driver has taken this run", 0)) as claim,
    ):
        run.prepare(fingerprint, config.overwrite)
        to_do = run.still_to_do(shards, fingerprint)
        log.info("%d shards, %d of them scored before", len(shards), len(shards) - len(to_do))
        record = RunRecord(run, config, fingerprint, len(shards))
        if not to_do:
            summary = summarise_run(config.run)
            if (run.read_description() or {}).get("state") != "done":
                # Its driver died after the last commit.
                record.write("done", counts=asdict(summary.counts))
            return _verdict(config, summary, 0, as_json)
        record.write("running")
        try:
            with joined_cluster(config.ray.address):
                stop.listen()  # Ray took SIGTERM for itself
                layout = layout_of_cluster(config.workers, len(to_do))
                plan = Plan(config, checkpoint, fingerprint, layout.cpus, layout.batch_size)
                with Progress(len(to_do)) as progress:
                    driver = Driver(
                        *(plan, layout, run, to_do, references, progress),
                        stop=stop,
                        room=lambda: layout_of_cluster(config.workers, len(to_do)).count,
                    )
                    driver.score_all()
                scored = time.monotonic()
                # Some worker may have committed a part of these all the same.
                set_aside = run.still_to_do(driver.set_aside, fingerprint)
                summary = _reduce(run)
            record.write(
                "incomplete" if set_aside else "done",
                counts=asdict(summary.counts),
                n_shards_scored=len(driver.reports),
                n_shards_set_aside=len(set_aside),
                workers=driver.workers(),
                timings=_timings(record.began, driver.began_scoring or scored, scored),
            )
        except CallError:
            record.write("stopped")
            raise
        except (KeyboardInterrupt, Incomplete, StorageError) as error:
            log.error("%s; the same call goes on from here", str(error) or "interrupted")
            # What stopped it may also keep the record from being written.
            with suppress(StorageError):
                if not claim.is_lost:
                    record.write("stopped")
            return EXIT_INCOMPLETE
        return _verdict(config, summary, len(set_aside), as_json)


def _reduce(run: RunDirectory) -> Summary:
    """Reduce on the cluster, where the parts are near.

    Raises:
        Incomplete: no shard could be scored, so there is nothing to reduce.
    """
    if not run.parts():
        raise Incomplete("no shard could be scored; failed/ in the run says why")
    try:
        return ray.get(ray.remote(summarise_run).remote(run.url))
    except RayTaskError as error:
        raise error.cause from error


def _timings(began: float, began_scoring: float, scored: float) -> dict[str, float]:
    """Seconds of the call: Ray, encoders and references; then shards; then the reducer."""
    return {
        "start": round(began_scoring - began, 3),
        "scoring": round(scored - began_scoring, 3),
        "reduce": round(time.monotonic() - scored, 3),
    }


def _verdict(config: EvaluateConfig, summary: Summary, n_set_aside: int, as_json: bool) -> int:
    """Print the result; the exit status."""
    counts = summary.counts
    if as_json:
        redacted = redact(config.run)
        document = {"run": redacted, "n_shards_set_aside": n_set_aside, **summary.document()}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        print_leaderboard(summary.model)
    log.info(
        "%d samples: %d ok, %d skipped, %d errors; %d shards set aside",
        counts.n, counts.n_ok, counts.n_skipped, counts.n_error, n_set_aside,
    )  # fmt: skip
    log.info("scores, tables and leaderboard: %s", redact(config.run))
    if n_set_aside:
        log.error("shards were set aside (see failed/); the same call tries them again")
        return EXIT_INCOMPLETE
    if counts.n_error > config.limits.max_error_rate * counts.n:
        log.error(
            "%d of %d samples could not be scored, more than limits.max_error_rate=%g allows; "
            "the column `error` in scores/ says why",
            counts.n_error, counts.n, config.limits.max_error_rate,
        )  # fmt: skip
        return EXIT_TOO_MANY_ERRORS
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("evaluate", EvaluateConfig, evaluate, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
