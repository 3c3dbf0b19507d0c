"""What one forward gives beside CP and PF: other masks, pools, texts and aggregators.

Nothing here is computed unless it is asked for, and CP and PF themselves are never computed another
way for it: they stay what they are to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from masc_core.aggregators import AGGREGATORS, Pair
from masc_core.columns import GLOBAL, POOLS, ExtraColumns, parse_columns
from masc_core.encoder import Grid
from masc_core.mask_kinds import weights_of
from masc_core.mask_names import GIVEN, check_mask_name
from masc_core.masks import blurred_weights
from masc_core.records import Prepared, Reference, ReferenceDetail
from masc_core.similarity import unit
from masc_core.texts import TextEmbeddings

Values = dict[str, float | None]
PerReference = dict[str, list[float] | None]


@dataclass(frozen=True)
class ExtraScores:
    """The columns asked for beside CP and PF."""

    masks: tuple[str, ...]
    """Beyond the given one."""
    columns: ExtraColumns
    fg_threshold: float
    reduce: Callable[[list[float]], float]
    """Of the values against several references, one."""

    @classmethod
    def of(
        cls,
        masks: Sequence[str],
        names: Sequence[str],
        fg_threshold: float,
        reduce: Callable[[list[float]], float],
    ) -> ExtraScores:
        """For names of `metric.masks` and `metric.extra`.

        Raises:
            ValueError: a name that there is not.
        """
        for name in masks:
            check_mask_name(name)
        others = tuple(name for name in masks if name != GIVEN)
        return cls(others, parse_columns(names), fg_threshold, reduce)

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to compute."""
        return bool(self.masks or self.columns.pooled or self._compares)

    @property
    def _compares(self) -> bool:
        return bool(self.columns.aggregated or self.columns.asks_global)

    # Off the device

    def prepare(
        self, given: np.ndarray, masks: Mapping[str, np.ndarray], grid: Grid, key: str, patch: int
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, str]]:
        """Further masks on the grid, blurred ones by sigma, and why masks are lacking, by name."""
        weights, lacks = {}, {}
        for name in self.masks:
            try:
                weights[name] = weights_of(name, {**masks, GIVEN: given}, grid, key)
            except ValueError as error:
                lacks[name] = str(error)
        blurred = {
            blur: blurred_weights(given, grid, patch, float(blur)) for blur in self.columns.blurs
        }
        return weights, blurred, lacks

    # References

    def detail(
        self,
        prepared: Prepared,
        tokens: torch.Tensor,
        pool: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> ReferenceDetail | None:
        """What is kept of a reference whose patch tokens are (N, D)."""
        if not (self.masks or self._compares):
            return None
        foregrounds = {n: w > self.fg_threshold for n, w in prepared.masks.items()}
        kept = torch.ones(len(tokens), dtype=torch.bool)
        if not self.columns.aggregated:
            kept = torch.stack([~kept, *foregrounds.values()]).any(dim=0)
        full_pool = None
        if self.columns.asks_global:
            nothing = torch.zeros(1, 1, len(tokens), dtype=torch.bool, device=tokens.device)
            full_pool = unit(pool(tokens[None], nothing)[0, 0])
        return ReferenceDetail(
            tokens=unit(tokens)[kept.to(tokens.device)],
            weights=prepared.weights[kept],
            foregrounds={name: own[kept] for name, own in foregrounds.items()},
            blurred={blur: own[kept] for blur, own in prepared.blurred.items()},
            full_pool=full_pool,
        )

    # Generations

    def hidden(self, prepared: Prepared) -> torch.Tensor:
        """bool (M, N): what each further pool hides, the masks' first; a lacking mask hides all."""
        everything = torch.ones_like(prepared.weights, dtype=torch.bool)
        threshold = self.fg_threshold
        of_masks = [
            prepared.masks[name] >= threshold if name in prepared.masks else everything
            for name in self.masks
        ]
        of_pools = [POOLS[pool](prepared.weights, threshold) for pool in self.columns.pools]
        each = [*of_masks, *of_pools]
        return torch.stack(each) if each else everything[None][:0]

    def score_batch(
        self,
        batch: Sequence[Prepared],
        tokens: torch.Tensor,
        generations: torch.Tensor,
        pool: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        texts: TextEmbeddings,
        references: Sequence[Sequence[Reference]],
    ) -> list[tuple[Values, PerReference]]:
        """The columns of each generation of a batch.

        Args:
            tokens: (B, N, D) of one patch grid.
            generations: the same in float32, of unit length.
        """
        if not self.is_asked:
            return [({}, {}) for _ in batch]
        hidden = torch.stack([self.hidden(each) for each in batch]).to(tokens.device)
        pools = unit(pool(tokens, hidden)) if hidden.shape[1] else tokens[:, :0]
        stripped = texts.encode([each.text for each in batch])
        asks_whole = any(column.text == "full" for column in self.columns.pooled)
        full = texts.encode([each.prompt for each in batch]) if asks_whole else stripped
        return [
            self.score(
                each,
                generations[i],
                pools[i],
                {"stripped": unit(stripped[i].embedding), "full": unit(full[i].embedding)},
                references[i],
            )
            for i, each in enumerate(batch)
        ]

    def score(
        self,
        prepared: Prepared,
        tokens: torch.Tensor,
        pools: torch.Tensor,
        texts: Mapping[str, torch.Tensor],
        references: Sequence[Reference],
    ) -> tuple[Values, PerReference]:
        """The columns of one generation.

        Args:
            tokens: float32 (N, D) of unit length.
            pools: float32 (M, D) of unit length, those of `hidden`.
            texts: the embeddings (D,) of unit length, by `columns.TEXTS`.
        """
        values: Values = {}
        for i, name in enumerate(self.masks):
            has_mask = name in prepared.masks
            values[f"pf@{name}"] = float(pools[i] @ texts["stripped"]) if has_mask else None
        by_pool = dict(zip(self.columns.pools, pools[len(self.masks) :], strict=True))
        for column in self.columns.pooled:
            values[column.name] = float(by_pool[column.pool] @ texts[column.text])
        per_reference = self._compare(prepared, tokens, by_pool.get("full"), references)
        for name, each in per_reference.items():
            values[name] = None if each is None else self.reduce(each)
        return values, per_reference

    def _compare(
        self,
        prepared: Prepared,
        tokens: torch.Tensor,
        full_pool: torch.Tensor | None,
        references: Sequence[Reference],
    ) -> PerReference:
        """The columns that compare with references, a value for each."""
        if not (self.masks or self._compares):
            return {}
        against = [self._against(each, prepared, tokens, full_pool) for each in references]
        found: PerReference = {}
        for name in against[0]:
            values = [each[name] for each in against]
            present = [value for value in values if value is not None]
            found[name] = present if len(present) == len(values) else None
        return found

    def _against(
        self,
        reference: Reference,
        prepared: Prepared,
        tokens: torch.Tensor,
        full_pool: torch.Tensor | None,
    ) -> Values:
        detail = reference.detail
        assert detail is not None, "encoded by another MaSC, which was not asked for these columns"
        cosines = detail.tokens @ tokens.T
        values: Values = {}
        if self.masks:
            best = cosines.amax(dim=1)
            for name in self.masks:
                own = detail.foregrounds.get(name)
                values[f"cp@{name}"] = None if own is None else float(best[own].mean())
        if self.columns.aggregated:
            pair = Pair(
                cosines,
                detail.weights,
                prepared.weights.to(cosines.device),
                self.fg_threshold,
                dict(detail.blurred),
            )
            for column in self.columns.aggregated:
                aggregate = AGGREGATORS[column.aggregator]
                arguments = () if column.blur is None else (column.blur,)
                values[column.name] = aggregate(pair, *arguments)
        if self.columns.asks_global:
            assert full_pool is not None
            assert detail.full_pool is not None
            values[GLOBAL] = float(full_pool @ detail.full_pool)
        return values
