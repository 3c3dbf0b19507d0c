"""A prompt with what PF did not see told from the rest."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PromptPart:
    """A piece of the prompt."""

    text: str
    is_stripped: bool
    """Whether PF did not see it."""


def prompt_parts(prompt: str, text: str | None) -> list[PromptPart]:
    """The prompt in pieces, which together are it.

    Args:
        prompt: as it was.
        text: what stripping left of it. Where that is no part of the prompt, or not known, nothing
            is struck out.

    >>> [part.text for part in prompt_parts("a cat and a dog", "and a dog") if part.is_stripped]
    ['a cat ']
    >>> [part.is_stripped for part in prompt_parts("a cat", None)]
    [False]
    """
    if text is None:
        return [PromptPart(prompt, False)]
    words, left = _words(prompt), _words(text)
    parts: list[PromptPart] = []
    matcher = difflib.SequenceMatcher(
        None, [word.strip() for word in words], [word.strip() for word in left], autojunk=False
    )
    for tag, start, end, _, _ in matcher.get_opcodes():
        if tag not in ("equal", "delete"):
            return [PromptPart(prompt, False)]
        parts.append(PromptPart("".join(words[start:end]), tag == "delete"))
    return parts


def _words(text: str) -> list[str]:
    """Words and marks, each with the whitespace after it."""
    return re.findall(r"\w+\s*|[^\w\s]\s*|^\s+", text)
