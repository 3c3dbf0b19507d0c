"""Taking the subject out of a prompt, so that PF measures the scene and not the subject.

The rule is MaSC's (arXiv 2605.22469, the stripper behind the published numbers).
"""

from __future__ import annotations

import re
from typing import get_args

from masc_core.defaults import Stripper


def strip_subject(prompt: str, subject: str | None, stripper: Stripper = "regex") -> str:
    """The text that PF encodes.

    Args:
        prompt: the prompt that made the image.
        subject: the noun that names the concept in it, such as "piggy bank". Without one (None or
            blank) the prompt is returned as it is.
        stripper: `regex` removes every "a|an|the SUBJECT" if there is one, else every bare
            SUBJECT, ignoring case, at word boundaries; whitespace is then collapsed. `none` keeps
            the prompt. `spacy` asks the authors' syntax-aware stripper (`masc-metric[spacy]`).

    Raises:
        ValueError: an unknown stripper.
        TypeError: a prompt or subject that is not text.
        ImportError, OSError: `spacy`, and the package or its language model is not installed.

    >>> strip_subject("A photo of a cat on the Cat sofa", "cat")
    'A photo of on sofa'
    >>> strip_subject("Two cats and cat food", "cat")
    'Two cats and food'
    """
    _require_known(stripper)
    if not isinstance(prompt, str):
        raise TypeError(f"prompt={prompt!r}: expected text")
    if not isinstance(subject, str | None):
        raise TypeError(f"subject={subject!r}: expected text, or None for no subject")
    if stripper == "none" or not (subject and subject.strip()):
        return prompt
    if stripper == "spacy":
        return _strip_by_syntax(prompt, subject)
    noun = re.escape(subject.strip())
    with_article = re.compile(rf"\b(?:a|an|the)\s+{noun}\b", re.IGNORECASE)
    bare = re.compile(rf"\b{noun}\b", re.IGNORECASE)
    pattern = with_article if with_article.search(prompt) else bare
    return " ".join(pattern.sub("", prompt).split())


def subject_found(prompt: str, text: str) -> bool:
    """Whether stripping removed anything but whitespace."""
    return prompt.split() != text.split()


def require_stripper(stripper: Stripper) -> None:
    """Fail now if `stripper` cannot work, and not at the first prompt.

    Raises:
        ValueError: an unknown stripper.
        ImportError, OSError: what `spacy` needs is not installed; the message says how to get it.
    """
    _require_known(stripper)
    if stripper == "spacy":
        _strip_by_syntax("a cat", "cat")


def _require_known(stripper: str) -> None:
    if stripper not in get_args(Stripper):
        raise ValueError(f"stripper={stripper!r}: expected one of {get_args(Stripper)}")


def _strip_by_syntax(prompt: str, subject: str) -> str:
    try:
        from masc import strip_subject_from_prompt
    except ImportError as error:
        raise ImportError(
            "metric.stripper=spacy needs the extra: pip install 'masc-eval[spacy]' "
            "&& python -m spacy download en_core_web_sm"
        ) from error
    return strip_subject_from_prompt(prompt, subject, stripper="spacy")
