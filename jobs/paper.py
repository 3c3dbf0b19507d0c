"""`python -m jobs.paper data=DIR out=DIR`: the paper's tables, from data sets to figures."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports that take seconds.
    from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

    exit_at_interrupt()

import json
import logging

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE, EXIT_INCOMPLETE
from jobs.pipeline.command.messages import console_for_results
from jobs.pipeline.errors import Incomplete
from jobs.pipeline.paper.reproducing import Paper, reproduce
from jobs.pipeline.paper.settings import PaperConfig
from jobs.pipeline.results.paper.written import document, html, markdown, tables_of
from jobs.pipeline.results.text_tables import print_table
from jobs.pipeline.storage.writing import write_files

log = logging.getLogger(__name__)


def paper_command(config: PaperConfig, as_json: bool) -> int:
    """Make the paper's tables: ours, the published figure, the difference, and why a row has none.

    DATA holds dreambenchplus/ and orida/ as their authors ship them. Each recipe of conf/paper is a
    table. The same call again goes on where it stopped, and does nothing twice.
    """
    try:
        paper = reproduce(config)
    except Incomplete as error:
        log.error("%s; the same call goes on from here", error)
        return EXIT_INCOMPLETE
    text = json.dumps(document(paper.tables), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {"paper.md": markdown(paper.tables), "paper.html": html(paper.tables)}
    write_files(
        config.out, {name: own.encode() for name, own in {**files, "paper.json": text}.items()}
    )
    if as_json:
        sys.stdout.write(text)
    else:
        _print(paper)
    if paper.exit_status != EXIT_DONE:
        log.error("not all samples could be scored; the notes of the tables say why")
    return paper.exit_status


def _print(paper: Paper) -> None:
    console = console_for_results(highlight=False)
    for table in paper.tables:
        console.print(f"\n{table.title}", style="bold", markup=False)
        for each in tables_of(table):
            print_table(console, each)


def main() -> int:
    """The command line."""
    return run_command("paper", PaperConfig, paper_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run_main(main))
