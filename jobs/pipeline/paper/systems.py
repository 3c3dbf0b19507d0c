"""The systems that rows name: what each asks of a run, and why one cannot be had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from jobs.pipeline.errors import CallError
from jobs.pipeline.paper.settings import PaperConfig
from jobs.pipeline.results.agreement.dreambenchplus import SHIPPED_NAMES
from jobs.pipeline.run.fingerprint import MASC
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import metrics_asked
from masc_core.columns import is_column
from masc_core.comparators import find_comparator
from masc_core.comparators.settings import settings_key
from masc_core.mask_names import check_mask_name, is_member

PEOPLE = "human"
SHIPPED = " (shipped)"

NOT_YET_BUILT = "not yet built"
NOT_INSTALLED = "not installed"
NO_WEIGHTS = "no weights"
NO_MASKS = "no masks"
NO_DATA = "no data"
NOT_SCORED = "not scored"
NOT_TIMED = "not timed: comes with MaSC's own forward, and is no system by itself"


class Kind(Enum):
    """Where a system's figures come from."""

    PEOPLE = auto()
    SHIPPED = auto()
    """Ratings that come with the data set."""
    MASC = auto()
    MASK = auto()
    """MaSC by another mask than the given one."""
    EXTRA = auto()
    """A name of `metric.extra`."""
    UNKNOWN = auto()


@dataclass(frozen=True)
class System:
    """What a row names."""

    name: str
    kind: Kind

    @property
    def mask(self) -> str:
        """Of `Kind.MASK`."""
        return self.name.partition("@")[2]

    @property
    def member(self) -> str | None:
        """The name of the mask that has to be in the shards beside the given one, if any."""
        is_one = self.kind is Kind.MASK and is_member(self.mask)
        return self.mask if is_one else None

    @property
    def shipped(self) -> str:
        """Of `Kind.SHIPPED`, the name without the word."""
        return self.name.removesuffix(SHIPPED)

    @property
    def is_column(self) -> bool:
        """Whether it is a column of a run."""
        return self.kind in (Kind.MASC, Kind.MASK, Kind.EXTRA)


def read_system(name: str) -> System:
    """What a name stands for; one that nothing here goes by is not yet built.

    Raises:
        CallError: a mask, or ratings that ship, that cannot be meant.
    """
    if name == PEOPLE:
        return System(name, Kind.PEOPLE)
    if name.endswith(SHIPPED):
        if name.removesuffix(SHIPPED) not in SHIPPED_NAMES:
            raise CallError(f"{name}: what ships is {', '.join(SHIPPED_NAMES)}")
        return System(name, Kind.SHIPPED)
    if name in ("cp", "pf"):
        return System(name, Kind.MASC)
    if name.startswith(("cp@", "pf@")):
        try:
            check_mask_name(name[3:])
        except ValueError as error:
            raise CallError(f"{name}: {error}") from error
        return System(name, Kind.MASK)
    is_known = is_column(name) or find_comparator(name) is not None
    return System(name, Kind.EXTRA if is_known else Kind.UNKNOWN)


def problems_of(config: PaperConfig, systems: Iterable[System]) -> dict[str, str]:
    """Why systems cannot be computed, by name; nothing is loaded. `masc` stands for the encoder.

    Raises:
        CallError: a setting that cannot be meant.
    """
    every = list(dict.fromkeys(systems))
    extra = [each.name for each in every if each.kind is Kind.EXTRA]
    asked = metrics_asked(
        *(config.encoder, MetricConfig(extra=extra), config.comparators),
        config.limits.max_image_pixels,
    )
    found = {each.name: NOT_YET_BUILT for each in every if each.kind is Kind.UNKNOWN}
    for each in asked:
        if each.problem is None:
            continue
        if each.lacks_package:
            # Without the name of what asked for it, which is the row's.
            why = each.problem.partition(": ")[2]
            found |= dict.fromkeys(each.groups, f"{NOT_INSTALLED}: {why}")
        elif each.metric is None or _is_given(config, each.groups[0]):
            raise CallError(each.problem)
        else:
            why = each.problem.partition("=")[2]
            found |= dict.fromkeys(each.groups, f"{NO_WEIGHTS}: {why}")
    return found


def _is_given(config: PaperConfig, group: str) -> bool:
    """Whether the call names the checkpoint: a row that says it is not there would hide a slip."""
    if group == MASC:
        return config.encoder.name_or_path != EncoderConfig().name_or_path
    own = config.comparators.get(settings_key(group))
    return own is not None and own.name_or_path is not None


def to_ask(systems: Iterable[System], problems: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What `metric.masks` and `metric.extra` are to name: what can be computed."""
    masks, extra = ["given"], []
    for each in dict.fromkeys(systems):
        if each.name in problems:
            continue
        if each.kind is Kind.MASK and each.mask not in masks:
            masks.append(each.mask)
        elif each.kind is Kind.EXTRA:
            extra.append(each.name)
    return masks, extra


def members_of(systems: Iterable[System]) -> tuple[str, ...]:
    """The masks that shards are to have beside the given one."""
    return tuple(dict.fromkeys(each.member for each in systems if each.member is not None))


def encoder_problem(problems: Mapping[str, str]) -> str | None:
    """Why MaSC's encoder cannot be had."""
    return problems.get(MASC)
