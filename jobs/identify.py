"""`python -m jobs.identify run=RUN`: same subject against another, by AUC and retrieval."""

from __future__ import annotations

import json
import logging
import sys

from rich.text import Text

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.messages import console_for_results, printable
from jobs.pipeline.identification import Identified, IdentifyConfig, identification
from jobs.pipeline.results import figures
from jobs.pipeline.results.identity.document import document
from jobs.pipeline.results.identity.drawn import roc, violins
from jobs.pipeline.results.identity.written import latex, markdown, notes, table
from jobs.pipeline.results.text_tables import print_table
from jobs.pipeline.storage.filesystem import refuse_for_results
from jobs.pipeline.storage.writing import write_files

log = logging.getLogger(__name__)


def identify_command(config: IdentifyConfig, as_json: bool) -> int:
    """Hold pairs of photos of one subject against pairs of two: AUC, delta, retrieval.

    Rows are those of shards that jobs.pack kind=orida or kind=pairs wrote.
    """
    if config.out is not None:
        refuse_for_results(config.out, "out")
    with_figures = config.out is not None and figures.are_wanted(config.figures)
    found = identification(config)
    text = json.dumps(document(found.columns), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if config.out is not None:
        _write(config.out, found, text, with_figures)
    for each in found.columns:
        log.info("%s: AUC %.4f, mAP %.4f", each.name, each.auc.mean, each.retrieval.mean)
    if as_json:
        sys.stdout.write(text)
    else:
        _print(found)
    return EXIT_DONE


def _write(out: str, found: Identified, text: str, with_figures: bool) -> None:
    files = {
        "identify.json": text.encode(),
        "identify.md": markdown(found.columns, found.rows_left_out).encode(),
        "identify.tex": latex(found.columns).encode(),
    }
    if with_figures:
        files |= roc(found.columns) | violins(found.columns)
    write_files(out, files)


def _print(found: Identified) -> None:
    console = console_for_results(highlight=False)
    print_table(console, table(found.columns))
    for line in notes(found.columns, found.rows_left_out):
        console.print(Text(printable(line)), soft_wrap=True)


def main() -> int:
    """The command line."""
    return run_command("identify", IdentifyConfig, identify_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
