"""A comparison as a comment on a pull request: the word first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.pipeline.command.messages import printable
from jobs.pipeline.results.comparison import wording
from jobs.pipeline.results.comparison.comparing import Comparison, Rules
from jobs.pipeline.results.comparison.verdict import worst
from jobs.pipeline.results.leaderboard import escape_markdown
from jobs.pipeline.results.numbers import ABSENT, plain, signed

MOST_SHOWN = 20
"""Comparisons of a call that have a table of their own."""


def markdown(
    comparisons: Sequence[Comparison], rules: Rules, unmatched: Mapping[str, Sequence[str]]
) -> str:
    """The document.

    Args:
        unmatched: models that only one side has.
    """
    sections = []
    if len(comparisons) > 1:
        verdict = worst([each.verdict for each in comparisons])
        lines = [f"- **{each.verdict}**: {_escaped(each.name)}" for each in comparisons]
        sections.append(f"# {verdict}: {len(comparisons)} comparisons\n\n" + "\n".join(lines))
    depth = "##" if len(comparisons) > 1 else "#"
    sections += [_section(each, rules, depth) for each in comparisons[:MOST_SHOWN]]
    for side, models in unmatched.items():
        if models:
            names = ", ".join(map(_escaped, models))
            sections.append(f"Only in the {side}, so not compared: {names}.")
    return "\n\n".join([*sections, _footnote(comparisons, rules)]) + "\n"


def _section(comparison: Comparison, rules: Rules, depth: str) -> str:
    q = rules.confidence
    lists = {
        "Look at this first": [each.text for each in comparison.evidence.suspicions],
        "What would decide": wording.reasons(comparison),
        "Concepts that changed": wording.changed_concepts(comparison, q),
        "Tags that changed": wording.changed_tags(comparison, q),
    }
    blocks = [
        f"{depth} {comparison.verdict}: {_escaped(comparison.name)}",
        f"The candidate is **{wording.SENTENCES[comparison.verdict]}**."
        if comparison.verdict != "undecided"
        else "**The data cannot decide.**",
        _table(comparison),
        *(f"**{name}**\n\n{_bullets(lines)}" for name, lines in lists.items() if lines),
        f"{_escaped(wording.counts(comparison))}.",
    ]
    return "\n\n".join(blocks)


def _table(comparison: Comparison) -> str:
    rows = [["", "baseline", "change", "interval", "margin", "could see", "p", "verdict"]]
    rows.append([":--", *["--:"] * 6, ":--"])
    for column, found in comparison.columns.items():
        rows.append(
            [
                _escaped(wording.title(column)),
                plain(found.baseline),
                signed(found.estimate.mean),
                wording.interval(found),
                ABSENT if found.margin is None else f"{found.margin:g}",
                plain(found.mde),
                wording.p_value(found).replace("*", r"\*").replace("<", "&lt;"),
                ABSENT if found.verdict is None else f"**{found.verdict}**",
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _footnote(comparisons: Sequence[Comparison], rules: Rules) -> str:
    said = (
        "Regressed: the interval lies below −margin. Same: it lies above. Undecided: across. "  # noqa: RUF001 - a minus
        "Intervals are over concepts, corrected for the number of gated figures; *could see* is "
        "the smallest drop that these pairs show in 80 % of cases."
    )
    if any(c.is_sign_flip for each in comparisons for c in each.columns.values()):
        said += r" \* by permutation of signs."
    return f"<sub>{said}</sub>"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    return escape_markdown(printable(text))
