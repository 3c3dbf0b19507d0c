"""`python -m jobs.agree protocol=dreambenchplus`, on small trees of its layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from jobs.pipeline.results.agreement import published
from tests.jobs.test_agree import agree, document, write_run
from tests.rating_trees import CONCEPTS, RatingTree, rating_tree

METHODS = ("emu2", "dreambooth_sd")
CP = ["clip_i (shipped)", "dino_i (shipped)", "gpt4o (shipped)", "gpt4v (shipped)"]
PF = ["clip_t (shipped)", "gpt4o (shipped)", "gpt4v (shipped)"]


def kd(first: list[float], second: list[float]) -> float:
    """As DreamBench++'s own script has it: the package's alpha, interval, to 3 decimals."""
    return round(krippendorff.alpha([first, second], level_of_measurement="interval"), 3)


def expected(tree: RatingTree, aspect: str, who: str, keys: list[tuple[str, str]]) -> float:
    """The protocol of the paper's authors, read anew: the mean of two, to 3 decimals."""
    own = np.array([tree.said[aspect, method, who][key] for method, key in keys])
    if who.startswith("gpt"):
        scaled, most = own, 1.0
    else:
        scaled, most = (own - own.min()) / (own.max() - own.min()), 4.0
    alphas = [
        kd(list(scaled), [tree.said[aspect, method, group][key] / most for method, key in keys])
        for group in ("group1", "group2")
    ]
    return round(sum(alphas) / 2, 3)


def keys_of(tree: RatingTree, aspect: str, dropped: set[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (method, key)
        for method in tree.methods
        for key in tree.said[aspect, method, "group1"]
        if (method, key) not in dropped and not (aspect == "pf" and key.startswith("style"))
    ]


def test_every_row_is_by_the_protocol_on_the_keys_that_all_have(tmp_path: Path) -> None:
    tree = rating_tree(METHODS)
    dropped = {
        ("emu2", f"{CONCEPTS[0]}-1"): "group2",
        ("emu2", f"{CONCEPTS[1]}-2"): "dino_i",
        ("dreambooth_sd", f"{CONCEPTS[2]}-3"): "gpt4o",
    }
    for (method, key), who in dropped.items():
        del tree.said["cp", method, who][key]
    words = ["protocol=dreambenchplus", f"ratings={tree.write(tmp_path)}"]
    found = document(*words)
    assert [row["name"] for row in found["cp"]["rows"]] == CP
    assert [row["name"] for row in found["pf"]["rows"]] == PF
    for aspect, missing in (("cp", set(dropped)), ("pf", set())):
        keys = keys_of(tree, aspect, missing)
        means = np.array(
            [
                (tree.said[aspect, m, "group1"][k] + tree.said[aspect, m, "group2"][k]) / 2
                for m, k in keys
            ]
        )
        for row in found[aspect]["rows"]:
            who = row["name"].removesuffix(" (shipped)")
            assert row["alpha"] == expected(tree, aspect, who, keys), row["name"]
            values = np.array([tree.said[aspect, m, who][k] for m, k in keys])
            assert row["rho"] == pytest.approx(stats.spearmanr(values, means).statistic, abs=1e-9)
            assert row["pearson"] == pytest.approx(
                stats.pearsonr(values, means).statistic, abs=1e-9
            )
            extreme = (means >= 3.5) | (means <= 0.5)
            assert row["auc"] == pytest.approx(
                roc_auc_score(means[extreme] >= 3.5, values[extreme]), abs=1e-9
            )
            assert row["n"] == len(keys)
        human = found[aspect]["human"]
        groups = [[tree.said[aspect, m, g][k] for m, k in keys] for g in ("group1", "group2")]
        assert human["alpha"] == kd(*groups)
        assert human["n"] == len(keys)
    assert found["cp"]["left_out"] == {
        "group2": {"not rated": 1},
        "dino_i (shipped)": {"no row": 1},
        "gpt4o (shipped)": {"no row": 1},
    }
    assert found["cp"]["human"]["n"] == 2 * 36 - 3
    assert found["pf"]["human"]["n"] == 2 * 27


def rows_of(tree: RatingTree) -> list[dict[str, Any]]:
    """A run's rows, two seeds a prompt; the earlier one would spoil every figure."""
    rows = []
    for method in tree.methods:
        for key, value in tree.said["cp", method, "group1"].items():
            concept, _, prompt = key.rpartition("-")
            row = {"model": method, "concept": concept, "prompt_id": prompt, "status": "ok"}
            row |= {"pf": tree.said["pf", method, "group2"][key] / 10, "clip_i": None}
            for seed, cp in ((42, 0.5), (7, value / 8)):
                name = f"{method}/{concept}/{prompt}_{seed}"
                rows.append({**row, "key": name, "seed": seed, "cp": cp})
    return rows


def test_a_run_keeps_the_last_seed_in_name_order(tmp_path: Path) -> None:
    tree = rating_tree(METHODS)
    run = write_run(tmp_path / "run", rows_of(tree))
    words = ["protocol=dreambenchplus", f"ratings={tree.write(tmp_path)}", f"runs={run}"]
    found = document(*words, "shipped=[]")
    [row] = found["cp"]["rows"]
    # A score that is group1's rating: with group1 it is in full agreement.
    keys = keys_of(tree, "cp", set())
    groups = [[tree.said["cp", m, g][k] for m, k in keys] for g in ("group1", "group2")]
    assert row["name"] == "masc"
    assert row["alpha"] == round((1 + kd(*groups)) / 2, 3)
    assert row["n"] == len(keys)
    assert "clip_i is left out: it has no value for any rated sample" in found["cp"]["notes"]
    assert found["pf"]["rows"][0]["n"] == 54


def test_a_method_that_the_run_has_not_is_named_and_in_no_row(tmp_path: Path) -> None:
    tree = rating_tree(METHODS)
    rows = [row for row in rows_of(tree) if row["model"] == "emu2"]
    run = write_run(tmp_path / "run", rows)
    words = ["protocol=dreambenchplus", f"ratings={tree.write(tmp_path)}", f"runs={run}"]
    found = document(*words)["cp"]
    assert found["left_out"]["masc"] == {"no row": 36}
    said = "dreambooth_sd is rated and in no row: masc without a value for it"
    assert said in found["notes"]
    assert all(list(row["per_model"]) == ["emu2"] for row in found["rows"])


def test_what_one_group_alone_has_rated_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree = rating_tree(METHODS)
    del tree.said["cp", "emu2", "group2"]
    del tree.said["pf", "emu2", "clip_t"], tree.said["pf", "dreambooth_sd", "clip_t"]
    found = document("protocol=dreambenchplus", f"ratings={tree.write(tmp_path)}")
    assert list(found["cp"]["human"]["per_model"]) == ["dreambooth_sd"]
    assert "only group1 has rated cp of emu2" in caplog.text
    assert "no ratings of pf by clip_t" in caplog.text


def spoil(tree: RatingTree, key: str, value: Any, who: str = "group1") -> None:
    tree.said["cp", "emu2", who][key] = value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: spoil(tree, "kitten", 2), "emu2-cp.json: key 'kitten' is no <concept>-<pro"),
        (lambda tree: spoil(tree, f"{CONCEPTS[0]}-0", 7), "kitten-0 is 7, expected 0 to 4"),
        (lambda tree: spoil(tree, f"{CONCEPTS[0]}-0", "3"), "kitten-0 is '3', expected a number"),
        (
            lambda tree: spoil(tree, f"{CONCEPTS[0]}-0", True, "dino_i"),
            "data_dino_rating/emu2.json: live_subject_animal_00_kitten-0 is 'True', expected a num",
        ),
        (
            lambda tree: spoil(tree, f"{CONCEPTS[0]}-0", float("inf"), "clip_i"),
            "kitten-0 is inf, expected a finite number",
        ),
        (lambda tree: spoil(tree, f"{CONCEPTS[0]}-00", 1), "rater group1 has rated emu2, live_sub"),
    ],
)
def test_files_that_cannot_be_meant_are_one_line(
    tmp_path: Path, change: Callable[[RatingTree], None], said: str
) -> None:
    tree = rating_tree(METHODS)
    change(tree)
    done = agree("protocol=dreambenchplus", f"ratings={tree.write(tmp_path)}")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in " ".join(done.stderr.split())


def test_a_key_that_nobody_else_knows_is_counted(tmp_path: Path) -> None:
    tree = rating_tree(METHODS)
    spoil(tree, "object_99_nothing-3", 2)
    spoil(tree, f"{CONCEPTS[0]}-5", None)
    found = document("protocol=dreambenchplus", f"ratings={tree.write(tmp_path)}")["cp"]
    assert found["left_out"]["group2"] == {"not rated": 1}
    assert found["left_out"]["group1"] == {"not rated": 1}
    assert found["left_out"]["dino_i (shipped)"] == {"no row": 1}
    assert found["n_missing_ratings"] == 1
    assert found["human"]["n"] == 71


@pytest.mark.parametrize("content", ["[]", "{", '{"a-1": 1, "a-1": 2}'])
def test_a_file_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    root = rating_tree(METHODS).write(tmp_path)
    (root / "data_dino_rating" / "emu2.json").write_text(content)
    done = agree("protocol=dreambenchplus", f"ratings={root}")
    assert done.returncode == 1
    assert "data_dino_rating/emu2.json: " in done.stderr
    empty = agree("protocol=dreambenchplus", f"ratings={tmp_path / 'nowhere'}")
    assert "no data_human_rating/merged_data/group1/<method>-{cp,pf}.json there" in empty.stderr


def test_the_check_of_the_formula_passes_where_the_table_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = rating_tree([*published.TABLE_3])
    root = tree.write(tmp_path)
    done = agree("check=dreambenchplus", f"ratings={root}", f"out={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "figures are not within 0.02 of the published ones" in " ".join(done.stderr.split())
    assert "emu2, H-H" in done.stdout
    assert json.loads((tmp_path / "out" / "check.json").read_text())["ok"] is False
    # The scale is of all methods together, so an independent reading takes all of them, too.
    keys = keys_of(tree, "cp", set())
    table: dict[str, dict[str, float]] = {}
    for method in tree.methods:
        own = [key for of, key in keys if of == method]
        groups = [[tree.said["cp", method, g][key] for key in own] for g in ("group1", "group2")]
        table[method] = {"H-H": kd(*groups)}
        for pair, who in (("D-H", "dino_i"), ("C-H", "clip_i")):
            everything = np.array([tree.said["cp", m, who][key] for m, key in keys])
            low, span = everything.min(), np.ptp(everything)
            scaled = [(tree.said["cp", method, who][key] - low) / span for key in own]
            alphas = [kd(scaled, [value / 4 for value in group]) for group in groups]
            table[method][pair] = round(sum(alphas) / 2, 3) + 0.015
    monkeypatch.setattr(published, "TABLE_3", table)
    found = document("check=dreambenchplus", f"ratings={root}")
    assert found["ok"] is True
    assert len(found["figures"]) == 21
    assert {round(each["difference"], 3) for each in found["figures"]} == {0.0, -0.015}


def test_the_check_needs_every_method(tmp_path: Path) -> None:
    root = rating_tree([*published.TABLE_3][:6]).write(tmp_path)
    done = agree("check=dreambenchplus", f"ratings={root}")
    assert "no ratings of ip_adapter_vit_g_sdxl" in " ".join(done.stderr.split())
