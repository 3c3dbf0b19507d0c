"""The ratings that DreamBench++ ships: two groups of people, CLIP-I, CLIP-T, DINO and GPT.

Each file is of one method, `{"<concept>-<prompt>": number}`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fsspec import AbstractFileSystem

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.agreement.aspects import CP, PF
from jobs.pipeline.results.agreement.ratings import Column, Rating, Ratings, Sample, collect
from jobs.pipeline.shards.fields import read_json
from jobs.pipeline.storage.filesystem import join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

log = logging.getLogger(__name__)

PEOPLE = "data_human_rating/merged_data"
GROUPS = ("group1", "group2")
LEAST, MOST = 0.0, 4.0
"""Of a rating."""
KEY = re.compile(r"(?P<concept>.+)-(?P<prompt>\d+)")
STYLE = "style"
"""Of a concept's name its beginning, where it is a style: PF leaves these out, as there is no
subject to take away."""


@dataclass(frozen=True)
class Shipped:
    """Ratings of a metric, as they come with the data set."""

    folders: tuple[str, ...]
    """Where they lie; the first that is there counts."""
    is_rating: bool = False
    """Whether they are on the scale of people's."""


SHIPPED: dict[str, dict[str, Shipped]] = {
    CP: {
        "clip_i": Shipped(("data_clipi_rating",)),
        "dino_i": Shipped(("data_dino_rating",)),
        "gpt4o": Shipped(("data_gpt_rating/concept_preservation_wo_internal_thinking",), True),
        "gpt4v": Shipped(("data_gpt_rating/concept_preservation_gpt4v_full",), True),
    },
    PF: {
        "clip_t": Shipped(("data_clipt_rating",)),
        "gpt4o": Shipped(
            (
                "data_gpt_rating/prompt_following_wo_internal_thinking",
                "data_gpt_rating/prompt_following_full",
            ),
            True,
        ),
        "gpt4v": Shipped(("data_gpt_rating/prompt_following_gpt4v_full",), True),
    },
}
"""By aspect and name."""
SHIPPED_NAMES = ("clip_i", "clip_t", "dino_i", "gpt4o", "gpt4v")


class ShippedRatings:
    """The files of one directory."""

    def __init__(self, directory: str) -> None:
        """Of a copy of the data set, which lies in `directory`, a path or URL."""
        self.fs, self.path = open_filesystem(directory)
        self.shown = f"ratings={redact(directory)}"

    def people(self, aspect: str) -> Ratings | None:
        """What the two groups say of all methods; None where they say nothing of this aspect.

        Raises:
            CallError: the directory is not of this layout, or a file holds something else.
        """
        ending = f"-{aspect}.json"
        by_group = {group: self._names(f"{PEOPLE}/{group}") for group in GROUPS}
        for group, names in by_group.items():
            if not names:
                raise CallError(f"{self.shown}: no {PEOPLE}/{group}/<method>-{{cp,pf}}.json there")
        methods = {
            group: [name.removesuffix(ending) for name in names if name.endswith(ending)]
            for group, names in by_group.items()
        }
        shared = [each for each in methods[GROUPS[0]] if each in methods[GROUPS[1]]]
        for group, names in methods.items():
            for name in names:
                if name not in shared:
                    log.warning("%s: only %s has rated %s of %s", self.shown, group, aspect, name)
        if not shared:
            return None
        files = [(f"{PEOPLE}/{group}/{m}{ending}", group, m) for m in shared for group in GROUPS]
        ratings = (
            Rating(f"{self.shown}/{file}", sample, group, value)
            for file, group, method in files
            for sample, value in self._read(file, method, is_rating=True)
            if aspect == CP or not sample.concept.startswith(STYLE)
        )
        return collect(ratings, f"{self.shown}: {aspect}")

    def metric(self, aspect: str, name: str, methods: Sequence[str]) -> Column | None:
        """A metric's ratings, called `NAME (shipped)`; None where there are none.

        Raises:
            CallError: a file holds something else.
        """
        shipped = SHIPPED[aspect][name]
        for folder in shipped.folders:
            there = self._names(folder)
            files = {m: f"{folder}/{m}.json" for m in methods if f"{m}.json" in there}
            if files:
                break
        else:
            return None
        values: dict[Sample, float] = {}
        absent: dict[Sample, str] = {}
        for method, file in files.items():
            for sample, value in self._read(file, method, shipped.is_rating):
                if value is None:
                    absent[sample] = "null"
                else:
                    values[sample] = value
        return Column(f"{name} (shipped)", values, absent, shipped.is_rating)

    def _names(self, folder: str) -> list[str]:
        """Of the files in a folder, in order; none where it is not there."""
        return _listed(self.fs, join(self.path, folder))

    def _read(
        self, file: str, method: str, is_rating: bool
    ) -> Iterator[tuple[Sample, float | None]]:
        """None for null and NaN."""
        named = f"{self.shown}/{file}"
        path = join(self.path, file)
        try:
            found = read_json(with_retries(named, lambda: self.fs.cat_file(path)))
        except (ValueError, RecursionError) as error:
            raise CallError(f"{named}: not JSON: {error}") from error
        if not isinstance(found, dict):
            raise CallError(f"{named}: expected an object, not {type(found).__name__}")
        for key, value in found.items():
            parts = KEY.fullmatch(key)
            if parts is None:
                raise CallError(f"{named}: key {key[:60]!r} is no <concept>-<prompt>")
            sample = Sample(method, parts["concept"], str(int(parts["prompt"])))
            yield sample, _number(value, is_rating, f"{named}: {key}")


def _listed(fs: AbstractFileSystem, folder: str) -> list[str]:
    try:
        names = fs.ls(folder, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name.rstrip("/").rpartition("/")[2] for name in names)


def _number(value: object, is_rating: bool, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CallError(f"{where} is {str(value)[:40]!r}, expected a number")
    if math.isnan(value):
        return None
    if math.isinf(value) or (is_rating and not LEAST <= value <= MOST):
        expected = f"{LEAST:g} to {MOST:g}" if is_rating else "a finite number"
        raise CallError(f"{where} is {value}, expected {expected}")
    return float(value)
