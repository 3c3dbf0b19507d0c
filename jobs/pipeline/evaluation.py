"""Evaluating a set of shards, from images to a summary: for the command, and for others to call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from jobs.pipeline.cluster.config import LimitsConfig, RayConfig, WorkersConfig, number_or_auto
from jobs.pipeline.cluster.running import Outcome, run_shard_job
from jobs.pipeline.cluster.shard_job import Resources, ShardProcessor
from jobs.pipeline.cluster.tasks import map_on_cluster, run_on_cluster
from jobs.pipeline.command.settings import section, setting
from jobs.pipeline.errors import CallError, Incomplete
from jobs.pipeline.results.summary import NothingCounts, Summary, summarise_run
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.inputs import digest_of, find_inputs
from jobs.pipeline.run.record import redacted_settings
from jobs.pipeline.run.shard import Shard, find_shards
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import fingerprint_of, metrics_of
from jobs.pipeline.scoring.plan import InputAnswer, ScoringPlan, SharedReferences, load_scorer
from jobs.pipeline.scoring.reference_index import ReferenceIndex
from jobs.pipeline.storage.digest import sha256_of
from jobs.pipeline.storage.filesystem import absolute, refuse_memory
from jobs.pipeline.storage.listing import expand
from masc_core.mask_names import is_member

log = logging.getLogger(__name__)


@dataclass
class EvaluateConfig:
    samples: list[str] = setting([], "generation shards: URLs, brace ranges, globs")
    references: list[str] = setting([], "reference shards: URLs, brace ranges, globs")
    run: str = setting(help="directory of results; the same call goes on where it stopped")
    overwrite: bool = setting(False, "remove what `run` holds and start anew")
    prune: bool = setting(False, "remove parts of `run` whose shard is gone or has changed")
    encoder: EncoderConfig = section(EncoderConfig)
    metric: MetricConfig = section(MetricConfig)
    workers: WorkersConfig = section(WorkersConfig)
    ray: RayConfig = section(RayConfig)
    limits: LimitsConfig = section(LimitsConfig)


def evaluate(config: EvaluateConfig) -> Outcome[Summary]:
    """Score the shards, or go on with them, and summarise the run.

    Raises:
        CallError: the call or its configuration is wrong.
        Incomplete: it was not done; the same call goes on from there.
    """
    check(config)
    # Workers have working directories of their own.
    config = replace(config, run=absolute(config.run))
    run = RunDirectory(config.run)
    return run_shard_job(Scoring(config), run, config.workers, config.ray, config.limits)


class Scoring:
    """What is particular to scoring. A `cluster.running.Task`."""

    verb = "scoring"
    participle = "scored"
    inputs_setting = "references"

    def __init__(self, config: EvaluateConfig) -> None:
        """Find what the configuration names; nothing is loaded and no run looked at.

        Raises:
            CallError: shards or a checkpoint are not there, or a metric is not known.
        """
        self._config = config
        self.shards: Sequence[Shard] = find_shards(expand(config.samples, "samples"))
        self.inputs: Sequence[str] = expand(config.references, "references")
        self._metrics = metrics_of(config.encoder, config.metric)
        limits, metric = config.limits, config.metric
        self._fingerprint = fingerprint_of(self._metrics, metric, limits.max_image_pixels)
        plan = ScoringPlan(
            *(config.run, self._metrics, metric.min_fg_fraction, limits.max_image_pixels),
            member_masks=tuple(name for name in metric.masks if is_member(name)),
        )
        self.load: Callable[[Resources], ShardProcessor] = partial(_load, plan)

    def begin(self, run: RunDirectory) -> list[Shard]:
        """What is still to do; compares everything but contents of references that are not
        known."""
        run.open_for(self._fingerprint, self._config.overwrite)
        recorded = (run.read_description() or {}).get("references", [])
        self._references = find_inputs(self.inputs, recorded)
        self._complete([each.sha256 for each in self._references])
        return self.still_to_do(run, self.shards)

    def still_to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """Those without a current part."""
        return run.still_to_do(shards, self._fingerprint)

    def needs_cluster(self) -> bool:
        """Whether there are references whose content nobody knows."""
        return self._fingerprint["references"] is None

    def begin_on_cluster(self, run: RunDirectory) -> None:
        """Have workers digest references that may have changed; new runs do it as they encode."""
        if not (self.needs_cluster() and run.has_results()):
            return
        unknown = [each.url for each in self._references if each.sha256 is None]
        digests = iter(map_on_cluster(sha256_of, [(url,) for url in unknown]))
        self._complete([each.sha256 or next(digests) for each in self._references])
        run.require_same(self._fingerprint)

    def share(self, answers: Sequence[InputAnswer]) -> SharedReferences:
        """The index of all references, and the fingerprint that they complete."""
        before = self._fingerprint["references"]
        self._complete([answer.sha256 for answer in answers])
        if before not in (None, self._fingerprint["references"]):
            raise CallError("references=: changed while the run began; call again")
        index = ReferenceIndex(answer.entries for answer in answers)
        for entry in index.by_key.values():
            if problem := entry.error or entry.warning:
                log.warning("reference %s in %s: %s", entry.key, entry.shard, problem)
        return SharedReferences(index, self._fingerprint)

    def described(self) -> Mapping[str, Any]:
        """Configuration, fingerprint and references."""
        return {
            "config": redacted_settings(self._config),
            "fingerprint": self._fingerprint,
            **self.described_inputs(),
        }

    def described_inputs(self) -> Mapping[str, Any]:
        """The reference shards: where they lie, their versions and their contents."""
        return {"references": [each.recorded() for each in self._references]}

    def finish(self, run: RunDirectory, is_on_cluster: bool) -> Summary:
        """The summary of the run; on the cluster, where the parts are near, if there is one."""
        nothing = "no shard could be scored; failed/ in the run says why"
        if not run.parts():
            raise Incomplete(nothing)
        named = {shard.id: shard for shard in self.shards}
        call = (run.url, named, self._config.prune)
        try:
            return run_on_cluster(summarise_run, *call) if is_on_cluster else summarise_run(*call)
        except NothingCounts as error:
            raise Incomplete(nothing) from error

    def counted(self, summary: Summary) -> Mapping[str, Any]:
        """The rows by status, and the parts that do not count."""
        return {"counts": asdict(summary.counts), "stale_parts": summary.stale_parts}

    def _complete(self, digests: Sequence[str | None]) -> None:
        """Note the contents of the references, as far as they are known."""
        self._references = [
            replace(each, sha256=sha256)
            for each, sha256 in zip(self._references, digests, strict=True)
        ]
        known = [sha256 for sha256 in digests if sha256 is not None]
        if len(known) == len(digests):
            self._fingerprint = {**self._fingerprint, "references": digest_of(known)}


def _load(plan: ScoringPlan, resources: Resources) -> ShardProcessor:
    return load_scorer(plan, resources.threads, resources.batch_size)


def check(config: EvaluateConfig) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: a value out of range.
    """
    refuse_memory(config.run, "run")
    for name, value, least, most in (
        ("encoder.max_num_patches", config.encoder.max_num_patches, 1, 2**16),
        ("metric.fg_threshold", config.metric.fg_threshold, 0.0, 1.0),
        ("metric.min_fg_fraction", config.metric.min_fg_fraction, 0.0, 1.0),
        ("limits.max_error_rate", config.limits.max_error_rate, 0.0, 1.0),
        ("limits.max_shard_attempts", config.limits.max_shard_attempts, 1, 100),
        ("limits.max_image_pixels", config.limits.max_image_pixels, 1, 2**40),
        ("limits.grace_seconds", config.limits.grace_seconds, 0.0, 86_400.0),
    ):
        if not least <= value <= most:
            raise CallError(f"{name}={value}: expected {least} to {most}")
    number_or_auto(config.workers.count, "workers.count", least=1)
    number_or_auto(config.workers.gpus, "workers.gpus", least=0)
    number_or_auto(config.workers.cpus, "workers.cpus", least=1)
    number_or_auto(config.workers.batch_size, "workers.batch_size", least=1)
