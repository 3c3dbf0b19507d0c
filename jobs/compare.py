"""`python -m jobs.compare baseline=RUN candidate=RUN`: improved, same, undecided or regressed."""

from __future__ import annotations

import json
import logging
import sys

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.comparison import EXITS, CompareConfig, Judged, compare
from jobs.pipeline.results.comparison.document import document
from jobs.pipeline.results.comparison.junit import junit
from jobs.pipeline.results.comparison.markdown import markdown
from jobs.pipeline.results.comparison.terminal import print_comparisons
from jobs.pipeline.results.comparison.wording import headline
from jobs.pipeline.storage.filesystem import refuse_for_results
from jobs.pipeline.storage.writing import write_files

log = logging.getLogger(__name__)


def compare_command(config: CompareConfig, as_json: bool) -> int:
    """Hold a candidate against a baseline: is it worse by more than a margin?

    Samples are paired by concept, prompt and seed; concepts are the unit of chance. Exit status: 0
    improved or the same, 4 regressed, 5 the data cannot decide.
    """
    if config.out is not None:
        refuse_for_results(config.out, "out")
    judged = compare(config)
    found = document(judged.comparisons, judged.rules.confidence, judged.unmatched)
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if config.out is not None:
        _write(config.out, judged, text)
    for comparison in judged.comparisons:
        log.info("%s", headline(comparison))
    if as_json:
        sys.stdout.write(text)
    else:
        print_comparisons(judged.comparisons, judged.rules, judged.unmatched)
    return EXITS.get(judged.verdict, EXIT_DONE)


def _write(out: str, judged: Judged, text: str) -> None:
    files = {
        "compare.json": text.encode(),
        "compare.md": markdown(judged.comparisons, judged.rules, judged.unmatched).encode(),
        "junit.xml": junit(judged.comparisons),
    }
    write_files(out, files)


def main() -> int:
    """The command line."""
    return run_command("compare", CompareConfig, compare_command, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
