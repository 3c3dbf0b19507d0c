"""Masks before scores: shards that have none are segmented, and those with masks are scored."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.run.shard import find_shards
from jobs.pipeline.segmenting.commits import SegmentedDirectory
from jobs.pipeline.segmenting.config import SegmenterConfig
from jobs.pipeline.segmenting_task import SegmentConfig, SegmentLimitsConfig, segment
from jobs.pipeline.storage.filesystem import absolute, join
from jobs.pipeline.storage.listing import expand
from jobs.pipeline.storage.redaction import redact
from masc_core.segmenters import SEGMENTERS

if TYPE_CHECKING:
    from jobs.pipeline.evaluation import EvaluateConfig

log = logging.getLogger(__name__)


@dataclass
class FirstSegmenterConfig(SegmenterConfig):
    """A segmenter that is asked for before scores; none by default."""

    name: str | None = setting(  # type: ignore[assignment]
        None, lambda: f"give shards masks first, by one of {', '.join(SEGMENTERS)}; null: they have"
    )
    out: str | None = setting(None, "directory of the shards with masks; needed with a name")


def check_segmenter(config: FirstSegmenterConfig) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: they ask for no segmenter and say how it is to be, or not where masks go.
    """
    if config.name is None:
        given = [name for name, value in asdict(config).items() if value is not None]
        if given:
            raise CallError(f"segmenter.{given[0]} is given, and no segmenter.name")
    elif config.out is None:
        raise CallError(
            f"segmenter.name={config.name} needs segmenter.out, a directory for the shards with "
            "masks"
        )


def with_masks(config: EvaluateConfig) -> EvaluateConfig:
    """Segment the shards of a configuration that asks for it; the one of the shards with masks.

    What has its masks from an earlier call is not segmented again.

    Raises:
        CallError: the call or its configuration is wrong.
        Incomplete: not all shards have masks; the same call goes on from there.
    """
    if config.segmenter.name is None:
        return config
    assert config.segmenter.out is not None, "check_segmenter comes first"
    return replace(
        config,
        samples=masked(config, "samples", join(config.segmenter.out, "generations")),
        references=masked(config, "references", join(config.segmenter.out, "references")),
    )


def masked(
    config: EvaluateConfig, setting: Literal["samples", "references"], out: str
) -> list[str]:
    """The shards of one of the two settings with masks, in the directory `out`.

    Raises:
        CallError: the call or its configuration is wrong.
        Incomplete: not all shards have masks; the same call goes on from there.
    """
    sources = expand(getattr(config, setting), setting)
    out = absolute(out)
    own = asdict(config.segmenter)
    del own["out"]
    log.info("masks of %s by %s, into %s", setting, config.segmenter.name, redact(out))
    outcome = segment(
        SegmentConfig(
            samples=sources,
            out=out,
            segmenter=SegmenterConfig(**own),
            workers=config.workers,
            ray=config.ray,
            limits=SegmentLimitsConfig(**asdict(config.limits)),
        )
    )
    total = outcome.result
    log.info(
        "%d samples: %d segmented (%d masks are empty), %d had a mask, %d could not be segmented",
        *(total.n, total.n_segmented, total.n_empty, total.n_kept, total.n_error),
    )
    if outcome.n_set_aside:
        raise Incomplete(
            f"{outcome.n_set_aside} of {len(sources)} shards have no masks; {redact(out)}/failed "
            "says why"
        )
    directory = SegmentedDirectory(out)
    return [directory.target(shard) for shard in find_shards(sources)]
