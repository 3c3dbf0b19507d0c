"""What a call notes for the next one, as JSON in its output."""

from __future__ import annotations

import json
from typing import Any

from jobs.pipeline.storage.filesystem import join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.writing import write_in_one_step


def read_json(directory: str, name: str) -> dict[str, Any] | None:
    """None where there is none, or none that a call of this kind wrote."""
    fs, path = open_filesystem(directory, keeps_listings=False)
    try:
        found = json.loads(with_retries(redact(directory), lambda: fs.cat_file(join(path, name))))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(directory: str, name: str, document: dict[str, Any]) -> None:
    """Write it in one step."""
    fs, path = open_filesystem(directory, keeps_listings=False)
    write_in_one_step(fs, join(path, name), json.dumps(document, indent=2).encode() + b"\n")
