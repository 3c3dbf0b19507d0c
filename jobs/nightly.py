"""`python -m jobs.nightly`: new checkpoints evaluated, judged, written down and told of."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports that take seconds.
    from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

    exit_at_interrupt()

import json
import logging
from typing import Any

from jobs.pages.reporting import night_page
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import (
    EXIT_DONE,
    EXIT_INCOMPLETE,
    EXIT_REGRESSED,
    EXIT_TOO_MANY_ERRORS,
    EXIT_UNDECIDED,
)
from jobs.pipeline.command.messages import console_for_results
from jobs.pipeline.errors import Incomplete, StorageError
from jobs.pipeline.judging import files_of
from jobs.pipeline.nightly import Night, nightly
from jobs.pipeline.nightly_settings import NightlyConfig
from jobs.pipeline.nights import wording
from jobs.pipeline.nights.suites import merged
from jobs.pipeline.results.comparison.verdict import Verdict
from jobs.pipeline.results.text_tables import print_table
from jobs.pipeline.storage.redaction import redact, scrub
from jobs.pipeline.storage.writing import write_files

log = logging.getLogger(__name__)


def nightly_command(config: NightlyConfig, as_json: bool) -> int:
    """Judge the checkpoints that are new in INBOX: score each, hold it against the last that
    passed and against a pinned baseline, write the history, and tell a webhook.

    Every call goes on where the last one stopped, and does nothing twice. Exit status: 3 a night
    could not be finished, 4 a checkpoint of this call regressed, 5 the data cannot decide of one,
    2 more samples failed than limits.max_error_rate, else 0.
    """
    try:
        night = nightly(config, night_page)
    except (Incomplete, StorageError) as error:
        if isinstance(error, StorageError) and not error.is_transient:
            raise
        log.error("%s; the same call goes on from here", error)
        return EXIT_INCOMPLETE
    columns = list(dict.fromkeys([*config.columns, *config.gate]))
    trend = night.history.trend(columns)
    found = _document(night, trend)
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if config.out is not None:
        suites = [files_of(night.home, row) for row in night.judged]
        files = {
            "night.json": text.encode(),
            "night.md": wording.markdown(night.judged, columns, trend, night.unfinished).encode(),
            "junit.xml": merged(suites),
        }
        write_files(config.out, files)
    for row in night.judged:
        log.info("%s", wording.headline(row))
        for line in wording.details(row):
            log.warning("%s: %s", row["checkpoint"], line)
    if as_json:
        sys.stdout.write(text)
    else:
        print_table(console_for_results(), wording.table(night.judged, columns))
        for line in wording.trend_lines(trend):
            sys.stdout.write(f"{line}\n")
    return _status(night)


def _document(night: Night, trend: dict[str, Any]) -> dict[str, Any]:
    return {
        "home": redact(night.home.url),
        "judged": [wording.document(row) for row in night.judged],
        "unfinished": night.unfinished and scrub(night.unfinished),
        "n_waiting": night.n_waiting,
        "n_judged_ever": len(night.history.rows),
        "trend": wording.json_of(trend),
    }


def _status(night: Night) -> int:
    words = {row[name] for row in night.judged for name in ("verdict", "verdict_pin")}
    if night.unfinished:
        return EXIT_INCOMPLETE
    if Verdict.REGRESSED in words:
        return EXIT_REGRESSED
    if Verdict.UNDECIDED in words:
        return EXIT_UNDECIDED
    if any(row["has_too_many_errors"] for row in night.judged):
        return EXIT_TOO_MANY_ERRORS
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("nightly", NightlyConfig, nightly_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run_main(main))
