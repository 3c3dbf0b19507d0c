"""What is suspicious of a row that was scored: its figures are the authors', and may not be meant.

Each kind is counted over a run, and said at its end with its first example and its cure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jobs.pipeline.run.reports import Warned
from jobs.pipeline.run.rows import OK

MASK, ORIENTATION, NO_VALUE = "mask", "orientation", "no value"
NO_SUBJECT, SUBJECT_NOT_FOUND, EMPTY_TEXT = "no subject", "subject not found", "empty text"

CURES = {
    MASK: "masks have values that make no patch foreground: a mask is 255 where the concept is, "
    "0 elsewhere",
    ORIENTATION: "images are not stored upright, and were scored as they are stored: "
    "jobs.pack upright=true turns them",
    NO_VALUE: "samples lack the value of a comparator, which could not score them: their columns "
    "are null, and `error` says why",
    NO_SUBJECT: "samples have no subject, so PF measured the whole prompt: give `subject` in their "
    "JSON, or in their references'",
    SUBJECT_NOT_FOUND: "samples have a subject that does not occur in their prompt, so PF measured "
    "the whole prompt: name it as the prompt does",
    EMPTY_TEXT: "prompts are nothing but their subject, so PF measured an empty text",
}
"""What is said of each kind, after the number of its rows."""


def warnings_of(
    rows: Iterable[Mapping[str, Any]], flags: Mapping[str, Mapping[str, str]]
) -> dict[str, Warned]:
    """What is suspicious of rows, by its kind.

    Args:
        rows: of one shard.
        flags: by the key of a row what was seen of it, by its kind.
    """
    found: dict[str, Warned] = {}
    for row in rows:
        if row["status"] != OK:
            continue
        for kind, what in {**flags.get(row["key"], {}), **_of_text(row)}.items():
            warned = Warned(1, f"{row['key']}: {what}")
            found[kind] = found[kind] + warned if kind in found else warned
    return found


def _of_text(row: Mapping[str, Any]) -> dict[str, str]:
    if "text" not in row:
        return {}
    if not row["subject"]:
        return {NO_SUBJECT: f"prompt {row['prompt'][:60]!r}"}
    if not row["subject_found"]:
        return {
            SUBJECT_NOT_FOUND: f"subject {row['subject'][:40]!r}, prompt {row['prompt'][:60]!r}"
        }
    return {} if row["text"] else {EMPTY_TEXT: f"prompt {row['prompt'][:60]!r}"}
