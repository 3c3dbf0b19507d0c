"""Nights in people's trackers: the real packages, writing to disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.pipeline.nights.trackers import concept_table, figures, identity_of
from tests.nights import Nights, nights_at

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with nights_at(str(tmp_path)) as found:
        found.complete("step-100")
        found.complete("step-200", drop=0.02)
        yield found


def test_tensorboard_shows_the_figures_by_step_and_the_comparison(nights: Nights) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = Path(nights.root) / "board"
    done = nights.call("track=tensorboard", f"tracker.tensorboard={board}")
    assert done.returncode == 4, done.stderr
    shown = EventAccumulator(str(board)).Reload()
    for name, values in (("cp_mean", "cp_mean"), ("cp_delta", "cp_delta")):
        expected = {row["step"]: row.get(values) for row in nights.history()}
        found = {each.step: each.value for each in shown.Scalars(f"night/{name}")}
        assert found == pytest.approx({s: v for s, v in expected.items() if v is not None})
    tensors = shown.Tensors("night/text_summary")
    texts = [each.tensor_proto.string_val[0].decode() for each in tensors]
    assert texts[1].startswith("step-200: regressed against step-100")
    assert "| CP |" in texts[1]
    assert [row["untold"] for row in nights.history()] == [[], []]


def test_mlflow_has_a_run_a_checkpoint_with_the_comparison_as_an_artifact(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    store = (Path(nights.root) / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    done = nights.call("track=mlflow", "tracker.project=gate")
    assert done.returncode == 4, done.stderr
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("gate")
    assert experiment is not None, done.stderr
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["step-100", "step-200"]
    second = runs["step-200"]
    row = nights.history()[1]
    assert second.data.metrics["cp_mean"] == pytest.approx(row["cp_mean"])
    assert second.data.metrics["cp_delta"] == pytest.approx(row["cp_delta"])
    assert (second.data.tags["verdict"], second.data.tags["against"]) == ("regressed", "step-100")
    assert second.info.status == "FINISHED"
    names = [each.path for each in client.list_artifacts(second.info.run_id, "compare")]
    assert names == ["compare/compare.json", "compare/compare.md", "compare/junit.xml"]
    page = client.download_artifacts(second.info.run_id, "report.html")
    assert Path(page).read_text() == f"{nights.home}/runs/step-200"
    path = client.download_artifacts(second.info.run_id, "night.json")
    assert json.loads(Path(path).read_text())["verdict"] == "regressed"


def test_wandb_has_a_run_a_checkpoint_offline(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    folder = Path(nights.root) / "there"
    folder.mkdir()
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = nights.call("track=wandb", "tracker.project=gate")
    assert done.returncode == 4, done.stderr
    assert "was not told" not in done.stderr
    row = nights.history()[1]
    [path] = folder.glob(f"wandb/offline-run-*-{identity_of(row)}/*.wandb")
    figures_: dict[str, float] = {}
    artifacts: list[str] = []
    for data in logged_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for item in record.history.item:
            figures_[item.key or item.nested_key[0]] = json.loads(item.value_json)
        if record.HasField("artifact"):
            artifacts += [record.artifact.name]
        if record.request.HasField("log_artifact"):
            artifacts += [record.request.log_artifact.artifact.name]
    assert figures_["cp_mean"] == pytest.approx(row["cp_mean"])
    assert figures_["_step"] == 200
    assert "night-step-200" in artifacts


def logged_records(content: bytes) -> Iterator[bytes]:
    """Of LevelDB's log format, in blocks of 32 KiB, behind wandb's own header of 7 bytes."""
    at, record = 7, b""
    while at + 7 <= len(content):
        if 32_768 - at % 32_768 < 7:
            at += 32_768 - at % 32_768  # a block's end that holds no header
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            yield record
            record = b""


def test_a_tracker_that_fails_costs_no_night_and_hears_of_it_later(nights: Nights) -> None:
    pytest.importorskip("tensorboard")
    board = Path(nights.root) / "board"
    board.write_text("a file, where a directory should be")
    words = ("track=tensorboard", f"tracker.tensorboard={board}")
    done = nights.call(*words)
    assert done.returncode == 4
    assert done.stderr.count("tensorboard was not told of step-100") == 1
    board.unlink()
    assert nights.call(*words).returncode == 0
    assert [row["untold"] for row in nights.history()] == [[], []]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("track=mlfow",), "track=mlfow: expected mlflow, wandb, tensorboard"),
        (("track=tensorboard",), "needs tracker.tensorboard"),
    ],
)
def test_what_it_needs_is_said_before_anything_is_scored(
    nights: Nights, words: tuple[str, ...], said: str
) -> None:
    if "tensorboard" in words[0]:
        pytest.importorskip("tensorboard")
    done = nights.call(*words)
    assert (done.returncode, nights.scored) == (1, [])
    assert said in done.stderr


def test_figures_are_numbers_under_names_that_trackers_take() -> None:
    row = {"cp@dilate:5_mean": 0.5, "nan": float("nan"), "passed": True, "n": 3, "step": 7}
    assert figures(row) == {"cp_dilate:5_mean": 0.5, "n": 3.0}


def test_the_table_of_concepts_has_a_row_each() -> None:
    compared = {"concepts": [{"concept": "cat", "n_pairs": 4, "cp": {"delta": -0.1}}]}
    assert concept_table(compared) == (["concept", "n_pairs", "cp_delta"], [["cat", 4, -0.1]])
    assert concept_table({}) == (["concept", "n_pairs"], [])
