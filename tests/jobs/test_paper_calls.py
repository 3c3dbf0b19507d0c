"""`python -m jobs.paper`: holes in its data, what it times, and calls that cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import ViTModel

from jobs.pipeline.paper import timing
from jobs.pipeline.paper.recipes import FOLDER, read_recipes
from tests.commands import rows_of
from tests.datasets.trees import dreambenchplus_tree, painted_shots
from tests.in_process import without_ray
from tests.masc_core.comparators.checkpoints import write_dino
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


def test_each_recipe_is_a_file_of_a_table_that_the_readme_names() -> None:
    assert [recipe.name for recipe in read_recipes([])] == RECIPES
    page = (FOLDER.parent / "README.md").read_text()
    for path in FOLDER.glob("*.yaml"):
        assert f"paper/{path.name}" in page


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("figure: alpha\nrows: {a: {system: cp}}", "title= is required"),
        ("title: x\nfigure: beta\nrows: {a: {system: cp}}", "figure"),
        ("title: x\nfigure: alpha", "rows: a table has one or more"),
        ("title: x\nfigure: alpha\nrows: {a: {systm: cp}}", "did you mean 'rows.a.system'?"),
        ("title: x\nfigure: alpha\nrows: {a: {system: 'cp@dilat:5'}}", "cp@dilat:5: dilat:5: no"),
        ("title: x\nfigure: alpha\nrows: {a: {system: gpt5 (shipped)}}", "what ships is clip_i"),
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
