"""`python -m jobs.segment`: shards of images in, the same shards with masks out."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports that take seconds.
    from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

    exit_at_interrupt()

import json
import logging

from jobs.pipeline.cluster.running import Outcome
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE, EXIT_TOO_MANY_ERRORS
from jobs.pipeline.errors import Incomplete
from jobs.pipeline.segmenting_task import SegmentConfig, SegmentedTotal, segment
from jobs.pipeline.storage.filesystem import absolute
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


def segment_command(config: SegmentConfig, as_json: bool) -> int:
    """Give the images of WebDataset shards masks of what their `subject` names.

    Every GPU of the Ray cluster (or the CPU, without one) takes a worker. OUT gets shards of the
    same names, with a mask beside every image and all else byte for byte. The same call again goes
    on where it stopped.
    """
    try:
        outcome = segment(config)
    except Incomplete as error:
        log.error("%s; the same call goes on from here", error)
        return EXIT_INCOMPLETE
    _show(config, outcome, as_json)
    return verdict(config, outcome)


def _show(config: SegmentConfig, outcome: Outcome[SegmentedTotal], as_json: bool) -> None:
    """The result, on stdout."""
    total = outcome.result
    if as_json:
        document = {"out": redact(absolute(config.out)), "n_shards_set_aside": outcome.n_set_aside}
        sys.stdout.write(json.dumps({**document, **vars(total)}) + "\n")
        return
    rows = [(f"{5 * i}-{5 * i + 5} %", n) for i, n in enumerate(total.coverage_histogram) if n]
    rows = [("empty", total.n_empty), *rows, ("the whole image", total.n_full)]
    sys.stdout.write("masks by the share of their image that they cover\n")
    for name, n in rows:
        sys.stdout.write(f"{name:>16} {n:>9}\n")


def verdict(config: SegmentConfig, outcome: Outcome[SegmentedTotal]) -> int:
    """The exit status, said."""
    total, limits = outcome.result, config.limits
    log.info(
        "%d samples: %d segmented, %d had a mask, %d errors; %d shards set aside",
        *(total.n, total.n_segmented, total.n_kept, total.n_error, outcome.n_set_aside),
    )
    log.info(
        "%d masks are empty, %d cover all; shards: %s",
        *(total.n_empty, total.n_full, redact(absolute(config.out))),
    )
    if outcome.n_set_aside:
        log.error("shards were set aside (see failed/); the same call tries them again")
        return EXIT_INCOMPLETE
    status = EXIT_DONE
    if total.n_error > limits.max_error_rate * total.n:
        log.error(
            "%d of %d samples could not be segmented, more than limits.max_error_rate=%g allows; "
            "segmented/ says why",
            *(total.n_error, total.n, limits.max_error_rate),
        )
        status = EXIT_TOO_MANY_ERRORS
    if total.n_empty > limits.max_empty_rate * total.n_segmented:
        log.error(
            "%d of %d masks are empty, more than limits.max_empty_rate=%g allows",
            *(total.n_empty, total.n_segmented, limits.max_empty_rate),
        )
        status = EXIT_TOO_MANY_ERRORS
    return status


def main() -> int:
    """The command line."""
    return run_command("segment", SegmentConfig, segment_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run_main(main))
