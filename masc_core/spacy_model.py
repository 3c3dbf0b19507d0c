"""Which spaCy pipeline a name stands for, found out without importing spaCy.

Whoever describes a run does this before any worker starts: a wrong name is one line there, and the
digest of the pipeline becomes part of the run's fingerprint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from masc_core.checkpoint import CheckpointError, digest_of

EXTRA = (
    "metric.stripper=spacy needs the extra: pip install 'masc-eval[spacy]' "
    "&& python -m spacy download en_core_web_sm"
)

META, CONFIG = "meta.json", "config.cfg"

_NEEDED = ("parser", "lemmatizer")
"""Components, by how their names end, that the stripper asks: without them every word is a mention
of the subject, as all lemmas are empty, and nothing says so."""

_NOT_ASKED = frozenset({"ner"})
"""Components that masc-metric does not load."""


@dataclass(frozen=True)
class SpacyModel:
    """A pipeline that exists."""

    name_or_path: str
    """A package, or an absolute directory; `spacy.load` takes it."""
    weights: str
    """What tells the prompts that it strips from others: `sha256:...` of the files."""


def find_spacy_model(name_or_path: str) -> SpacyModel:
    """The pipeline of this name.

    Args:
        name_or_path: an installed package, or a directory: the pipeline's own, or that of a package
            that has it inside.

    Raises:
        ImportError: masc-metric or spaCy is not installed.
        CheckpointError: there is no such pipeline, or none that can strip.
    """
    if find_spec("masc") is None or find_spec("spacy") is None:
        raise ImportError(EXTRA)
    # A package first, as spaCy does.
    if (package := _package_folder(name_or_path)) is not None:
        return SpacyModel(name_or_path, _weights(_pipeline_in(package, name_or_path), name_or_path))
    path = Path(name_or_path).expanduser().resolve()
    if not path.is_dir():
        raise CheckpointError(
            f"{name_or_path}: no such directory, nor a package that is installed: "
            f"python -m spacy download {Path(name_or_path).name}"
        )
    pipeline = _pipeline_in(path, name_or_path)
    return SpacyModel(str(pipeline), _weights(pipeline, name_or_path))


def require_same_pipeline(described: SpacyModel) -> None:
    """Fail now if this machine has another one: a package may be of another version here.

    Raises:
        ImportError, ValueError: it has, or none.
    """
    here = find_spacy_model(described.name_or_path)
    if here.weights != described.weights:
        raise ValueError(
            f"metric.spacy_model={here.name_or_path}: on this machine it is {here.weights}, and "
            f"{described.weights} where the run was described"
        )


def _package_folder(name: str) -> Path | None:
    if not name.isidentifier():
        return None
    try:
        distribution(name)
    except PackageNotFoundError:
        return None
    spec = find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _pipeline_in(folder: Path, name: str) -> Path:
    """The folder itself, or the one inside that spaCy's packages have."""
    if (folder / CONFIG).is_file():
        return folder
    if (folder / META).is_file():
        meta = _meta(folder, name)
        inner = folder / f"{meta.get('lang')}_{meta.get('name')}-{meta.get('version')}"
        if (inner / CONFIG).is_file():
            return inner
    raise CheckpointError(f"{name}: no {CONFIG} in this directory; is it a spaCy pipeline?")


def _weights(folder: Path, name: str) -> str:
    """Of what is loaded to strip; what else lies there changes no prompt."""
    components = _meta(folder, name).get("pipeline")
    if not isinstance(components, list):
        raise CheckpointError(f"{name}: its {META} names no components")
    for needed in _NEEDED:
        if not any(str(each).endswith(needed) for each in components):
            raise CheckpointError(f"{name}: a pipeline without a {needed}, which the stripper asks")
    read = ["tokenizer", "vocab", *(each for each in components if each not in _NOT_ASKED)]
    files = [own for each in read for own in _files(folder / str(each))]
    return f"sha256:{digest_of([folder / CONFIG, *files])}"


def _meta(folder: Path, name: str) -> dict[str, Any]:
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: its {META} cannot be read: {error}") from error
    if not isinstance(meta, dict):
        raise CheckpointError(f"{name}: its {META} describes no pipeline")
    return meta


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [each for each in path.rglob("*") if each.is_file()]
