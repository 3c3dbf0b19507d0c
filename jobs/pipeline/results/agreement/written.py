"""Agreement as Markdown, and its tables as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobs.pipeline.results.agreement import wording
from jobs.pipeline.results.agreement.agreeing import Section
from jobs.pipeline.results.agreement.tables import tables, title
from jobs.pipeline.results.text_tables import bullets, escaped, latex_table, markdown_table


def markdown(sections: Sequence[Section]) -> str:
    """The document: what differs first, then the tables, then what they rest on."""
    blocks = ["# Agreement with people"]
    for section in sections:
        blocks.append(f"## {escaped(title(section))}")
        blocks += [bullets(lines) for lines in (wording.sentences(section),) if lines]
        blocks += [markdown_table(each) for each in tables(section)]
        blocks.append(bullets(wording.notes(section)))
    return "\n\n".join([*blocks, f"<sub>{wording.FOOTNOTE}</sub>"]) + "\n"


def latex(sections: Sequence[Section]) -> str:
    """The tables alone."""
    titled = [
        replace(each, title=f"{title(section)}: {each.title}")
        for section in sections
        for each in tables(section)
    ]
    return "\n\n".join(map(latex_table, titled)) + "\n"
