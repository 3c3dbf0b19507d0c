"""`python -m jobs.paper`, on small trees of both layouts, made of photos."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from jobs.pipeline.paper import timing
from jobs.pipeline.paper.recipes import read_recipes
from tests.commands import here, here_asking, rows_of
from tests.datasets.trees import (
    DreamBenchTree,
    OridaTree,
    dreambenchplus_tree,
    mask_of,
    orida_tree,
    photo_shots,
    prompt_of,
)
from tests.jobs.test_agree_dreambenchplus import kd
from tests.masc_core.comparators import checkpoints
from tests.masc_core.comparators import preference_checkpoints as preferences
from tests.paper_calls import RECIPES, paper
from tests.paper_images import Libraries, compared
from tests.photos import WHY_NOT, are_there
from tests.rating_trees import RatingTree, rating_tree

PREFERENCES = {"ImageReward": "imagereward", "VQAScore": "vqascore", "HPSv3": "hpsv3"}
COLUMNS = {
    "cp": {"MaSC": "cp", "SigLIP2 global pool": "siglip2_global", "DINO-I": "dino_i"}
    | {"CLIP-I": "clip_i", "AM-RADIO": "am_radio"},
    "pf": {"MaSC": "pf", "CLIP-T": "clip_t", "SigLIP2 global pool": "siglip2_t"} | PREFERENCES,
    "pools": {
        f"{shown}, {text}": f"pf.{pool}.{text.partition(' ')[0]}"
        for pool, shown in (("bg", "background"), ("full", "full"), ("fg", "foreground"))
        for text in ("full prompt", "stripped")
    }
    | {
        f"CLIP, {shown}, {text}": f"pf.{pool}.{text.partition(' ')[0]}@clip_b"
        for pool, shown in (("bg", "background"), ("full", "full"))
        for text in ("full prompt", "stripped")
    },
    "aggregators": {
        "masked, MaSC's encoder": "cp",
        "all patches, MaSC's encoder": "cp.global_maxcos",
        "weighted, MaSC's encoder": "cp.weighted_maxcos",
        "recall, MaSC's encoder": "cp.recall_fg",
        "masked, SigLIP2 B": "cp.masked_maxcos@siglip2_b",
        "all patches, SigLIP2 B": "cp.global_maxcos@siglip2_b",
        "weighted, SigLIP2 B": "cp.weighted_maxcos@siglip2_b",
        "recall, SigLIP2 B": "cp.recall_fg@siglip2_b",
    },
    "mask_sources": {"given": "cp"},
    "mask_noise": {
        "given": "cp",
        **{f"dilated by {pixels} pixels": f"cp@dilate:{pixels}" for pixels in (5, 10)},
        **{f"{n}0 % of foreground patches dropped": f"cp@drop:0.{n}" for n in (1, 2)},
    },
}
"""Rows that run here, and their columns, of each table of alphas."""
DIFFERENCES = {"masked - recall, SigLIP2 B": ("masked, SigLIP2 B", "recall, SigLIP2 B")}
"""Rows that are a row less another."""
MASKS = [column[3:] for column in COLUMNS["mask_noise"].values() if "@" in column]
PATCHES = 36
OF_PAIRS = {
    "orida": COLUMNS["cp"],
    "mask_noise_orida": COLUMNS["mask_noise"],
}
"""Of each table of AUCs."""


@dataclass(frozen=True)
class Made:
    """What a whole call left."""

    tree: DreamBenchTree
    orida: OridaTree
    ratings: RatingTree
    words: list[str]
    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def table(self, name: str) -> dict[str, dict[str, Any]]:
        """Its rows by name."""
        found = json.loads((self.out / "paper.json").read_text())[name]
        return {row["name"]: row for row in found["rows"]}

    def rows(self, data: str) -> list[dict[str, Any]]:
        """That are ok."""
        return [row for row in rows_of(self.out / "runs" / data) if row["status"] == "ok"]


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, naflex_checkpoint: Path, joined_here: None
) -> Made:
    """All recipes; MaSC, and what CLIP, DINO, RADIO, SigLIP2 and the preference models give, by
    small random checkpoints."""
    if not are_there():
        pytest.skip(WHY_NOT)
    folder = tmp_path_factory.mktemp("paper")
    data = folder / "data"
    tree = dreambenchplus_tree(data / "dreambenchplus", photo_shots(), n_concepts=4)
    ratings = rating_tree(tree.methods, tree.concepts)
    ratings.write(tree.root)
    orida = orida_tree(data / "orida", photo_shots((96, 96)))
    checkpoints.write_clip(folder / "clip")
    checkpoints.write_dino(folder / "dino")
    checkpoints.write_radio(folder / "radio")
    checkpoints.write_siglip(folder / "siglip")
    checkpoints.write_imagereward(folder / "reward")
    preferences.write_clip_flant5(folder / "flant5", preferences.flant5_state())
    preferences.write_hpsv3(folder / "hpsv3")
    at = dict.fromkeys(("clip_i", "clip_t", "clip_b"), "clip")
    at |= {"dino_i": "dino", "am_radio": "radio", "siglip2_b": "siglip", "imagereward": "reward"}
    at |= {"vqascore": "flant5", "hpsv3": "hpsv3"}
    words = [
        *(f"data={data}", f"out={folder}/out", f"encoder.max_num_patches={PATCHES}"),
        "workers.cpus=1",
        f"encoder.name_or_path={naflex_checkpoint}",
        *(f"comparators.{name}.name_or_path={folder}/{where}" for name, where in at.items()),
        # Published in bfloat16; exact, to be held against exact figures.
        *(f"comparators.{name}.dtype=float32" for name in ("am_radio", "vqascore", "hpsv3")),
    ]
    # Run times are asked for below: a process a system is too much for all tests to wait for.
    asked = f"recipes=[{','.join(RECIPES[:-1])}]"
    with pytest.MonkeyPatch.context() as patch:
        without_downloads(patch, folder / "hub")
        done = here("paper", *words, asked)
    assert done.returncode == 0, done.stderr
    return Made(tree, orida, ratings, words, folder)


def without_downloads(patch: pytest.MonkeyPatch, hub: Path) -> None:
    """The hub is what lies in a folder, and packages are not there that would download gigabytes:
    DreamSim's, and those of matchers."""
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    packages = {"diffusers": "there"}
    patch.setattr("masc_core.comparators.weight_files.find_spec", packages.get)


def alpha(values: np.ndarray, ratings: list[list[float]]) -> float:
    """By the package and the protocol: the mean over both groups, each to 3 decimals."""
    scaled = (values - values.min()) / (values.max() - values.min())
    each = [kd(list(scaled), [value / 4 for value in group]) for group in ratings]
    return round(sum(each) / 2, 3)


def said_by_people(made: Made, aspect: str, row: dict[str, Any]) -> list[float]:
    key = f"{row['concept']}-{row['prompt_id']}"
    return [made.ratings.said[aspect, row["model"], group][key] for group in ("group1", "group2")]


def n_rated_by_masks(made: Made, aspect: str) -> int:
    """Pairs of which both masks cover more than 5 %; of styles none that is of PF."""

    def covers(path: Path) -> bool:
        return np.asarray(Image.open(path)).astype(bool).mean() > 0.05

    tree = made.tree
    return sum(
        covers(tree.reference_mask(concept)) and covers(tree.mask(method, concept, prompt))
        for method in tree.methods
        for concept in tree.concepts
        for prompt in range(tree.n_prompts)
        if aspect == "cp" or not concept.startswith("style")
    )


def rated_rows(made: Made, aspect: str) -> list[dict[str, Any]]:
    """Of the protocol: PF leaves styles out."""
    rows = made.rows("dreambenchplus")
    return [row for row in rows if aspect == "cp" or not row["concept"].startswith("style")]


@pytest.mark.parametrize("recipe", COLUMNS)
def test_every_alpha_is_the_package_s_over_the_run_s_rows(made: Made, recipe: str) -> None:
    aspect = "pf" if recipe in ("pf", "pools") else "cp"
    rows, table = rated_rows(made, aspect), made.table(recipe)
    people = list(zip(*(said_by_people(made, aspect, row) for row in rows), strict=True))
    assert len(rows) == n_rated_by_masks(made, aspect) > 5
    for name, column in COLUMNS[recipe].items():
        values = np.array([row[column] for row in rows])
        assert table[name]["ours"] == alpha(values, people), name
        assert table[name]["n"] == len(rows)
        low, high = table[name]["ci"]
        assert low <= table[name]["ours"] <= high <= 1
    without_run = ("Human", "GPT-4o", "GPT-4V")
    differences = {name: own for name, own in DIFFERENCES.items() if name in table}
    for name, (first, second) in differences.items():
        assert table[name]["ours"] == pytest.approx(table[first]["ours"] - table[second]["ours"])
    ran = {name for name, row in table.items() if row["ours"] is not None}
    assert ran - set(without_run) == COLUMNS[recipe].keys() | differences.keys()
    if "Human" in table:
        assert table["Human"]["ours"] == kd(*people)
        gpt = [
            made.ratings.said[aspect, row["model"], "gpt4o"][f"{row['concept']}-{row['prompt_id']}"]
            for row in rows
        ]
        each = [kd(gpt, list(group)) for group in people]
        assert table["GPT-4o"]["ours"] == round(sum(each) / 2, 3)
        assert table["MaSC"]["difference"] == pytest.approx(
            table["MaSC"]["ours"] - {"cp": 0.471, "pf": 0.354}[aspect]
        )


@pytest.mark.parametrize("recipe", OF_PAIRS)
def test_every_auc_is_scikit_learn_s_over_the_run_s_pairs(made: Made, recipe: str) -> None:
    rows, table = made.rows("orida"), made.table(recipe)
    # A key begins with its subject.
    same = [
        reference.partition("/")[0] == row["key"].partition("/")[0]
        for row in rows
        for reference in row["references"]
    ]
    assert (sum(same), len(same)) == (135, 270)
    for name, column in OF_PAIRS[recipe].items():
        scores = [value for row in rows for value in row[f"{column}_per_reference"]]
        assert table[name]["ours"] == pytest.approx(roc_auc_score(same, scores), abs=1e-12), name
    assert {name for name, row in table.items() if row["ours"] is not None} == set(OF_PAIRS[recipe])


@pytest.fixture(scope="module")
def libraries(made: Made, naflex_checkpoint: Path) -> Libraries:
    return Libraries(made.folder, naflex_checkpoint, PATCHES)


def test_figures_are_those_of_the_images_themselves(
    made: Made, libraries: Libraries, naflex_checkpoint: Path
) -> None:
    """MaSC by its authors' package too, all else by plain transformers."""
    from masc import MaSC as Authors

    authors = Authors(str(naflex_checkpoint), device="cpu", naflex_max_patches=PATCHES)
    tree, rows = made.tree, rated_rows(made, "cp")
    found: dict[str, list[float]] = {}
    for row in rows:
        where = row["model"], row["concept"], int(row["prompt_id"])
        noun = tree.subjects[row["concept"]]
        prompt = prompt_of(noun, where[2])
        photo, image = tree.reference(row["concept"]), tree.image(*where)
        masks = tree.reference_mask(row["concept"]), tree.mask(*where)
        [key] = row["references"]
        shots = [(key, photo, masks[0]), (row["key"], image, masks[1])]
        reference, generation = libraries.described(shots).values()
        own = compared(reference, generation, MASKS)
        stripped = prompt.replace(f"a {noun} ", "")
        own |= libraries.prompted(generation, image, prompt, stripped)
        pictures = [Image.open(path).convert("RGB") for path in (photo, image)]
        weights = [np.asarray(Image.open(path).convert("L")) for path in masks]
        theirs = authors.score(*(pictures[0], weights[0], pictures[1], weights[1]), prompt, noun)
        assert (own["cp"], own["pf"]) == pytest.approx((theirs.cp, theirs.pf), abs=1e-5)
        for name, value in own.items():
            found.setdefault(name, []).append(value)
    for recipe, columns in COLUMNS.items():
        aspect = "pf" if recipe in ("pf", "pools") else "cp"
        kept = [i for i, row in enumerate(rows) if row in rated_rows(made, aspect)]
        people = list(zip(*(said_by_people(made, aspect, rows[i]) for i in kept), strict=True))
        for name, column in columns.items():
            values = np.array(found[column])[kept]
            assert [rows[i][column] for i in kept] == pytest.approx(values, abs=1e-5), column
            # What agrees to 1e-5 may round to the next third decimal.
            ours = made.table(recipe)[name]["ours"]
            assert ours == pytest.approx(alpha(values, people), abs=0.0011), (recipe, name)


def test_aucs_are_those_of_the_photos_themselves(made: Made, libraries: Libraries) -> None:
    rows = made.rows("orida")
    pairs = [(row["key"], reference) for row in rows for reference in row["references"]]
    shots = []
    for key in {key for pair in pairs for key in pair}:
        subject, _, stem = key.partition("/")
        # A background that is in both halves of the data set is taken from the first.
        _, scene, k = stem.split("_")
        both = (made.orida.factual, made.orida.counterfactual)
        photo = next(path for of in both if (path := of(int(subject), scene, int(k))).exists())
        shots.append((key, photo, mask_of(photo)))
    photos = libraries.described(shots)
    each = [compared(photos[reference], photos[key], MASKS) for key, reference in pairs]
    same = [key.partition("/")[0] == reference.partition("/")[0] for key, reference in pairs]
    for recipe, columns in OF_PAIRS.items():
        for name, column in columns.items():
            values = [own[column] for own in each]
            stored = [value for row in rows for value in row[f"{column}_per_reference"]]
            assert stored == pytest.approx(values, abs=1e-5), column
            # Scores of two pairs that are that near to one another may change places.
            ours = made.table(recipe)[name]["ours"]
            assert ours == pytest.approx(roc_auc_score(same, values), abs=1e-3), (recipe, name)


def test_every_row_without_a_figure_says_why(made: Made) -> None:
    for row in (row for recipe in RECIPES[:-1] for row in made.table(recipe).values()):
        assert (row["ours"] is None) == (row["why_not"] is not None)
    table = made.table("cp")
    assert table["DIFT-SDXL"]["why_not"].startswith("no weights: stabilityai/stable-diffusion-xl")
    assert table["DINOv3"]["why_not"].startswith("no weights: facebook/dinov3-vitl16")
    assert table["DreamSim"]["why_not"].startswith("not installed: needs the package dreamsim")
    assert made.table("mask_sources")["SAM 3"]["why_not"].startswith("no weights: facebook/sam3")
    row = made.table("aggregators")["masked - recall, DINOv3 B"]
    assert (row["ours"], row["published"]) == (None, 0.716)
    assert row["why_not"].startswith("no weights: facebook/dinov3-vitb16")


def test_what_masks_move_is_what_the_rows_say(made: Made) -> None:
    found = json.loads((made.out / "paper.json").read_text())["mask_noise_orida"]["moves"]
    rows = made.rows("orida")
    for each in found["by_mask"]:
        apart = [abs(row[f"cp@{each['mask']}"] - row["cp"]) for row in rows]
        assert each["n"] == len(rows)
        assert each["median"] == pytest.approx(np.median(apart))
        assert each["p95"] == pytest.approx(np.quantile(apart, 0.95))
    first = found["decided"][0]
    # No two samples change their order by more masks, or farther, than the first one's.
    order = sorted(rows, key=lambda row: -row["cp"])
    after = sorted(rows, key=lambda row: -row[f"cp@{first['mask']}"])
    ranks = [[row["key"] for row in each].index(first["key"]) + 1 for each in (order, after)]
    assert first["ranks"] == ranks


def test_the_documents_hold_all_tables(made: Made) -> None:
    titles = [recipe.config.title for recipe in read_recipes(RECIPES[:-1])]
    markdown, page = ((made.out / f"paper.{kind}").read_text() for kind in ("md", "html"))
    for title in titles:
        assert f"## {title}" in markdown
        assert f">{title}</h2>" in page
    ours = made.table("cp")["MaSC"]["ours"]
    [line] = [line for line in markdown.splitlines() if line.startswith("| MaSC")][:1]
    assert [cell.strip() for cell in line.split("|")][2::2][:2] == [f"{ours:.3f}", "0.471"]
    assert f"<td>{ours:.3f}</td>" in page
    for outside in ("<script", "<link", "src=", "http:"):
        assert outside not in page
    n = n_rated_by_masks(made, "cp")
    for note in (
        "- the data set: 5 methods that are not in samples/",
        f"- the published figures are over 7,135 keys, these over {n}",
        "- the published figures are over 4,500 pairs, these over 270",
        "- 3 subjects only: intervals are rough",
    ):
        assert note in markdown


OF_RUNS = "recipes=[pf,mask_noise_orida]"
"""Without a system that would be looked for on the hub."""


def test_a_second_call_does_nothing_anew(made: Made) -> None:
    patterns = ("shards/*/*.tar", "runs/*/scores/*.parquet")
    paths = [path for pattern in patterns for path in made.out.glob(pattern)]
    written = {path: path.stat().st_mtime_ns for path in paths}
    assert len(written) == 4 + 2
    before = made.table("pf")
    # Nobody is there to be joined.
    done = here_asking("paper", *made.words, OF_RUNS, "ray.address=127.0.0.1:1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["pf", "mask_noise_orida"]
    assert {row["name"]: row for row in found["pf"]["rows"]} == before
    assert {path: path.stat().st_mtime_ns for path in paths} == written
    assert "dreambenchplus is packed already" in done.stderr


def test_run_times_are_of_each_system_that_is_there(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_downloads(monkeypatch, made.folder / "hub")
    monkeypatch.setattr(timing, "in_fresh_process", timing.time_pair)
    words = [*made.words, f"out={made.folder}/times", "recipes=[run_time]", "--json"]
    done = paper(*words)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["run_time"]["rows"]}
    timed = {name for name, row in rows.items() if row["ours"] is not None}
    assert timed == {"MaSC", "CLIP-I", "DINO-I", "AM-RADIO", "CLIP-T", *PREFERENCES}
    assert all(0 < rows[name]["ours"] < 10_000 for name in timed)
    assert all(rows[name]["why_not"].startswith("no weights: ") for name in ("DIFT-SDXL", "DINOv3"))
    # What was timed stands.
    monkeypatch.setattr(timing, "in_fresh_process", None)
    assert paper(*words).stdout == done.stdout
