"""`python -m jobs.agree ratings=FILE runs=RUN`: metrics against people, with intervals."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.pipeline.agreement import AgreeConfig, agreement, check_formula
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.messages import console_for_results
from jobs.pipeline.errors import CallError
from jobs.pipeline.results import figures
from jobs.pipeline.results.agreement.agreeing import Section
from jobs.pipeline.results.agreement.document import document, document_of_check
from jobs.pipeline.results.agreement.forest import forest
from jobs.pipeline.results.agreement.published import TOLERANCE, Checked
from jobs.pipeline.results.agreement.tables import table_of_check
from jobs.pipeline.results.agreement.terminal import print_sections
from jobs.pipeline.results.agreement.wording import headline
from jobs.pipeline.results.agreement.written import latex, markdown
from jobs.pipeline.results.text_tables import markdown_table, print_table
from jobs.pipeline.storage.filesystem import refuse_for_results
from jobs.pipeline.storage.writing import write_files

log = logging.getLogger(__name__)


def agree_command(config: AgreeConfig, as_json: bool) -> int:
    """Hold metrics against people: Krippendorff's alpha, rank correlations, and who beats whom.

    Ratings are a table of model, concept, prompt_id, rater and rating, or what DreamBench++ ships.
    """
    if config.out is not None:
        refuse_for_results(config.out, "out")
    if config.check is not None:
        return _check(config, as_json)
    with_figures = config.out is not None and figures.are_wanted(config.figures)
    sections = agreement(config)
    text = _json(document(sections))
    if config.out is not None:
        _write(config.out, sections, text, with_figures)
    for section in sections:
        log.info("%s", headline(section))
    if as_json:
        sys.stdout.write(text)
    else:
        print_sections(sections)
    return EXIT_DONE


def _write(out: str, sections: Sequence[Section], text: str, with_figures: bool) -> None:
    files = {
        "agree.json": text.encode(),
        "agree.md": markdown(sections).encode(),
        "agree.tex": latex(sections).encode(),
    }
    write_files(out, files | (forest(sections) if with_figures else {}))


def _check(config: AgreeConfig, as_json: bool) -> int:
    checked = check_formula(config)
    text, table = _json(document_of_check(checked, TOLERANCE)), table_of_check(checked)
    if config.out is not None:
        shown = f"{markdown_table(table)}\n"
        write_files(config.out, {"check.json": text.encode(), "check.md": shown.encode()})
    if as_json:
        sys.stdout.write(text)
    else:
        print_table(console_for_results(highlight=False), table)
    off = [each for each in checked if not abs(each.difference) <= TOLERANCE]
    if off:
        raise CallError(_what_is_off(off, len(checked)))
    log.info("all %d figures are within %g of the published ones", len(checked), TOLERANCE)
    return EXIT_DONE


def _what_is_off(off: Sequence[Checked], n: int) -> str:
    worst = max(off, key=lambda each: abs(each.difference))
    return (
        f"{len(off)} of {n} figures are not within {TOLERANCE:g} of the published ones; the "
        f"farthest is {worst.model}, {worst.pair}: {worst.ours:.3f}, published "
        f"{worst.published:.3f}. Are these the ratings as DreamBench++ ships them?"
    )


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def main() -> int:
    """The command line."""
    return run_command("agree", AgreeConfig, agree_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
