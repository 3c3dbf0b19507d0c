"""`python -m jobs.report run=RUN`: one page to look at, which needs no server and no network."""

from __future__ import annotations

import json
import logging
import sys

from jobs.pages.reporting import export, report
from jobs.pages.settings import ReportConfig
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.messages import printable

log = logging.getLogger(__name__)


def report_command(config: ReportConfig, as_json: bool) -> int:
    """Write report/index.html: who is best, on what, by how much, and which images show it.

    One file that opens from disk. With baseline= it says what changed, with history= the trend,
    with ratings= how far the scores agree with people. export=fiftyone writes the samples of its
    gallery for FiftyOne instead.
    """
    if config.export is not None:
        exported = export(config)
        log.info("%d samples for FiftyOne in %s", exported.n_samples, exported.out)
        sys.stdout.write(
            f"{json.dumps(exported.document())}\n" if as_json else f"{printable(exported.out)}\n"
        )
        return EXIT_DONE
    written = report(config)
    log.info("%s: %.1f MB", written.page, written.n_bytes / 1e6)
    if as_json:
        sys.stdout.write(json.dumps(written.document(), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"{printable(written.page)}\n")
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("report", ReportConfig, report_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
