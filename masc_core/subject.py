"""Taking the subject out of a prompt, so that PF measures the scene and not the subject.

The rule is MaSC's (arXiv 2605.22469, the stripper behind the published numbers).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from threading import Lock
from typing import get_args

from masc_core.defaults import SPACY_MODEL, Stripper
from masc_core.spacy_model import find_spacy_model

_parsing = Lock()
"""A spaCy pipeline does not promise to bear several threads at once."""

KEPT_PROMPTS = 1 << 16
"""Prompts repeat over models and seeds, and parsing one takes milliseconds."""


def strip_subject(
    prompt: str,
    subject: str | None,
    stripper: Stripper = "regex",
    spacy_model: str = SPACY_MODEL,
) -> str:
    """The text that PF encodes.

    Args:
        prompt: the prompt that made the image.
        subject: the noun that names the concept in it, such as "piggy bank". Without one (None or
            blank) the prompt is returned as it is.
        stripper: `regex` removes every "a|an|the SUBJECT" if there is one, else every bare
            SUBJECT, ignoring case, at word boundaries; whitespace is then collapsed. `none` keeps
            the prompt. `spacy` asks the authors' syntax-aware stripper (`masc-metric[spacy]`).
        spacy_model: that one's pipeline, a package or a directory; see `find_spacy_model`.

    Raises:
        ValueError: an unknown stripper.
        TypeError: a prompt or subject that is not text.
        ImportError, OSError, ValueError: `spacy`, and the package or its language model is not
            there.

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
        return _strip_by_syntax(prompt, subject, spacy_model)
    noun = re.escape(subject.strip())
    with_article = re.compile(rf"\b(?:a|an|the)\s+{noun}\b", re.IGNORECASE)
    bare = re.compile(rf"\b{noun}\b", re.IGNORECASE)
    pattern = with_article if with_article.search(prompt) else bare
    return " ".join(pattern.sub("", prompt).split())


def subject_found(prompt: str, text: str) -> bool:
    """Whether stripping removed anything but whitespace."""
    return prompt.split() != text.split()


def require_stripper(stripper: Stripper, spacy_model: str = SPACY_MODEL) -> None:
    """Fail now if `stripper` cannot work, and not at the first prompt.

    Raises:
        ValueError: an unknown stripper.
        ImportError, OSError, ValueError: what `spacy` needs is not there; the message says how to
            get it.
    """
    _require_known(stripper)
    if stripper == "spacy":
        _strip_by_syntax("a cat", "cat", spacy_model)


def _require_known(stripper: str) -> None:
    if stripper not in get_args(Stripper):
        raise ValueError(f"stripper={stripper!r}: expected one of {get_args(Stripper)}")


@lru_cache(KEPT_PROMPTS)
def _strip_by_syntax(prompt: str, subject: str, spacy_model: str) -> str:
    pipeline = _loadable(spacy_model)
    from masc import strip_subject_from_prompt

    with _parsing:
        return strip_subject_from_prompt(prompt, subject, stripper="spacy", spacy_model=pipeline)


@cache
def _loadable(spacy_model: str) -> str:
    """The pipeline as spaCy takes it, once masc-metric can be imported."""
    from masc_core.torchvision_compat import make_torchvision_importable

    make_torchvision_importable()  # its package imports all of its metric
    return find_spacy_model(spacy_model).name_or_path
