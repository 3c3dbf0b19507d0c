"""`python -m jobs.explain`, as it is called: the picture of one sample."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.explain import explain_command
from jobs.pipeline.command.call import run_command
from jobs.pipeline.explaining import ExplainConfig
from tests.commands import Run, rows_of

pytestmark = pytest.mark.slow

KEY = "alpha/cat-1"


def explain(*words: str) -> Run:
    """The command's own function, here: a process of its own would take its imports each time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command("explain", ExplainConfig, explain_command, list(words))
    return Run([*words], status, out.getvalue(), err.getvalue())


def refusal(*words: str) -> str:
    """The one line in which a call is refused."""
    done = explain(*words)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("jobs.explain:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.fixture
def copied(scored: Path, tmp_path: Path) -> Path:
    """The run, to be changed; its shards stay where they are."""
    return shutil.copytree(scored / "run", tmp_path / "run")


def change_rows(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    for part in (run / "scores").glob("*.parquet"):
        table = pq.read_table(part)
        rows = table.to_pylist()
        for row in rows:
            change(row)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)


def row_of(run: Path, key: str = KEY) -> dict[str, Any]:
    [row] = [row for row in rows_of(run) if row["key"] == key]
    return row


def test_the_scores_drawn_are_those_of_the_run(scored: Path, tmp_path: Path) -> None:
    row = row_of(scored / "run")
    done = explain(f"run={scored}/run", f"key={KEY}", f"out={tmp_path}/x.png", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cp"] == pytest.approx(row["cp"], abs=1e-5)
    assert found["pf"] == pytest.approx(row["pf"], abs=1e-5)
    expected = dict(zip(row["references"], row["cp_per_reference"], strict=True))
    assert found["cp_per_reference"] == pytest.approx(expected, abs=1e-5)
    assert found["text"] == row["text"] == "a photo of on a beach"
    assert found["differences"] == []
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert picture.width == 2100  # 7 inches
        # Four panels on white: something is drawn in each quarter of the width.
        grey = picture.convert("L")
        for quarter in range(4):
            box = grey.crop((525 * quarter, 300, 525 * (quarter + 1), 500))
            assert box.getextrema()[0] < 200


def test_an_svg_holds_its_words_as_text_and_is_the_same_each_time(
    scored: Path,
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        done = explain(f"run={scored}/run", f"key={KEY}", f"out={tmp_path}/{name}.svg")
        assert done.returncode == 0, done.stderr
    content = (tmp_path / "a.svg").read_bytes()
    assert content == (tmp_path / "b.svg").read_bytes()
    root = ElementTree.fromstring(content)
    texts = [
        "".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    row = row_of(scored / "run")
    assert f"PF {row['pf']:.3f}, where it looked" in texts
    for cp in row["cp_per_reference"]:
        assert f"CP {cp:.3f}, patch by patch" in texts
    assert [word for word in texts if word in row["prompt"].split()] == row["prompt"].split()


def test_a_page_needs_no_other_file(scored: Path, tmp_path: Path) -> None:
    done = explain(f"run={scored}/run", f"key={KEY}", f"out={tmp_path}/x.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "x.html").read_text()
    assert "default-src 'none'" in page.replace("&#39;", "'")
    addresses = re.findall(r"""(?:href|src)=["\']([^"\']*)""", page)
    assert addresses
    assert all(each.startswith(("data:image/", "#")) for each in addresses)
    assert "<del>a cat </del>" in page


def test_one_reference_is_drawn_alone(scored: Path, tmp_path: Path) -> None:
    call = (f"run={scored}/run", f"key={KEY}", f"out={tmp_path}/x.html")
    row = row_of(scored / "run")
    done = explain(*call, "reference=2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = {row["references"][1]: row["cp_per_reference"][1]}
    assert found["cp_per_reference"] == pytest.approx(expected, abs=1e-5)
    # The sample's own score stays what it is, over all.
    assert found["cp"] == pytest.approx(row["cp"], abs=1e-5)
    assert "Reference cat/1" in (tmp_path / "x.html").read_text()
    assert "Reference cat/0" not in (tmp_path / "x.html").read_text()
    for number in (0, 3, -1):
        assert f"reference={number}: the sample has 2" in refusal(*call, f"reference={number}")


def test_no_such_run(tmp_path: Path) -> None:
    line = refusal(f"run={tmp_path}/none", "key=a", f"out={tmp_path}/x.html")
    assert f"run={tmp_path}/none" in line


def test_no_such_key_names_the_nearest(scored: Path, tmp_path: Path) -> None:
    line = refusal(f"run={scored}/run", "key=alpha/cat-11", f"out={tmp_path}/x.html")
    assert "no such sample" in line
    assert "did you mean 'alpha/cat-1'?" in line


@pytest.mark.parametrize("out", ["x.gif", "x", ".png", "png", "x.png/"])
def test_a_picture_of_another_kind(scored: Path, tmp_path: Path, out: str) -> None:
    line = refusal(f"run={scored}/run", f"key={KEY}", f"out={tmp_path}/{out}")
    assert "expected FILE.png, FILE.svg, FILE.html" in line
    assert not list(tmp_path.iterdir())


def test_a_key_of_several_samples_is_told_by_model_or_shard(copied: Path, tmp_path: Path) -> None:
    change_rows(copied, lambda row: row.update(key=row["key"].partition("/")[2]))
    call = (f"run={copied}", "key=cat-1", f"out={tmp_path}/x.html")
    line = refusal(*call)
    assert "2 samples have it (alpha in" in line
    assert "name model= or shard=" in line
    assert "none of its samples is of this model=" in refusal(*call, "model=gamma")
    # It is found, and what lies there is told to be another.
    for word in ("model=beta", "shard=generations-beta.tar"):
        assert "'cat-1' is not at byte" in refusal(*call, word)


def test_a_row_without_scores(copied: Path, tmp_path: Path) -> None:
    change_rows(copied, lambda row: row.update(status="error", error="mask.png: missing", cp=None))
    line = refusal(f"run={copied}", f"key={KEY}", f"out={tmp_path}/x.html")
    assert "error, so there is nothing to explain: mask.png: missing" in line


def test_scores_that_differ_from_the_runs_are_said(
    copied: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cp = row_of(copied)["cp"]
    change_rows(copied, lambda row: row.update(cp=row["cp"] + 0.01))
    done = explain(f"run={copied}", f"key={KEY}", f"out={tmp_path}/x.html")
    assert done.returncode == 0
    said = f"cp is {cp:.4f} here, and {cp + 0.01:.4f} in the run"
    assert said in caplog.text
    assert said in done.stdout
    assert said in (tmp_path / "x.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("config"), "does not say by which encoder"),
        (lambda d: d["config"]["encoder"].update(name_or_path="/none"), "/none: no such directory"),
        (
            lambda d: d["fingerprint"]["masc"].update({"encoder.weights": "sha256:0"}),
            "scored in another way than here: encoder.weights",
        ),
        (
            lambda d: d["config"]["metric"].update(fg_threshold=0.3),
            "scored in another way than here: metric.fg_threshold",
        ),
        (lambda d: d["references"][0].update(tag="1"), "references-0.tar: the shard has changed"),
        (lambda d: d["references"][0].update(url="/none.tar"), "/none.tar: the shard is gone"),
        (lambda d: d.pop("references"), "no reference shard that run.json names has it"),
    ],
)
def test_what_the_run_was_made_of_and_is_not_there(
    copied: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    described = json.loads((copied / "run.json").read_text())
    change(described)
    (copied / "run.json").write_text(json.dumps(described))
    line = refusal(f"run={copied}", f"key={KEY}", f"out={tmp_path}/x.html")
    assert message in line
    assert not (tmp_path / "x.html").exists()


def test_a_run_json_does_not_get_code_run(copied: Path, tmp_path: Path) -> None:
    from masc_core.defaults import DEMO_CHECKPOINT

    encoder = shutil.copytree(DEMO_CHECKPOINT, tmp_path / "encoder")
    configured = json.loads((encoder / "config.json").read_text())
    configured["auto_map"] = {"AutoModel": "evil.Model"}
    (encoder / "config.json").write_text(json.dumps(configured))
    (encoder / "evil.py").write_text("raise SystemExit('run')")
    described = json.loads((copied / "run.json").read_text())
    described["config"]["encoder"] |= {"name_or_path": str(encoder), "trust_remote_code": True}
    (copied / "run.json").write_text(json.dumps(described))
    line = refusal(f"run={copied}", f"key={KEY}", f"out={tmp_path}/x.html")
    assert "asks for Python code of the checkpoint's own" in line
