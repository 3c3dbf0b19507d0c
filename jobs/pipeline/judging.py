"""A checkpoint's way through a night, step by step, and what each step may write to HOME."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from jobs.pipeline.comparison import CompareConfig, Judged, compare, rules_of
from jobs.pipeline.errors import CallError, Incomplete, StorageError
from jobs.pipeline.evaluation import evaluate
from jobs.pipeline.masks_first import masked
from jobs.pipeline.nightly_settings import NightlyConfig, comparing, evaluating
from jobs.pipeline.nights.history import (
    EARLY_CONCEPTS,
    EARLY_SAVED,
    History,
    Row,
    has_passed,
)
from jobs.pipeline.nights.home import Home
from jobs.pipeline.nights.inbox import RESERVED, Checkpoint
from jobs.pipeline.nights.telling import REPORT, Telling
from jobs.pipeline.results.comparison.comparing import Comparison
from jobs.pipeline.results.comparison.document import document
from jobs.pipeline.results.comparison.halves import Floor, floor_of, margins_below
from jobs.pipeline.results.comparison.junit import junit
from jobs.pipeline.results.comparison.markdown import markdown
from jobs.pipeline.results.comparison.pairing import PRODUCT
from jobs.pipeline.results.summary import Summary
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.early import early_end
from jobs.pipeline.run.scores import open_scores
from jobs.pipeline.scoring_task import Scoring
from jobs.pipeline.storage.filesystem import absolute
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)

PageOf = Callable[[str, str | None, Judged | None, History], Mapping[str, bytes]]
"""Files of the page of a run, by name: of the run that it was held against, what came of that, and
the history up to it."""
PAGE = "report/index.html"
"""Of a run, its page."""
AGAINST_LAST = ""
AGAINST_PIN = "pin-"
"""What the names of a comparison's files begin with."""
FORMS = ("compare.json", "compare.md", "junit.xml")


class NightWork:
    """The checkpoint at hand, and the history so far."""

    def __init__(
        self, config: NightlyConfig, home: Home, telling: Telling, page_of: PageOf | None = None
    ) -> None:
        """Read the history.

        Raises:
            CallError: it is none.
            StorageError: it cannot be read.
        """
        self._config = config
        self._home = home
        self._telling = telling
        self._page_of = page_of
        self.history = home.read_history()
        self.judged: list[Row] = []
        """Rows of the checkpoints that this call judged, in order."""
        self._checkpoint: Checkpoint | None = None

    def document(self) -> Mapping[str, Any]:
        """How far the call is, in JSON's types; called from another thread."""
        at_hand = self._checkpoint
        return {
            "checkpoint": None if at_hand is None else at_hand.name,
            "n_judged": len(self.judged),
        }

    def take(self, checkpoint: Checkpoint) -> None:
        """Begin with a checkpoint."""
        self._checkpoint = checkpoint
        self._evaluation = evaluating(self._config, self._home, checkpoint.name, checkpoint.samples)
        self._held_against: tuple[str, Judged] | None = None
        self._row: dict[str, Any] = {
            "checkpoint": checkpoint.name,
            "step": checkpoint.step,
            "time": checkpoint.time,
            "run": redact(self._evaluation.run),
            "is_kept": True,
            "suspicions": [],
            "untold": self._telling.names,
        }

    def give_masks(self) -> None:
        """Have shards without masks segmented, where a segmenter is asked for."""
        config = self._evaluation
        if config.segmenter.name is None:
            return
        # What is wrong with the scoring is said before hours of segmenting.
        Scoring(config).look()
        segmented = self._home.segmented
        self._evaluation = replace(
            config,
            samples=masked(config, "samples", segmented(self._row["checkpoint"])),
            references=masked(config, "references", segmented(RESERVED)),
            segmenter=type(config.segmenter)(),
        )

    def score(self) -> None:
        """Score the checkpoint, or go on with it; note its figures.

        Raises:
            Incomplete: not all of its shards could be scored.
        """
        against = self._against() if self._config.early else []
        # The first checkpoint is held against nothing, and scored to the end.
        outcome = evaluate(self._evaluation, against) if against else evaluate(self._evaluation)
        n_missing = outcome.n_set_aside + outcome.n_left
        if n_missing:
            raise Incomplete(
                f"{n_missing} shards could not be scored, see {self._row['run']}/failed; without "
                "its _SUCCESS the others go on without it"
            )
        self._note_figures(outcome.result)
        described = RunDirectory(self._evaluation.run).read_description() or {}
        workers = described.get("workers") or []
        self._row |= {
            "fingerprint": json.dumps(described.get("fingerprint"), sort_keys=True),
            **self._early(described),
            "cost_seconds": described.get("seconds"),
            "cost_worker_seconds": sum(
                float(worker.get(name) or 0.0)
                for worker in workers
                for name in ("waiting", "scoring", "commit", "idle")
            ),
        }

    def _against(self) -> list[CompareConfig]:
        """What the checkpoint will be held against, and how."""
        config, run, last = self._config, self._evaluation.run, self.history.last_passed
        against = []
        if last is not None:
            against.append(comparing(config, self._home.run(last["checkpoint"]), run))
        if config.baseline is not None:
            against.append(comparing(config, config.baseline, run, config.baseline_model))
        return against

    def _early(self, described: Mapping[str, Any]) -> dict[str, float | None]:
        """On how much it was decided; nulls where it was scored to the end."""
        end = early_end(described)
        return {
            EARLY_CONCEPTS: None if end is None else float(len(end.concepts)),
            EARLY_SAVED: None if end is None else end.saved,
        }

    def judge(self) -> None:
        """Hold it against the last that passed, against the pinned baseline, and against itself on
        an A/A night; keep the comparisons."""
        last, row = self.history.last_passed, self._row
        self._require_columns()
        row |= {"verdict": None, "against": None, "verdict_pin": None, "pin": None}
        if last is not None:
            against = self._home.run(last["checkpoint"])
            compared = self._compared(against, None, AGAINST_LAST)
            row |= {"verdict": str(compared.verdict), "against": last["checkpoint"]}
        if self._config.baseline is not None:
            pin = self._config.baseline
            compared = self._compared(pin, self._config.baseline_model, AGAINST_PIN)
            row |= {"verdict_pin": str(compared.verdict), "pin": redact(absolute(pin))}
        row["passed"] = has_passed(row["verdict"], row["verdict_pin"])
        self._look_at_margins()

    def show(self) -> None:
        """Write its page, with the trend up to it. Without one a night is a night all the same."""
        if self._page_of is None:
            return
        name = self._row["checkpoint"]
        baseline, judged = self._held_against or (None, None)
        history = self.history.with_row({**self._row, "judged": datetime.now(UTC)})
        try:
            files = self._page_of(self._evaluation.run, baseline, judged, history)
        except (CallError, StorageError) as error:
            log.warning("%s has no page: %s", name, error)
            return
        for file, content in files.items():
            self._home.write(f"runs/{name}/report/{file}", content)

    def commit(self) -> None:
        """Write its row: from now on it is judged."""
        row = {**self._row, "judged": datetime.now(UTC)}
        history = self.history.with_row(row)
        self._home.write_history(history)
        self.history = history
        self.judged.append(row)

    def tell(self) -> None:
        """Tell those of it who have not heard."""
        self.history = self._telling.tell(self.history)

    def retain(self) -> None:
        """Remove the rows of runs that are no longer needed; what was found of them stays."""
        if self._config.keep is None:
            return
        pin = self._config.baseline and absolute(self._config.baseline).rstrip("/")
        for name in self.history.dispensable(self._config.keep):
            if self._home.run(name) == pin:
                continue
            try:
                self._home.remove(f"runs/{name}/scores")
                self._home.remove(f"segmented/{name}")
            except StorageError as error:
                log.warning("what is no longer needed of %s could not be removed: %s", name, error)
                return
            self.history = self.history.changed(name, is_kept=False)
            self._home.write_history(self.history)

    def _note_figures(self, summary: Summary) -> None:
        models = [row for row in summary.model.to_pylist() if row["model"] is not None]
        if len(models) != 1:
            names = ", ".join(row["model"] for row in models) or "none"
            raise CallError(f"a checkpoint is one model, and its shards hold {names}")
        counts, limits = summary.counts, self._config.limits
        self._row |= {"model": models[0]["model"], **vars(counts)}
        self._row["has_too_many_errors"] = counts.n_error > limits.max_error_rate * counts.n
        for name, value in models[0].items():
            if name.endswith(("_mean", "_ci_low", "_ci_high")):
                self._row[name] = value

    def _require_columns(self) -> None:
        """The first checkpoint is compared with nothing, which would say of a column that is not
        there."""
        rules = rules_of(comparing(self._config, self._evaluation.run, self._evaluation.run))
        for column in rules.columns:
            if column != PRODUCT and f"{column}_mean" not in self._row:
                raise CallError(
                    f"columns and gate: {column!r} is no score column of {self._row['run']}; "
                    "metric.extra and metric.masks ask for more"
                )

    def _compared(self, baseline: str, model: str | None, prefix: str) -> Comparison:
        """The comparison with another run, which is written down and noted."""
        name = self._row["checkpoint"]
        judged = compare(comparing(self._config, baseline, self._evaluation.run, model))
        found = document(judged.comparisons, judged.rules.confidence, judged.unmatched)
        text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        contents = (
            text.encode(),
            markdown(judged.comparisons, judged.rules, judged.unmatched).encode(),
            junit(judged.comparisons),
        )
        # The last that passed comes first, and is the one that the page shows.
        self._held_against = self._held_against or (baseline, judged)
        for form, content in zip(FORMS, contents, strict=True):
            self._home.write(f"runs/{name}/compare/{prefix}{form}", content)
        [comparison] = judged.comparisons
        suffix = "_pin" if prefix else ""
        for column, column_verdict in comparison.columns.items():
            self._row[f"{column}_delta{suffix}"] = column_verdict.estimate.mean
            self._row[f"{column}_delta_low{suffix}"] = column_verdict.interval.low
            self._row[f"{column}_delta_high{suffix}"] = column_verdict.interval.high
        for each in comparison.evidence.suspicions:
            self._suspect("pin" if prefix else "last", each.kind, each.text)
        return comparison

    def _look_at_margins(self) -> None:
        """Hold the checkpoint against itself where it is time to; and the margins against what
        chance alone does."""
        rules = rules_of(comparing(self._config, self._evaluation.run, self._evaluation.run))
        every = self._config.aa_every
        floor = Floor()
        if every is not None and len(self.history.rows) % every == 0:
            columns = {"prompt_id", "prompt", "seed", "cp", "pf", *rules.gate} - {PRODUCT}
            scores = open_scores([self._evaluation.run]).select(sorted(columns))
            floor = floor_of(scores, self._row["model"], rules)
            self._row |= {f"{column}_floor": value for column, value in floor.columns.items()}
        self._row["floor_note"] = floor.note or None
        floors = {**self.history.floors(), **floor.columns}
        for column in margins_below(floors, dict(rules.gate)):
            text = (
                f"the margin of {column}, {rules.gate[column]:g}, is below what chance alone does, "
                f"{floors[column]:.2g}: more seeds, concepts or margin"
            )
            self._suspect("margin", f"margin:{column}", text)

    def _suspect(self, of: str, kind: str, text: str) -> None:
        self._row["suspicions"].append({"of": of, "kind": kind, "text": text})


@dataclass(frozen=True)
class Step:
    """One thing that is done for a checkpoint."""

    name: str
    do: Callable[[NightWork], None]
    writes: tuple[str, ...]
    """Patterns of what it may write in HOME, or remove; {checkpoint} is any checkpoint's name."""


STEPS = (
    Step("masks", NightWork.give_masks, ("segmented/{checkpoint}/*", "segmented/references/*")),
    Step("scores", NightWork.score, ("runs/{checkpoint}/*",)),
    Step("judge", NightWork.judge, ("runs/{checkpoint}/compare/*",)),
    Step("page", NightWork.show, ("runs/{checkpoint}/report/*",)),
    Step("history", NightWork.commit, ("history.parquet",)),
    Step("tell", NightWork.tell, ("history.parquet",)),
    Step(
        "retention",
        NightWork.retain,
        ("history.parquet", "runs/{checkpoint}/scores/*", "segmented/{checkpoint}/*"),
    ),
)
"""In this order, for each checkpoint. All of them can be done again."""


def files_of(home: Home, row: Row) -> Mapping[str, bytes]:
    """Of a checkpoint's comparisons, by name; those that are not there are left out."""
    names = [f"{prefix}{form}" for prefix in (AGAINST_LAST, AGAINST_PIN) for form in FORMS]
    found = {name: home.read(f"runs/{row['checkpoint']}/compare/{name}") for name in names}
    return {name: content for name, content in found.items() if content is not None}


def told_files(home: Home, row: Row) -> Mapping[str, bytes]:
    """What recipients are given of a checkpoint: its comparisons, and its page."""
    page = home.read(f"runs/{row['checkpoint']}/{PAGE}")
    return {**files_of(home, row), **({} if page is None else {REPORT: page})}
