"""The columns that one forward of the encoder gives beside CP and PF, by their names.

pf.POOL.TEXT              another pool, or the whole prompt
cp.AGGREGATOR[:BLUR]      another way from patch tokens to a score
siglip2_global            full pools of reference and generation
siglip2_t                 full pool against the whole prompt
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from masc_core.aggregators import AGGREGATORS, TAKES_BLUR
from masc_core.mask_names import check_mask_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

POOLS: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "bg": lambda weights, threshold: weights >= threshold,
    "full": lambda weights, threshold: weights > float("inf"),
    "fg": lambda weights, threshold: weights < threshold,
}
"""What a pool hides, bool like the weights, by its name: PF sees the background alone."""

TEXTS = ("stripped", "full")
"""The prompt without its subject, or whole."""

GLOBAL = "siglip2_global"
GLOBAL_TEXT = "siglip2_t"


@dataclass(frozen=True)
class PooledColumn:
    """The cosine of a pool of the generation and a text."""

    name: str
    pool: str
    text: str


@dataclass(frozen=True)
class AggregatedColumn:
    """A score of a pair of patch tokens."""

    name: str
    aggregator: str
    blur: str | None = None
    """Sigma, as it is written in the name."""


@dataclass(frozen=True)
class ExtraColumns:
    """What a run asks of the same forward."""

    pooled: tuple[PooledColumn, ...] = ()
    aggregated: tuple[AggregatedColumn, ...] = ()
    asks_global: bool = False

    @property
    def blurs(self) -> frozenset[str]:
        """Sigmas that masks of references are blurred by."""
        return frozenset(each.blur for each in self.aggregated if each.blur is not None)

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that are asked for, each once."""
        names = [each.pool for each in self.pooled] + (["full"] if self.asks_global else [])
        return tuple(dict.fromkeys(names))


def known_columns() -> list[str]:
    """The names that there are, `[:BLUR]` where one takes an argument."""
    aggregated = [f"cp.{n}[:BLUR]" if n in TAKES_BLUR else f"cp.{n}" for n in AGGREGATORS]
    pooled = [f"pf.{pool}.{text}" for pool, text in product(POOLS, TEXTS)]
    return [*pooled, *aggregated, GLOBAL, GLOBAL_TEXT]


def is_column(name: str) -> bool:
    """Whether the encoder's forward gives a column of this name."""
    try:
        parse_columns([name])
    except ValueError:
        return False
    return True


def parse_columns(names: Iterable[str]) -> ExtraColumns:
    """What the names ask for.

    Raises:
        ValueError: a name that there is not, or an argument that is none.
    """
    pooled, aggregated, asks_global = [], [], False
    for name in names:
        family, _, rest = name.partition(".")
        if name == GLOBAL:
            asks_global = True
        elif name == GLOBAL_TEXT:
            pooled.append(PooledColumn(name, "full", "full"))
        elif family == "pf":
            pool, _, text = rest.partition(".")
            if pool not in POOLS or text not in TEXTS:
                raise ValueError(f"{name}: no such column")
            pooled.append(PooledColumn(name, pool, text))
        elif family == "cp":
            aggregated.append(_aggregated(name, rest))
        else:
            raise ValueError(f"{name}: no such column")
    return ExtraColumns(tuple(pooled), tuple(aggregated), asks_global)


def check_names(masks: Sequence[str], extra: Sequence[str]) -> None:
    """Fail now for a name of `metric.masks` or `metric.extra` that there is not.

    Raises:
        ValueError: the message says what there is.
    """
    for name in masks:
        check_mask_name(name)
    for name in extra:
        try:
            parse_columns([name])
        except ValueError as error:
            if "no such column" not in str(error):
                raise
            known = ", ".join(known_columns())
            raise ValueError(
                f"extra={list(extra)!r}: no such column {name!r}; known: {known}"
            ) from error


def compares(name: str) -> bool:
    """Whether a column compares with references, and so has a value for each of them."""
    asked = parse_columns([name])
    return bool(asked.aggregated) or asked.asks_global


def _aggregated(name: str, rest: str) -> AggregatedColumn:
    aggregator, colon, blur = rest.partition(":")
    if aggregator not in AGGREGATORS or (colon and aggregator not in TAKES_BLUR):
        raise ValueError(f"{name}: no such column")
    if not colon:
        return AggregatedColumn(name, aggregator)
    try:
        sigma = float(blur)
    except ValueError:
        sigma = 0.0
    if not 0 < sigma <= 1000:
        raise ValueError(f"{name}: expected a blur in pixels, over 0 and up to 1000")
    if blur != f"{sigma:g}":
        raise ValueError(f"{name}: one column has one name; write cp.{aggregator}:{sigma:g}")
    return AggregatedColumn(name, aggregator, blur)
