"""Networks that do not stand together: passes over the same shards, in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.pipeline.cluster.driver import Driver
from masc_core.comparators import COMPARATORS
from tests.commands import Run, description_of, here
from tests.comparators import TOYS
from tests.masc_core.comparators.checkpoints import write_clip
from tests.pipeline.scoring.test_gains import same
from tests.shards import Member, generation, png, reference, write_tar

pytestmark = [pytest.mark.services, pytest.mark.slow]

Evaluate = Callable[..., Run]

N_SHARDS, N_SAMPLES = 7, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight shards, one of them with a sample without a mask and one whose mask is small; two
    references, and a CLIP."""
    path = tmp_path_factory.mktemp("passes")
    write_clip(path / "clip")
    write_tar(path / "references-0.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    for shard in range(N_SHARDS):
        members: list[Member] = []
        for i in range(N_SAMPLES):
            members += generation(f"{shard}/{i}", N_SAMPLES * shard + i)
        write_tar(path / f"generations-{shard}.tar", members)
    speck = Image.new("L", (96, 96))
    speck.paste(255, (0, 0, 20, 20))
    fields, _, image = generation("odd/1", 92)
    odd = [
        *generation("odd/0", 91)[::2],
        *(fields, ("odd/1.mask.png", png(speck)), image),
        *generation("odd/2", 90),
    ]
    write_tar(path / "generations-odd.tar", odd)
    return path


@pytest.fixture
def evaluate(
    folder: Path,
    joined_here: None,
    naflex_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Evaluate:
    """`jobs.evaluate` into `tmp_path/NAME`."""
    for name, where in TOYS.items():
        monkeypatch.setitem(COMPARATORS, name, where)

    def call(name: str, *words: str) -> Run:
        return here(
            "evaluate",
            *(f"samples={folder}/generations-*.tar", f"references={folder}/references-*.tar"),
            *(f"run={tmp_path}/{name}", f"encoder.name_or_path={naflex_checkpoint}"),
            *("encoder.max_num_patches=36", "limits.max_error_rate=1", *words),
        )

    return call


def test_columns_of_two_passes_equal_those_of_one(
    folder: Path, evaluate: Evaluate, tmp_path: Path
) -> None:
    words = [
        *("metric.extra=[clip_i,tones,clip_t]", "metric.masks=[given,dilate:4]"),
        *("metric.min_fg_fraction=0.05", "limit=2"),
        *(f"comparators.{name}.name_or_path={folder}/clip" for name in ("clip_i", "clip_t")),
    ]
    one = evaluate("one", *words)
    assert one.returncode == 0, one.stderr
    two = evaluate("two", *words, "comparators.clip_i.own_pass=true")
    assert two.returncode == 0, two.stderr
    parts = {path.name: path for path in (tmp_path / "one" / "scores").iterdir()}
    assert len(parts) == N_SHARDS + 1
    for name, path in parts.items():
        left, right = pq.read_table(path), pq.read_table(tmp_path / "two" / "scores" / name)
        assert set(left.schema.names) == set(right.schema.names)
        same(right, left)
    statuses = [s for path in parts.values() for s in pq.read_table(path)["status"].to_pylist()]
    # 400 of 9,216 pixels are less than 5 %; the third sample of that shard is beyond the limit.
    assert (statuses.count("error"), statuses.count("skipped"), len(statuses)) == (1, 1, 16)
    assert one.stdout == two.stdout

    before, after = (description_of(tmp_path / name) for name in ("one", "two"))
    assert after["fingerprint"] == before["fingerprint"]
    for key in ("state", "counts", "errors", "warnings", "n_shards_scored"):
        assert after[key] == before[key]
    # One network has both of CLIP's columns, unless the call parts them.
    assert names_of(before) == [["masc", "clip_i, clip_t", "tones"]]
    assert names_of(after) == [["masc", "tones", "clip_t"], ["clip_i"]]
    assert [worker["pass"] for worker in after["workers"]] == [1, 2]
    assert "pass 2 of 2: clip_i; 8 shards" in two.stderr


def names_of(described: dict) -> list[list[str]]:
    return [[each["metric"] for each in own] for own in described["passes"]]


def test_a_large_metric_is_placed_by_memory_and_an_interrupted_pass_is_gone_on_with(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says 10 GB: more than 0.6 of 12, and no more than 0.9."""
    words = [
        *("metric.extra=[counted,mean_colour]", "workers.memory_gb=12"),
        f"comparators.counted.name_or_path={tmp_path}/noted",
    ]
    done = Driver._shard_done
    n_gained, states = 0, list[str]()

    def interrupted(self: Driver, *of_shard: object) -> None:
        nonlocal n_gained
        done(self, *of_shard)  # type: ignore[arg-type]
        n_gained += (tmp_path / "noted").exists()
        if n_gained == 1:
            # As a process leaves it that is killed here.
            states.append(description_of(tmp_path / "run")["state"])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Driver, "_shard_done", interrupted)
        stopped = evaluate("run", *words)
    assert stopped.returncode == 3, stopped.stderr
    assert "2 passes, as a worker's device has 12 GB: masc (" in stopped.stderr
    assert "mean_colour (0 GB); then counted (10 GB)" in stopped.stderr
    described = description_of(tmp_path / "run")
    assert [*states, described["state"]] == ["incomplete", "stopped"]
    assert names_of(described) == [["masc", "mean_colour"], ["counted"]]
    # Beside them may lie what a worker that was killed had not written whole.
    parts = sorted((tmp_path / "run" / "scores").glob("*.parquet"))
    schemas = [pq.read_schema(path).names for path in parts]
    assert len(parts) == N_SHARDS + 1
    assert all("mean_colour" in names for names in schemas)
    assert 1 <= sum("counted" in names for names in schemas) < len(parts)

    again = evaluate("run", *words)
    assert again.returncode == 0, again.stderr
    assert names_of(description_of(tmp_path / "run")) == [["counted"]]
    for path in parts:
        table = pq.read_table(path)
        ok = [status == "ok" for status in table["status"].to_pylist()]
        assert [value is not None for value in table["counted"].to_pylist()] == ok
        assert table["counted"].to_pylist() == table["mean_colour"].to_pylist()
    noted = (tmp_path / "noted").read_text().split()
    expected = {f"{s}/{i}" for s in range(N_SHARDS) for i in range(N_SAMPLES)} | {"odd/1", "odd/2"}
    assert set(noted) == expected
    # A worker has two shards at a time: of that which the interrupt met nothing was kept.
    assert len(noted) - len(expected) <= N_SAMPLES


def test_a_metric_that_fits_nowhere_is_refused_before_a_worker_starts(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    refused = evaluate("run", "metric.extra=[counted]", "workers.memory_gb=11")
    assert refused.returncode == 1
    assert (
        "comparators.counted.name_or_path=None: cannot be loaded: its weights take 10 GB, and a "
        "worker's device has 11 GB; name" in refused.stderr
    )
    described = description_of(tmp_path / "run")
    assert (described["state"], "workers" in described) == ("stopped", False)
    assert list((tmp_path / "run" / "scores").iterdir()) == []
    # It has to stand beside the encoder, and is too large for that.
    beside = evaluate(
        *("run", "metric.extra=[counted]", "workers.memory_gb=11.112"),
        "comparators.counted.own_pass=false",
    )
    assert beside.returncode == 1
    assert "counted (10 GB): have to stand together, and a worker's device has 11.1 GB" in (
        beside.stderr
    )
