"""Agreement in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from jobs.pipeline.command.messages import console_for_results, printable
from jobs.pipeline.results.agreement import wording
from jobs.pipeline.results.agreement.agreeing import Section
from jobs.pipeline.results.agreement.tables import tables, title
from jobs.pipeline.results.text_tables import print_table


def print_sections(sections: Sequence[Section]) -> None:
    """Print all on stdout; a file or a pipe has no edge to fold at."""
    console = console_for_results(highlight=False)
    for section in sections:
        console.print(Text(printable(title(section)), "bold"))
        for each in tables(section):
            print_table(console, each)
        for line in (*wording.sentences(section), *wording.notes(section)):
            console.print(Text(printable(line)), soft_wrap=True)
