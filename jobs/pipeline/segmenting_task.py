"""Segmenting as a shard job: what is left of it, and what all shards come to."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.pipeline.cluster.config import (
    LimitsConfig,
    RayConfig,
    WorkersConfig,
    check_workers_and_limits,
)
from jobs.pipeline.cluster.running import Outcome, run_shard_job
from jobs.pipeline.cluster.shard_job import Resources, ShardProcessor
from jobs.pipeline.command.settings import require_in_range, section, setting
from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.record import redacted_settings
from jobs.pipeline.run.shard import Shard, find_shards
from jobs.pipeline.segmenting.commits import Commit, SegmentedDirectory, file_name
from jobs.pipeline.segmenting.config import SegmenterConfig, segmenter_asked
from jobs.pipeline.segmenting.mask_member import mask_suffix
from jobs.pipeline.segmenting.plan import SegmentingPlan, load_segmenting
from jobs.pipeline.segmenting.preview import contact_sheet
from jobs.pipeline.storage.filesystem import absolute, join, refuse_for_results
from jobs.pipeline.storage.listing import expand
from jobs.pipeline.storage.placing import placed_file
from jobs.pipeline.storage.redaction import redact
from masc_core.checkpoint import CheckpointError
from masc_core.mask_names import GIVEN, check_mask_name

log = logging.getLogger(__name__)


@dataclass
class SegmentLimitsConfig(LimitsConfig):
    max_empty_rate: float = setting(1.0, "share of empty masks above which the exit status is 2")


@dataclass
class SegmentConfig:
    samples: list[str] = setting([], "shards of images: URLs, brace ranges, globs")
    out: str = setting(help="directory of the shards with masks; the same call goes on with it")
    overwrite: bool = setting(False, "forget what `out` says to be done, and start anew")
    preview: int = setting(0, "a contact sheet of so many outlines, OUT/preview.png")
    member: str = setting(GIVEN, "given writes KEY.mask.png; another NAME KEY.mask.NAME.png")
    segmenter: SegmenterConfig = section(SegmenterConfig)
    workers: WorkersConfig = section(WorkersConfig)
    ray: RayConfig = section(RayConfig)
    limits: SegmentLimitsConfig = section(SegmentLimitsConfig)


@dataclass(frozen=True)
class SegmentedTotal:
    """What all shards of a call come to."""

    n: int
    n_segmented: int
    n_kept: int
    """Samples that had that mask already."""
    n_error: int
    n_empty: int
    n_full: int
    coverage_mean: float | None
    """Mean share of an image that a mask covers; None without masks."""
    coverage_histogram: tuple[int, ...]
    """Masks by that share, in steps of 5 %."""


class Segmenting:
    """What is particular to segmenting. A `cluster.running.Task` of one pass, which it is."""

    verb = "segmenting"
    participle = "segmented"
    names: Sequence[str] = ()
    inputs: Sequence[str] = ()
    inputs_setting = "samples"
    left: Sequence[tuple[Shard, str]] = ()

    def __init__(self, config: SegmentConfig) -> None:
        """Find what the configuration names; nothing is loaded and `out` is not looked at.

        Raises:
            CallError: shards are not there or would take one another's places, or the segmenter or
                its checkpoint cannot be used.
        """
        self._config = config
        self._out = SegmentedDirectory(config.out)
        self.shards: Sequence[Shard] = find_shards(expand(config.samples, "samples"))
        _refuse_collisions(self.shards, self._out)
        plan = SegmentingPlan(
            config.out,
            segmenter_asked(config.segmenter),
            config.limits.max_image_pixels,
            config.member,
        )
        try:
            self._fingerprint = plan.fingerprint()
        except CheckpointError as error:
            raise CallError(f"segmenter.name={config.segmenter.name}: {error}") from error

        def load(resources: Resources) -> ShardProcessor:
            return load_segmenting(
                plan, resources.threads, resources.batch_size, resources.networks
            )

        self.load: Callable[[Resources], ShardProcessor] = load

    def share(self, answers: Sequence[Any]) -> None:
        """Nothing is shared."""

    def begin(self, run: RunDirectory) -> list[Shard]:
        """The shards without masks."""
        self._out.open(self._config.overwrite)
        self._out.remove_unfinished(self.shards)
        return self.still_to_do(run, self.shards)

    def still_to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """Those that are not committed, or no longer what was committed."""
        to_do = self._out.still_to_do(shards, self._fingerprint)
        run.forget_failures({each.id for each in shards} - {each.id for each in to_do})
        return to_do

    def to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """The same: it is the only pass."""
        return self.still_to_do(run, shards)

    def passes(self) -> Sequence[Segmenting]:
        """Itself."""
        return (self,)

    def is_begun(self, shards: Sequence[Shard]) -> bool:
        """A shard is segmented in whole."""
        return False

    def needs_cluster(self) -> bool:
        """What is to do is known without one."""
        return False

    def begin_on_cluster(self, run: RunDirectory, to_do: list[Shard]) -> list[Shard]:
        """Nothing has to be read there first."""
        return to_do

    def described(self) -> Mapping[str, Any]:
        """The configuration, and its fingerprint."""
        return {
            "configuration": redacted_settings(self._config),
            "fingerprint": self._fingerprint,
        }

    def described_inputs(self) -> Mapping[str, Any]:
        """There are none beside the shards."""
        return {}

    def finish(self, run: RunDirectory, is_on_cluster: bool) -> SegmentedTotal:
        """The sums over this call's shards."""
        commits = self._out.commits(self.shards)
        if not commits:
            raise Incomplete("no shard could be segmented; failed/ says why")
        return total(commits.values())

    def counted(self, result: SegmentedTotal) -> Mapping[str, Any]:
        """The sums."""
        return {"counts": {**vars(result), "coverage_histogram": list(result.coverage_histogram)}}


def total(commits: Iterable[Commit]) -> SegmentedTotal:
    """The sums of what is said of shards."""
    documents = list(commits)
    sums = Counter[str]()
    covered = 0.0
    for each in documents:
        sums.update({name: own for name, own in each.items() if name.startswith("n")})
        covered += (each["coverage_mean"] or 0.0) * each["n_segmented"]
    histograms = zip(*(each["coverage_histogram"] for each in documents), strict=True)
    return SegmentedTotal(
        n=sums["n"],
        n_segmented=sums["n_segmented"],
        n_kept=sums["n_kept"],
        n_error=sums["n_error"],
        n_empty=sums["n_empty"],
        n_full=sums["n_full"],
        coverage_mean=covered / sums["n_segmented"] if sums["n_segmented"] else None,
        coverage_histogram=tuple(sum(bins) for bins in histograms),
    )


def segment(config: SegmentConfig) -> Outcome[SegmentedTotal]:
    """Give the samples of the shards masks, or go on with them.

    Raises:
        CallError: the call or its configuration is wrong.
        Incomplete: it was not done; the same call goes on from there.
    """
    check(config)
    # Workers have working directories of their own.
    config = replace(config, out=absolute(config.out))
    run = RunDirectory(config.out)
    task = Segmenting(config)
    outcome = run_shard_job(task, run, config.workers, config.ray, config.limits)
    if config.preview:
        write_preview(config, task.shards)
    return outcome


def write_preview(config: SegmentConfig, shards: Sequence[Shard]) -> None:
    """Write `OUT/preview.png`, of those of the shards that have masks.

    Raises:
        StorageError: a shard cannot be read, or the sheet not be written.
    """
    out = SegmentedDirectory(config.out)
    done = out.commits(shards)
    sheet = contact_sheet(
        [out.target(shard) for shard in shards if shard.id in done],
        mask_suffix(config.member),
        config.preview,
        config.limits.max_image_pixels,
    )
    if sheet is None:
        log.warning("preview: no sample has a mask to show")
        return
    with placed_file(join(config.out, "preview.png")) as file:
        sheet.save(file, "PNG")


def check(config: SegmentConfig) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: a value out of range.
    """
    refuse_for_results(config.out, "out")
    if ":" in config.member:
        raise CallError(f"member={config.member}: that mask is made from another; name a member")
    try:
        check_mask_name(config.member)
    except ValueError as error:
        raise CallError(f"member={error}") from error
    require_in_range(
        ("preview", config.preview, 0, 1000),
        ("limits.max_empty_rate", config.limits.max_empty_rate, 0.0, 1.0),
    )
    check_workers_and_limits(config.workers, config.limits)


def _refuse_collisions(shards: Sequence[Shard], out: SegmentedDirectory) -> None:
    """Two sources of one name would write one file, and a source in `out` over itself."""
    by_name: dict[str, Shard] = {}
    for shard in shards:
        other = by_name.setdefault(file_name(shard), shard)
        if other is not shard:
            raise CallError(
                f"samples={redact(shard.url)}: has the file name of {redact(other.url)}, and both "
                "would be written to one; segment them into directories of their own"
            )
        if absolute(redact(shard.url)) == redact(out.target(shard)):
            raise CallError(
                f"out={redact(out.url)}: is where {redact(shard.url)} lies, which would be "
                "written over; name another directory"
            )
