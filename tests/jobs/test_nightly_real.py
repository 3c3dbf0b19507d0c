"""`jobs.nightly` with nothing replaced: real shards, real Ray, a real encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.commands import description_of, here, rows_of
from tests.masc_core.segmenters.checkpoints import write_clipseg
from tests.pictures import painted
from tests.pipeline.segmenting.conftest import unmasked
from tests.shards import generation, reference, write_tar

pytestmark = pytest.mark.services


def write_checkpoint(folder: Path, model: str) -> None:
    """Two concepts, two prompts, two seeds; one sample more has no mask."""
    members = [
        member
        for number, (concept, prompt, seed) in enumerate(
            (c, p, s) for c in ("cat", "dog") for p in ("beach", "desk") for s in (0, 1)
        )
        for member in generation(
            f"{concept}/{prompt}/{seed}",
            number,
            model=model,
            concept=concept,
            subject=concept,
            prompt=f"a photo of a {concept} on a {prompt}",
            prompt_id=prompt,
            seed=seed,
        )
    ]
    without_mask = [each for each in generation("cat/x", 9, model=model) if "mask" not in each[0]]
    write_tar(folder / "generations-000000.tar", [*members, *without_mask])
    (folder / "_SUCCESS").touch()


def by_the_authors(checkpoint: Path) -> tuple[float, float]:
    """CP and PF of the last sample that `write_checkpoint` writes, against the dog's reference."""
    from masc import MaSC

    masc = MaSC(str(checkpoint), device="cpu", naflex_max_patches=64)
    prompt = "a photo of a dog on a desk"
    score = masc.score(*painted((96, 96), 3), *painted((96, 96), 7), prompt, "dog")
    return score.cp, score.pf


def test_two_checkpoints_are_scored_on_one_ray_and_judged(
    naflex_checkpoint: Path, on_cluster: None, tmp_path: Path
) -> None:
    references = [reference("cat/0", 1), reference("dog/0", 3, concept="dog", subject="dog")]
    write_tar(tmp_path / "references-000000.tar", [m for each in references for m in each])
    for step in (1, 2):
        write_checkpoint(tmp_path / "inbox" / f"step-{step}", f"net-{step}")
    home = tmp_path / "home"
    words = (
        f"inbox={tmp_path}/inbox/{{checkpoint}}/*.tar",
        f"home={home}",
        f"references={tmp_path}/references-*.tar",
        f"encoder.name_or_path={naflex_checkpoint}",
        "encoder.max_num_patches=64",
        "min_concepts=2",
    )
    done = here("nightly", *words, "--json")
    assert done.returncode == 2, done.stderr
    first, second = json.loads(done.stdout)["judged"]
    assert (first["verdict"], second["verdict"], second["against"]) == (None, "same", "step-1")
    # Equal images of equal seeds, whatever the model is called.
    assert second["cp_delta"] == pytest.approx(0, abs=1e-6)
    assert first["n_error"] == 1
    # One worker, and one encoder: the second checkpoint found it loaded.
    [worker], [same] = (description_of(home / "runs" / f"step-{n}")["workers"] for n in (1, 2))
    assert (worker["pid"], worker["n_kept"]) == (same["pid"], 0)
    assert same["n_kept"] == 1
    for step in (1, 2):
        [row] = [r for r in rows_of(home / "runs" / f"step-{step}") if r["key"] == "dog/desk/1"]
        assert (row["model"], row["status"]) == (f"net-{step}", "ok")
        # By the authors' package, which has loaded an encoder of its own.
        assert (row["cp"], row["pf"]) == pytest.approx(by_the_authors(naflex_checkpoint), abs=1e-5)
    assert description_of(home / "runs" / "step-2")["errors"] == {"mask.png: missing": 1}
    assert pq.read_table(home / "history.parquet")["checkpoint"].to_pylist() == ["step-1", "step-2"]
    nothing = here("nightly", *words, "ray.address=nowhere:1", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)["judged"]) == (0, [])


def test_shards_without_masks_are_segmented_first_and_references_once(
    naflex_checkpoint: Path, on_cluster: None, tmp_path: Path
) -> None:
    segmenter = write_clipseg(tmp_path / "clipseg")
    write_tar(tmp_path / "references-0.tar", unmasked("cat/0", 50))
    for step in (1, 2):
        folder = tmp_path / "inbox" / f"step-{step}" / "shards"
        samples = [unmasked(f"{i}", i, model="m", prompt="a cat on a beach") for i in range(3)]
        write_tar(folder / "generations-0.tar", [member for each in samples for member in each])
        (folder / "_SUCCESS").touch()
    home = tmp_path / "home"
    done = here(
        "nightly",
        *(f"inbox={tmp_path}/inbox/{{checkpoint}}/shards/*.tar", f"home={home}"),
        *(f"references={tmp_path}/references-*.tar", f"encoder.name_or_path={naflex_checkpoint}"),
        *("encoder.max_num_patches=64", "workers.count=1"),
        *("segmenter.name=clipseg", f"segmenter.name_or_path={segmenter}", "--json"),
    )
    # One concept cannot decide.
    assert done.returncode == 5, done.stderr
    masked = {str(path.relative_to(home / "segmented")) for path in home.glob("segmented/*/*.tar")}
    assert masked == {
        "step-1/generations-0.tar",
        "step-2/generations-0.tar",
        "references/references-0.tar",
    }
    assert done.stderr.count("masks of references by clipseg") == 2
    assert "1 shards, 1 of them segmented before" in done.stderr
    # Segmenter and encoder stay, each for the next of its own jobs.
    for folder, n_kept in (
        ("segmented/step-1", 0),
        ("runs/step-1", 0),
        ("segmented/step-2", 1),
        ("runs/step-2", 1),
    ):
        assert [w["n_kept"] for w in description_of(home / folder)["workers"]] == [n_kept], folder
    for step in (1, 2):
        rows = rows_of(home / "runs" / f"step-{step}")
        assert [row["status"] for row in rows] == ["ok"] * 3
