"""`python -m jobs.explain run=RUN key=KEY out=FILE.png`: where one sample's scores come from."""

from __future__ import annotations

import json
import logging
import sys

from jobs.pages.explained_figure import explained_figure
from jobs.pages.explained_page import explained_page
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.messages import print_lines
from jobs.pipeline.errors import CallError
from jobs.pipeline.explaining import ExplainConfig, Explained, explain_sample
from jobs.pipeline.results import figures
from jobs.pipeline.results.numbers import number, plain
from jobs.pipeline.storage.filesystem import open_filesystem, refuse_for_results
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.writing import write_in_one_step

log = logging.getLogger(__name__)

KINDS = ("png", "svg", "html")
"""By the end of `out`."""


def explain_command(config: ExplainConfig, as_json: bool) -> int:
    """Draw one sample: references and generation with their masks, which reference patches were met
    and how well (CP), what the attention pool looked at (PF), and the prompt with what was stripped
    struck through.

    FILE.png and FILE.svg are for print and need the extra `figures`; FILE.html is a page on which
    each patch shows the one that met it.
    """
    kind = _kind_of(config.out)
    refuse_for_results(config.out, "out")
    if kind != "html":
        figures.are_wanted(True)
    found = explain_sample(config)
    for line in found.differences:
        log.warning("%s; the picture shows what is computed here", line)
    content = explained_page(found) if kind == "html" else explained_figure(found, kind)
    fs, path = open_filesystem(config.out)
    write_in_one_step(fs, path, content)
    log.info("wrote %s", redact(config.out))
    if as_json:
        sys.stdout.write(json.dumps(_document(found), ensure_ascii=False) + "\n")
    else:
        print_lines(_lines(found))
    return EXIT_DONE


def _kind_of(out: str) -> str:
    name, dot, kind = out.rpartition("/")[2].rpartition(".")
    if not (dot and name and kind.lower() in KINDS):
        listed = ", ".join(f"FILE.{each}" for each in KINDS)
        raise CallError(f"out={redact(out)}: expected {listed}")
    return kind.lower()


def _lines(found: Explained) -> list[tuple[str, str]]:
    explanation = found.explanation
    return [
        ("key", found.row["key"]),
        ("text", explanation.text),
        ("CP", plain(explanation.cp)),
        *(
            (f"CP, {photo.key}", plain(match.cp))
            for photo, match in zip(found.references, explanation.references, strict=True)
        ),
        ("PF", plain(explanation.pf)),
        *(("differs", line) for line in found.differences),
    ]


def _document(found: Explained) -> dict[str, object]:
    """Null where there is no score, never NaN."""
    explanation = found.explanation
    return {
        "key": found.row["key"],
        "text": explanation.text,
        "cp": number(explanation.cp),
        "pf": number(explanation.pf),
        "cp_per_reference": {
            photo.key: number(match.cp)
            for photo, match in zip(found.references, explanation.references, strict=True)
        },
        "differences": list(found.differences),
    }


def main() -> int:
    """The command line."""
    return run_command("explain", ExplainConfig, explain_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
