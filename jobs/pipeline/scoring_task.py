"""Scoring as a shard job: what is left of a run, what its references are, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from jobs.pipeline.cluster.layout import layout_of_cluster
from jobs.pipeline.cluster.memory import memory_of_worker, stated_memory
from jobs.pipeline.cluster.tasks import map_on_cluster, object_store_bytes, run_on_cluster
from jobs.pipeline.errors import CallError, Incomplete, StorageError
from jobs.pipeline.results.summary import NothingCounts, Summary, summarise_run
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.fingerprint import FORMAT, Groups
from jobs.pipeline.run.inputs import digest_of, find_inputs, recorded_digests, require_inputs
from jobs.pipeline.run.parts import ConceptDigests, PartState, Used
from jobs.pipeline.run.record import redacted_settings
from jobs.pipeline.run.shard import Shard, find_shards
from jobs.pipeline.scoring.metrics import completed, groups_asked, metrics_asked, metrics_for
from jobs.pipeline.scoring.placing import Need, passes_of, told
from jobs.pipeline.scoring.plan import InputAnswer, ScoringPlan, SharedReferences
from jobs.pipeline.scoring.reference_digests import (
    changed_concepts,
    digests_by_concept,
    read_content,
)
from jobs.pipeline.scoring.reference_index import ReferenceIndex, tell_of
from jobs.pipeline.scoring.remaining import Remaining, is_current, remaining
from jobs.pipeline.scoring_passes import ScoringPass, are_small, described_passes, needs_of
from jobs.pipeline.shards.estimate import estimated_samples
from jobs.pipeline.storage.digest import sha256_of
from jobs.pipeline.storage.listing import expand, file_of
from jobs.pipeline.storage.redaction import redact
from masc_core.masc_scores import MascScores
from masc_core.mask_names import is_member
from masc_core.protocol import Metric

if TYPE_CHECKING:
    from jobs.pipeline.evaluation import EvaluateConfig
    from jobs.pipeline.scoring.scorer import ShardScorer

log = logging.getLogger(__name__)


class Scoring:
    """What is particular to scoring. A `cluster.running.Task`."""

    verb = "scoring"
    participle = "scored"

    def __init__(self, config: EvaluateConfig, gated: Collection[str] = ()) -> None:
        """Find what the configuration names; nothing is loaded, made or removed.

        Args:
            gated: columns by which the run may be decided before its end: the first pass has them.

        Raises:
            CallError: shards are not there, or a metric is not known; or one cannot compute, and
                there is all to compute.
        """
        self._config = config
        self._gated = frozenset(gated)
        self.shards: Sequence[Shard] = find_shards(expand(config.samples, "samples"))
        self.inputs: Sequence[str] = expand(config.references, "references")
        _refuse_shared([shard.url for shard in self.shards], self.inputs)
        self._asked = metrics_asked(
            *(config.encoder, config.metric, config.comparators),
            config.limits.max_image_pixels,
            config.limit,
        )
        self._columns = {
            group: each.columns_of(group) for each in self._asked for group in each.groups
        }
        if config.overwrite or not _has_parts(RunDirectory(config.run)):
            metrics_for(self._asked, frozenset().union(*self._columns.values()))
        self.left: Sequence[tuple[Shard, str]] = ()
        self._states: Mapping[str, PartState] = {}
        self._found: Groups = {}
        self._metrics: Sequence[Metric] = ()
        self._to_compute: frozenset[str] = frozenset()
        self._passes: Sequence[ScoringPass] = ()
        self._placing: Mapping[str, Any] = {}
        """The passes, as `run.json` has them."""
        self._has_told_of_references = False
        self._recorded: list[str] | None = None
        self._concepts: Mapping[str, ConceptDigests] = {}

    @property
    def columns(self) -> frozenset[str]:
        """The columns that parts are asked to have, without those that later passes bring."""
        later = frozenset().union(*(each.columns for each in self._passes[1:]))
        return frozenset().union(*self._columns.values()) - later

    def begin(self, run: RunDirectory) -> list[Shard]:
        """What is still to do; compares everything but contents of references that are not
        known."""
        run.open(self._config.overwrite)
        self._states = run.states()
        run.require_same(groups_asked(self._asked))
        self._found = run.found_groups()
        recorded = (run.read_description() or {}).get("references", [])
        self._references = find_inputs(self.inputs, recorded)
        self._recorded = recorded_digests(recorded)
        return self._plan(run)

    def still_to_do(self, run: RunDirectory, shards: Sequence[Shard]) -> list[Shard]:
        """Those without a current part of all columns."""
        states = run.states(shard.id for shard in shards)
        run.require_same(groups_asked(self._asked))
        return self._remaining(shards, states).shards

    def is_begun(self, shards: Sequence[Shard]) -> bool:
        """Whether one of them has a part, which lacks columns."""
        return any(is_current(self._states.get(each.id), each, self._concepts) for each in shards)

    def passes(self) -> Sequence[ScoringPass]:
        """One, where nobody has looked what there is room for."""
        if not self._passes:
            self._place(self.needs_of(self._metrics), None)
        return self._passes

    def needs_cluster(self) -> bool:
        """Whether rows were scored against references of which it is not known that they stand."""
        used = any(s.footer.references or s.footer.all_references for s in self._states.values())
        return used and not self._are_as_recorded()

    def begin_on_cluster(self, run: RunDirectory, to_do: list[Shard]) -> list[Shard]:
        """Have workers digest references that may have changed, and read all if one has; see which
        metrics there is room for together.

        Raises:
            CallError: the references are others; or a metric fits nowhere.
        """
        self._tell_of_memory()
        to_do = self._with_references(run, to_do)
        if to_do:
            self._place_by_room(len(to_do))
        return to_do

    def _place_by_room(self, n_shards: int) -> None:
        """Part the metrics by what workers have, where that can matter."""
        workers, needs = self._config.workers, self.needs_of(self._metrics)
        room, is_firm = stated_memory(workers), True
        if room is None and not are_small(needs):
            layout = layout_of_cluster(workers, n_shards)
            room = memory_of_worker(workers, layout)
            # Without GPUs it is what was free when Ray came there: too little to refuse for.
            is_firm = layout.gpus > 0
            if room is None and len(needs) > 1:
                log.warning(
                    "the memory of the workers' devices is not known, so nothing is parted for "
                    "its size; workers.memory_gb=GB says it"
                )
        self._place(needs, room, is_firm)

    def _with_references(self, run: RunDirectory, to_do: list[Shard]) -> list[Shard]:
        if not self.needs_cluster():
            return to_do
        if self._recorded is not None:
            unknown = [each.url for each in self._references if each.sha256 is None]
            digests = iter(map_on_cluster(sha256_of, [(url,) for url in unknown]))
            hashed = [each.sha256 or next(digests) for each in self._references]
            if sorted(hashed) == self._recorded:
                self._complete(hashed)
                return to_do
        calls = [(url, self._config.limits.max_image_pixels) for url in self.inputs]
        contents = map_on_cluster(read_content, calls)
        concepts = digests_by_concept(each for shard in contents for each in shard.references)
        self._require_references([each.sha256 for each in contents], concepts, run.url)
        return self._plan(run)

    def share(self, answers: Sequence[InputAnswer]) -> SharedReferences:
        """The index of all references."""
        known = [each.sha256 for each in self._references]
        read = [answer.sha256 for answer in answers]
        if any(then not in (None, now) for then, now in zip(known, read, strict=True)):
            raise CallError("references=: changed while the run began; call again")
        require_inputs(self._references)
        index = ReferenceIndex(answer.entries for answer in answers)
        self._require_references(read, index.digests(), self._config.run)
        if not self._has_told_of_references:  # a further pass reads them again
            self._has_told_of_references = True
            tell_of(index)
        return SharedReferences(index)

    def described(self) -> Mapping[str, Any]:
        """Format, configuration, fingerprints and references."""
        return {
            "format": FORMAT,
            "config": redacted_settings(self._config),
            "fingerprint": completed(groups_asked(self._asked), self._found),
            **self._placing,
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

    # What a look at it needs, without a cluster

    def look(self) -> tuple[Remaining, tuple[Metric, ...]]:
        """What is left to do, and what would compute it; nothing is written."""
        run = RunDirectory(self._config.run)
        if not self._config.overwrite:
            self._states = run.states()
            run.note_description()
            run.require_same(groups_asked(self._asked))
        found = self._remaining(self.shards, self._states)
        return found, metrics_for(self._asked, found.columns)

    def needs_of(self, metrics: Sequence[Metric]) -> list[Need]:
        """What they need of a worker's device."""
        return needs_of(metrics, self._asked, self._gated)

    def scorer_without_metrics(self, samples: int, threads: int) -> ShardScorer:
        """What decodes as a worker does, and scores nothing."""
        from jobs.pipeline.scoring.scorer import ShardScorer

        config = self._config
        limit = min(samples, config.limit or samples)
        plan = self._plan_of((), {}, tuple(filter(is_member, config.metric.masks)))
        return ShardScorer(replace(plan, limit=limit), threads, None)

    def read_references(self, scorer: ShardScorer) -> ReferenceIndex:
        """All references, decoded; the scorer knows them from then on."""
        answers = [scorer.read_input(url)[0] for url in self.inputs]
        index = ReferenceIndex(answer.entries for answer in answers)
        scorer.share(SharedReferences(index), lambda number: {})
        return index

    # What is left

    def _plan(self, run: RunDirectory) -> list[Shard]:
        """The shards to do, and what workers are told to compute of them."""
        found = self._remaining(self.shards, self._states)
        self.left = found.left
        undone = {s.id for s in found.shards} | {s.id for s, _ in found.left}
        run.forget_failures({s.id for s in self.shards} - undone)
        self._metrics = metrics_for(self._asked, found.columns)
        self._to_compute, self._passes = found.columns, ()
        return found.shards

    def _place(self, needs: Sequence[Need], room: int | None, is_firm: bool = True) -> None:
        """Part the metrics into passes, by the bytes of a worker's memory, where they are known."""
        placed = passes_of(needs, room, is_firm)
        needed = [[needs[n] for n in own] for own in placed]
        self._placing = {"passes": described_passes(needed), "worker_memory_bytes": room}
        self._passes = [self._pass_of([self._metrics[n] for n in own]) for own in placed]
        if len(placed) > 1:
            log.info("%s", told(needed, room))

    def _pass_of(self, metrics: Sequence[Metric]) -> ScoringPass:
        """A pass of these metrics, which are told to compute what is left of their columns."""
        columns = self._to_compute & {name for each in metrics for name in each.columns}
        masks = next((each.masks for each in metrics if isinstance(each, MascScores)), ())
        computed = {
            group: own
            for group, own in groups_asked(self._asked).items()
            if columns & self._columns[group]
        }
        plan = self._plan_of(tuple(metrics), computed, tuple(filter(is_member, masks)))
        return ScoringPass(plan, columns, self.inputs, self.share, self._lacking)

    def _lacking(
        self, of_pass: ScoringPass, run: RunDirectory, shards: Sequence[Shard]
    ) -> list[Shard]:
        """Of these shards, those that lack columns of a pass and can have them by now."""
        states = run.states(shard.id for shard in shards)
        run.require_same(groups_asked(self._asked))
        if not of_pass.begins_parts:
            shards = [s for s in shards if is_current(states.get(s.id), s, self._concepts)]
        columns = {group: own & of_pass.columns for group, own in self._columns.items()}
        return remaining(shards, states, columns, self._concepts).shards

    def _plan_of(
        self, metrics: tuple[Metric, ...], groups: Groups, masks: tuple[str, ...]
    ) -> ScoringPlan:
        config = self._config
        return ScoringPlan(
            *(config.run, metrics, groups),
            min_fg_fraction=config.metric.min_fg_fraction,
            max_image_pixels=config.limits.max_image_pixels,
            member_masks=masks,
            limit=config.limit,
        )

    def _remaining(self, shards: Sequence[Shard], states: Mapping[str, PartState]) -> Remaining:
        return remaining(shards, states, self._columns, self._concepts)

    def _tell_of_memory(self) -> None:
        """What the references take of the object store, where it is more than their foreground."""
        masc = next((each for each in self._metrics if isinstance(each, MascScores)), None)
        if masc is None or not masc.keeps_all_tokens:
            return
        n = estimated_samples([each.version.size for each in self._references], self.inputs[0])
        if n is not None:
            need, there = masc.shape().token_bytes_an_image * n, object_store_bytes()
            log.log(
                logging.WARNING if need > there else logging.INFO,
                "all patch tokens of about %d references are kept: %.2g GB of the object store's "
                "%.2g GB%s",
                *(n, need / 1e9, there / 1e9),
                "; the rest goes to disk, and scoring waits for it" if need > there else "",
            )

    # What the references are

    def _are_as_recorded(self) -> bool:
        """Whether they are, by their versions, those that the run was last seen to stand on."""
        digests = [each.sha256 for each in self._references]
        known = [each for each in digests if each is not None]
        return len(known) == len(digests) and sorted(known) == self._recorded

    def _require_references(
        self, digests: Sequence[str], concepts: Mapping[str, ConceptDigests], run: str
    ) -> None:
        """Make sure that rows were scored against these references, and note them.

        Raises:
            CallError: a concept that was scored has gained, lost or changed a reference.
        """
        shown = f"run={redact(run)}"
        advice = "Name another run, or start it anew with overwrite=true"
        whole = digest_of(digests)
        for old in {s.footer.all_references for s in self._states.values()} - {None}:
            if old != whole:
                raise CallError(
                    f"{shown} was made with another configuration: references is {whole!r}, there "
                    f"{old!r}. {advice}"
                )
        used: dict[str, Any] = {}
        for state in self._states.values():
            used |= state.footer.references
        changed = changed_concepts(used, concepts)
        lost = sorted({c for c, then in self._used_by_named().items() if then} - set(concepts))
        for concepts_of, what in ((changed, "has gained, lost or changed"), (lost, "has lost")):
            if concepts_of:
                more = f" (and {len(concepts_of) - 1} more)" if len(concepts_of) > 1 else ""
                raise CallError(
                    f"{shown}: concept {concepts_of[0]!r}{more} {what} references since its "
                    f"samples were scored. {advice}"
                )
        self._concepts = concepts
        self._complete(digests)

    def _used_by_named(self) -> Used:
        used: dict[str, ConceptDigests | None] = {}
        for shard in self.shards:
            if (state := self._states.get(shard.id)) is not None and state.is_of(shard):
                used |= state.footer.references
        return used

    def _complete(self, digests: Sequence[str]) -> None:
        """Note the contents of the references."""
        self._references = [
            replace(each, sha256=sha256)
            for each, sha256 in zip(self._references, digests, strict=True)
        ]


def _has_parts(run: RunDirectory) -> bool:
    """Whether it can be seen to have some; what is wrong with it is said where it is opened."""
    try:
        return bool(run.parts())
    except StorageError:
        return False


def _refuse_shared(samples: Sequence[str], references: Sequence[str]) -> None:
    """Refuse what would be scored against itself.

    Raises:
        CallError: a file is among both.
    """
    files = {file_of(url) for url in samples}
    if shared := [url for url in references if file_of(url) in files]:
        raise CallError(
            f"references={redact(shared[0])}: also named by samples=, and no shard holds both"
        )
