"""`python -m jobs.paper`: holes in its data, what it times, and calls that cannot be meant."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from transformers import ViTModel

from jobs.pipeline.paper import timing
from jobs.pipeline.paper.recipes import FOLDER, read_recipes
from jobs.pipeline.paper.systems import Kind
from tests.commands import rows_of
from tests.datasets.trees import dreambenchplus_tree, orida_tree, painted_shots
from tests.in_process import without_ray
from tests.masc_core.comparators.checkpoints import write_clip, write_dino, write_radio
from tests.masc_core.segmenters.checkpoints import write_clipseg
from tests.paper_calls import RECIPES, paper
from tests.rating_trees import rating_tree


@pytest.mark.slow
def test_a_system_is_timed_where_nothing_else_is_loaded(tmp_path: Path) -> None:
    tree = dreambenchplus_tree(tmp_path, painted_shots(), methods=["emu2"])
    write_dino(tmp_path / "dino")
    weights = {"name_or_path": f"{tmp_path}/dino"}
    pair = timing.find_pair(tree.root)
    found = timing.in_fresh_process(timing.Asked("dino_i", weights, is_masc=False), pair)
    network = ViTModel.from_pretrained(tmp_path / "dino", add_pooling_layer=False)
    assert found.n_parameters == sum(each.numel() for each in network.parameters())
    assert found.median_ms > 0
    assert pair.name == f"emu2/{tree.concepts[0]}/0_0"


TIMES = """
title: Times
figure: time
rows:
  fine: {system: dino_i}
  damaged: {system: clip_i}
  too large: {system: am_radio}
  nobody's: {system: nobodys}
"""


@pytest.mark.slow
def test_what_goes_wrong_in_the_process_of_a_system_is_the_reason_of_its_row(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here_but_for_one(asked: timing.Asked, pair: timing.Pair) -> timing.Timing:
        if asked.name != "am_radio":
            return timing.time_pair(asked, pair)
        with ProcessPoolExecutor(1) as pool:  # ended, as the kernel does where memory runs out
            return pool.submit(os._exit, 9).result()

    monkeypatch.setattr(timing, "in_fresh_process", here_but_for_one)
    write_clip(tmp_path / "clip")
    write_dino(tmp_path / "dino")
    write_radio(tmp_path / "radio")
    weights = tmp_path / "clip" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    (tmp_path / "times.yaml").write_text(TIMES)
    at = {"dino_i": "dino", "clip_i": "clip", "am_radio": "radio"}
    words += [f"comparators.{name}.name_or_path={tmp_path}/{own}" for name, own in at.items()]
    done = paper(*words, f"recipes=[{tmp_path}/times.yaml]", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["times"]["rows"]}
    assert {name for name, row in rows.items() if row["ours"] is not None} == {"fine"}
    why = {name: row["why_not"] for name, row in rows.items()}
    assert why["fine"] is None
    assert re.match(rf"not scored: {tmp_path}/clip: its weights are damaged: ", why["damaged"])
    ended = "not scored: its process was ended from outside, as where memory runs out"
    assert (why["too large"], why["nobody's"]) == (ended, "not yet built")


def test_each_recipe_is_a_file_of_a_table_that_the_readme_names(tmp_path: Path) -> None:
    assert [recipe.name for recipe in read_recipes([])] == RECIPES
    page = (FOLDER.parent / "README.md").read_text()
    for path in FOLDER.glob("*.yaml"):
        assert f"paper/{path.name}" in page
    [own] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "own.yaml").write_text(own)
    [recipe] = read_recipes([f"{tmp_path}/own.yaml"])
    kinds = [each.kind for each in recipe.systems]
    assert kinds == [Kind.MASC, Kind.MASK, Kind.UNKNOWN, Kind.EXTRA]


def test_the_readme_has_every_published_figure_of_the_recipes() -> None:
    page = (FOLDER.parent / "README.md").read_text()
    lines = {
        path.name.partition("_")[2]: next(
            line for line in page.splitlines() if f"paper/{path.name}" in line
        )
        for path in FOLDER.glob("*.yaml")
    }
    for recipe in read_recipes(["cp", "orida", "pf", "pools"]):
        line = lines[f"{recipe.name}.yaml"]
        for row in recipe.rows:
            assert row.published is None or f"{row.published:.3f}" in line, row.name


OWN = """
title: Mine
figure: alpha
min_fg_fraction: 0.05
segmenter: clipseg
moves: true
rows:
  people: {system: human}
  given: {system: cp}
  CLIPSeg: {system: cp@clipseg}
  grown: {system: "cp@dilate:2"}
"""


@pytest.mark.slow
def test_a_tree_with_holes_and_without_masks_ends_in_counts_by_cause(
    tmp_path: Path, naflex_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks are made, given ones and further ones; what lacks is counted."""
    without_ray(monkeypatch)
    tree = dreambenchplus_tree(tmp_path / "dreambenchplus", painted_shots(), methods=["emu2"])
    rating_tree(["emu2"], tree.concepts).write(tree.root)
    first, second, third = tree.concepts
    tree.captions(first).unlink()
    tree.image("emu2", first, 0).write_bytes(b"no image")
    tree.text("emu2", second, 1).unlink()
    for path in [tree.mask("emu2", third, 0), tree.reference_mask(second)]:
        path.unlink()
    write_clipseg(tmp_path / "clipseg")
    (tmp_path / "mine.yaml").write_text(OWN)
    words = [f"recipes=[{tmp_path}/mine.yaml]", f"data={tmp_path}", f"out={tmp_path}/out"]
    words += [f"encoder.name_or_path={naflex_checkpoint}", "encoder.max_num_patches=36"]
    words += [f"segmenters.clipseg.name_or_path={tmp_path}/clipseg"]
    done = paper(*words, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["mine"]
    said = "\n".join(found["notes"])
    for cause in (
        "1 concepts without captions, whose subject is their folder's keyword: ",
        "1 images that cannot be read, left out: ",
        "1 generations without the text of their prompt, left out: ",
        "6 methods that are not in samples/: ",
    ):
        assert f"the data set: {cause}" in said
    [run] = (tmp_path / "out" / "runs").iterdir()
    assert run.name == "dreambenchplus-given-clipseg-clipseg"
    rows = [row for row in rows_of(run) if row["status"] == "ok"]
    assert "4 samples: " in said
    assert any(row["key"] == f"emu2/{third}/0_0" for row in rows_of(run))
    scored = [row for row in rows if row["cp@clipseg"] is not None]
    assert scored
    table = {row["name"]: row for row in found["rows"]}
    assert table["CLIPSeg"]["n"] == table["given"]["n"] <= len(scored)
    monkeypatch.undo()
    again = paper(*words, "ray.address=127.0.0.1:1", "--json")
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_a_segmenter_that_has_made_the_given_masks_is_not_asked_twice(
    tmp_path: Path, naflex_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ray(monkeypatch)
    tree = dreambenchplus_tree(tmp_path / "dreambenchplus", painted_shots(), methods=["emu2"])
    rating_tree(["emu2"], tree.concepts).write(tree.root)
    shutil.rmtree(tree.masks)
    write_clipseg(tmp_path / "clipseg")
    (tmp_path / "mine.yaml").write_text(OWN)
    done = paper(
        *(f"recipes=[{tmp_path}/mine.yaml]", f"data={tmp_path}", f"out={tmp_path}/out", "--json"),
        *(f"encoder.name_or_path={naflex_checkpoint}", "encoder.max_num_patches=36"),
        f"segmenters.clipseg.name_or_path={tmp_path}/clipseg",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["mine"]
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["CLIPSeg"]["system"] == "cp"
    assert rows["CLIPSeg"]["ours"] == rows["given"]["ours"] is not None
    assert "the data set: all masks are by clipseg" in found["notes"]
    assert [path.name for path in (tmp_path / "out" / "masked").iterdir()] == [
        "dreambenchplus-given-clipseg"
    ]


HALF = """
title: Half of it
figure: auc
rows:
  MaSC: {system: cp}
  DreamSim: {system: dreamsim}
  prompts: {system: pf}
  apart: {system: cp, minus: "cp@erode:1"}
"""


def test_what_no_worker_can_load_is_a_row_that_says_so(
    tmp_path: Path, naflex_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a package would download its weights, and cannot."""
    without_ray(monkeypatch)
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "dreamsim", None)
    orida_tree(tmp_path / "orida", painted_shots((48, 48)))
    (tmp_path / "half.yaml").write_text(HALF)
    words = [f"recipes=[{tmp_path}/half.yaml]", f"data={tmp_path}", f"out={tmp_path}/out"]
    words += [f"encoder.name_or_path={naflex_checkpoint}", "encoder.max_num_patches=36"]
    done = paper(*words, "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["half"]["rows"]}
    assert rows["MaSC"]["n"] == 270
    why = "no weights: ~/.cache/dreamsim: cannot be loaded: "
    assert rows["DreamSim"]["why_not"].startswith(why)
    assert rows["prompts"]["why_not"] == "compares no image with another"
    assert rows["apart"]["ours"] is not None
    # Rows of another encoder do not join these.
    again = paper(*words, "encoder.max_num_patches=25")
    assert again.returncode == 1
    assert "was made with another configuration" in " ".join(again.stderr.split())


def test_what_is_not_there_is_said_of_each_row(words: list[str], tmp_path: Path) -> None:
    root = tmp_path / "data" / "dreambenchplus"
    shutil.rmtree(root / "data_human_rating")
    shutil.rmtree(root / "masks")
    (tmp_path / "mine.yaml").write_text(OWN.replace("segmenter: clipseg\n", ""))
    (tmp_path / "half.yaml").write_text(HALF)
    done = paper(*words, f"recipes=[{tmp_path}/mine.yaml,{tmp_path}/half.yaml]", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    mine = {row["name"]: row["why_not"] for row in found["mine"]["rows"]}
    assert mine["given"].startswith("no masks: the data set has none, and none were made")
    assert mine["people"].startswith(f"no data: ratings={root}: no data_human_rating/")
    assert {row["why_not"] for row in found["half"]["rows"] if row["name"] != "DreamSim"} == {
        f"no data: there is no {tmp_path}/data/orida"
    }


@pytest.fixture
def words(tmp_path: Path, naflex_checkpoint: Path) -> list[str]:
    tree = dreambenchplus_tree(
        tmp_path / "data" / "dreambenchplus", painted_shots(), methods=["emu2"]
    )
    rating_tree(["emu2"], tree.concepts).write(tree.root)
    words = [f"data={tmp_path}/data", f"out={tmp_path}/out", "ray.address=127.0.0.1:1"]
    return [*words, f"encoder.name_or_path={naflex_checkpoint}"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["data=/nowhere"], "data=/nowhere: has neither dreambenchplus/ nor orida/ in it"),
        (["recipes=[cpp]"], "recipes=cpp: no such recipe; did you mean 'cp'?"),
        (["recipes=[/no.yaml]"], "/no.yaml: no such configuration file"),
        (["encoder.name_or_path=/no"], "encoder.name_or_path=/no: no such directory"),
        (["recipes=[cp]", "comparators.clip_j.name_or_path=/no"], "clip_j: no such comparator"),
        (
            ["recipes=[orida]", "comparators.clip_i.name_or_path=/no"],
            "comparators.clip_i.name_or_path=/no: no such directory",
        ),
        (["recipes=[pf]", "segmenters.sam.name_or_path=/no"], "segmenters.sam: no such segmenter"),
        (
            ["recipes=[mask_noise]", "segmenters.clipseg.name_or_path=/no"],
            "segmenters.clipseg: /no: no such directory",
        ),
        (["out=hf://x"], "every file written to the hub would be a commit"),
    ],
)
def test_a_call_that_cannot_be_meant_is_one_line(
    words: list[str], more: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = paper(*words, *more)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())


def test_tables_of_one_run_that_differ_in_their_rule_are_refused(
    words: list[str], tmp_path: Path
) -> None:
    row = "title: x\nfigure: alpha\nrows: {a: {system: cp}}\n"
    (tmp_path / "a.yaml").write_text(row)
    (tmp_path / "b.yaml").write_text(f"{row}min_fg_fraction: 0.05\n")
    done = paper(*words, f"recipes=[{tmp_path}/a.yaml,{tmp_path}/b.yaml]")
    assert (done.returncode, done.stdout) == (1, "")
    said = "recipes=a, b: share a run, and differ in min_fg_fraction"
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("figure: alpha\nrows: {a: {system: cp}}", "title= is required"),
        ("title: x\nfigure: beta\nrows: {a: {system: cp}}", "figure"),
        ("title: x\nfigure: alpha", "rows: a table has one or more"),
        ("title: x\nfigure: alpha\nrows: {a: {systm: cp}}", "did you mean 'rows.a.system'?"),
        ("title: x\nfigure: alpha\nrows: {a: {system: 'cp@dilat:5'}}", "cp@dilat:5: dilat:5: no"),
        ("title: x\nfigure: alpha\nrows: {a: {system: gpt5 (shipped)}}", "what ships is clip_i"),
        ("title: x\nfigure: alpha\nrows: {a: {system: clip_t}}", "a: clip_t is of pf, and the"),
        ("title: x\nfigure: alpha\nrows: {a: {system: pf@sam3}}", "a: pf@sam3 is of pf, and the"),
        ("title: x\nfigure: alpha\nsegmenter: sam\nrows: {a: {system: cp}}", "segmenter=sam"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_one_line(
    words: list[str], tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    done = paper(*words, f"recipes=[{tmp_path}/mine.yaml]")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())
