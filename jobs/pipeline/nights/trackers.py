"""People's own trackers: they are told a checkpoint's figures, and given its comparison.

Each is an extra, imported where it is used. What goes wrong in one is a message, and costs
no night.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.nights import wording
from jobs.pipeline.nights.history import Row
from jobs.pipeline.nights.telling import REPORT, NotTold, Recipient
from jobs.pipeline.storage.filesystem import absolute
from jobs.pipeline.storage.retry import reason_of

TAGS = ("checkpoint", "verdict", "against", "verdict_pin", "pin", "model", "run", "passed")
"""Of a row what is no figure, and what a tracker sorts by."""
NOT_FIGURES = ("step",)
LONGEST_TAG = 500


@dataclass
class TrackerConfig:
    project: str = setting("masc-nights", "mlflow's experiment, and the project of wandb")
    tensorboard: str | None = setting(None, "TensorBoard's directory; needed to track with it")


@dataclass
class Tracker:
    """One of them. A `telling.Recipient`."""

    name: str
    config: TrackerConfig
    log: Callable[[TrackerConfig, Row, Mapping[str, bytes]], None]

    def tell(self, row: Row, files: Mapping[str, bytes]) -> None:
        """Tell it of a checkpoint.

        Raises:
            NotTold: whatever went wrong in it.
        """
        with _never_fatal(self.name):
            self.log(self.config, row, files)


def trackers_asked(names: Sequence[str], config: TrackerConfig) -> list[Recipient]:
    """Those of the setting `track`.

    Raises:
        CallError: an unknown one, one whose package is not installed, or a setting that it needs.
    """
    for name in names:
        if name not in TRACKERS:
            raise CallError(f"track={name}: expected {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise CallError(f"track={name}: needs its package: pip install 'masc-eval[{name}]'")
    if "tensorboard" in names and config.tensorboard is None:
        raise CallError("track=tensorboard: needs tracker.tensorboard, its directory")
    return [Tracker(name, config, TRACKERS[name]) for name in dict.fromkeys(names)]


def figures(row: Row) -> dict[str, float]:
    """The numbers of a row that are there, under names that every tracker takes."""
    return {
        re.sub(r"[^\w./:-]", "_", name): float(value)
        for name, value in row.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in NOT_FIGURES
        and math.isfinite(value)
    }


def step_of(row: Row) -> int:
    """Where it stands on the axis: its step, or the second in which it was complete."""
    return int(row["time"].timestamp()) if row["step"] is None else int(row["step"])


def _log_to_tensorboard(config: TrackerConfig, row: Row, files: Mapping[str, bytes]) -> None:
    """Scalars of `night/`, and the comparison as a text."""
    from torch.utils.tensorboard import SummaryWriter

    assert config.tensorboard is not None, "trackers_asked comes first"
    with SummaryWriter(absolute(config.tensorboard)) as writer:
        for name, value in figures(row).items():
            writer.add_scalar(f"night/{name}", value, step_of(row))
        text = "\n\n".join(
            [wording.headline(row), *wording.changes(row), *wording.details(row), *_texts(files)]
        )
        writer.add_text("night", text, step_of(row))


def _log_to_mlflow(config: TrackerConfig, row: Row, files: Mapping[str, bytes]) -> None:
    """A run a checkpoint, whose artifacts are the row, the comparisons and the page."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(config.project)
    number = experiment.experiment_id if experiment else client.create_experiment(config.project)
    identity = identity_of(row)
    known = client.search_runs([number], f"tags.night = '{identity}'", max_results=1)
    run = known[0] if known else client.create_run(number, run_name=row["checkpoint"])
    name = run.info.run_id
    for tag, value in _tags(row).items():
        client.set_tag(name, tag, value)
    for figure, number_ in figures(row).items():
        client.log_metric(name, figure, number_, step=step_of(row))
    client.log_dict(name, wording.document(row), "night.json")
    for file, content in files.items():
        place = file if file == REPORT else f"compare/{file}"
        client.log_text(name, content.decode(), place)
    # The last: what was cut off before it is told anew.
    client.set_tag(name, "night", identity)
    client.set_terminated(name)


def _log_to_wandb(config: TrackerConfig, row: Row, files: Mapping[str, bytes]) -> None:
    """A run a checkpoint, with a table of its concepts, and comparisons and page as an artifact."""
    import wandb

    with wandb.init(
        project=config.project,
        name=row["checkpoint"],
        id=identity_of(row),
        resume="allow",
        config=_tags(row),
        settings=wandb.Settings(console="off", silent=True),
    ) as run:
        logged: dict[str, Any] = dict(figures(row))
        if "compare.json" in files:
            names, rows = concept_table(json.loads(files["compare.json"]))
            logged["concepts"] = wandb.Table(columns=names, data=rows)
        run.log(logged, step=step_of(row))
        artifact = wandb.Artifact(f"night-{_plain(row['checkpoint'])}", type="comparison")
        for file, content in {**files, "night.json": _json(row)}.items():
            with artifact.new_file(file, mode="wb") as out:
                out.write(content)
        run.log_artifact(artifact)


TRACKERS: Mapping[str, Callable[[TrackerConfig, Row, Mapping[str, bytes]], None]] = {
    "mlflow": _log_to_mlflow,
    "wandb": _log_to_wandb,
    "tensorboard": _log_to_tensorboard,
}


def concept_table(compared: Mapping[str, Any]) -> tuple[list[Any], list[list[Any]]]:
    """Of `compare.json`, the change of each concept: names of columns, and a row each."""
    concepts = compared.get("concepts", [])
    columns = [name for name in (concepts[0] if concepts else {}) if name not in FIXED]
    rows = [
        [each["concept"], each["n_pairs"], *(each[column]["delta"] for column in columns)]
        for each in concepts
    ]
    return [*FIXED, *(f"{column}_delta" for column in columns)], rows


FIXED = ("concept", "n_pairs")


def identity_of(row: Row) -> str:
    """The same for a checkpoint of one home, whenever it is told of."""
    return hashlib.sha256(str(row["run"]).encode()).hexdigest()[:32]


def _tags(row: Row) -> dict[str, str]:
    found = {name: row.get(name) for name in TAGS}
    return {name: str(value)[:LONGEST_TAG] for name, value in found.items() if value is not None}


def _texts(files: Mapping[str, bytes]) -> list[str]:
    return [content.decode() for name, content in files.items() if name.endswith(".md")]


def _json(row: Row) -> bytes:
    return json.dumps(wording.document(row), indent=2, ensure_ascii=False).encode()


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


@contextmanager
def _never_fatal(name: str) -> Iterator[None]:
    # The libraries' own lines go to their own loggers, which may tell of keys at DEBUG.
    logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever three strangers' packages raise
        raise NotTold(reason_of(error)) from None
