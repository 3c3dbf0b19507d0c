"""What is suspicious of a row is said in it, and counted, while its scores stay the authors'."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.pipeline.run.reports import Warned, merged
from tests.commands import Run, description_of
from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import SmallScorer, small_scorer
from tests.shards import Member, generation, png, reference, write_tar


@pytest.fixture(scope="module")
def scorer(naflex_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallScorer:
    return small_scorer(naflex_checkpoint, tmp_path_factory.mktemp("warnings"))


def score(
    scorer: SmallScorer, members: list[Member]
) -> tuple[dict[str, dict[str, Any]], dict[str, Warned]]:
    """Rows by key, and warnings by kind."""
    path = write_tar(scorer.folder / "g.tar", members)
    warnings = dict(scorer.score(path).warnings)
    return {row["key"]: row for row in pq.read_table(scorer.part(path)).to_pylist()}, warnings


def with_mask(key: str, mask: np.ndarray) -> list[Member]:
    document, _, image = generation(key, 1)
    return [document, (f"{key}.mask.png", png(mask)), image]


def test_masks_of_small_values_say_that_they_make_no_foreground(scorer: SmallScorer) -> None:
    _, mask = painted((96, 96), 1)
    rows, warnings = score(
        scorer,
        [
            *with_mask("good", mask),
            *with_mask("labels", mask // 255 * 2),
            *with_mask("half", mask // 255 * 100),
            *with_mask("ones", mask // 255),
            *with_mask("empty", mask * 0),
        ],
    )
    assert rows["labels"]["error"].startswith("mask.png: no value over 2 of 255")
    assert rows["half"]["error"].startswith("mask.png: no value over 100 of 255")
    assert {rows[key]["error"] for key in ("good", "ones", "empty")} == {None}
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["ones"]["pf"] == pytest.approx(rows["good"]["pf"], abs=1e-6)
    assert warnings["mask"].n == 2
    assert warnings["mask"].example.startswith("labels: mask.png: no value over 2")


def test_a_speck_that_makes_no_patch_foreground_is_said(scorer: SmallScorer) -> None:
    speck = np.zeros((96, 96), np.uint8)
    speck[40, 40] = 255
    rows, _ = score(scorer, with_mask("speck", speck))
    assert rows["speck"]["error"] == (
        "mask: no patch is foreground, though 0.011 % of its pixels are not zero"
    )


def test_a_photo_that_lies_on_its_side_is_scored_as_it_is_stored_and_said(
    scorer: SmallScorer,
) -> None:
    image, mask = painted((96, 96), 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    image.save(turned, "PNG", exif=exif)
    document, _, _ = generation("turned", 1)
    rows, warnings = score(
        scorer,
        [
            *with_mask("plain", mask),
            document,
            ("turned.mask.png", png(mask)),
            ("turned.png", turned.getvalue()),
        ],
    )
    assert rows["turned"]["cp"] == pytest.approx(rows["plain"]["cp"], abs=1e-6)
    assert "EXIF orientation is 6" in rows["turned"]["error"]
    assert rows["plain"]["error"] is None
    assert warnings["orientation"].n == 1


def test_subjects_that_are_missing_or_not_found_are_counted_and_a_bare_subject_is_said(
    scorer: SmallScorer,
) -> None:
    rows, warnings = score(
        scorer,
        [
            *generation("found", 1),
            *generation("none", 2, subject=None),
            *generation("other", 3, subject="backpack_dog", prompt="a backpack dog on a beach"),
            *generation("another", 4, subject="cats"),
            *generation("bare", 5, prompt="a cat"),
        ],
    )
    assert warnings["no subject"].n == 1
    assert warnings["no subject"].example == "none: prompt 'a photo of a cat on a beach'"
    assert warnings["subject not found"].n == 2
    assert warnings["subject not found"].example == (
        "other: subject 'backpack_dog', prompt 'a backpack dog on a beach'"
    )
    assert warnings["empty text"] == Warned(1, "bare: prompt 'a cat'")
    assert rows["bare"]["error"] == "text: the prompt is nothing but its subject"
    assert rows["bare"]["text"] == ""
    assert rows["found"]["error"] is None


def test_a_mask_of_another_aspect_is_an_error_that_gives_both_sizes(scorer: SmallScorer) -> None:
    rows, _ = score(
        scorer,
        [
            *with_mask("other", np.zeros((50, 96), np.uint8)),
            *with_mask("smaller", painted((48, 48), 1)[1]),
            *with_mask("rounded", np.zeros((47, 48), np.uint8)),
        ],
    )
    assert rows["other"]["status"] == "error"
    assert rows["other"]["error"] == ("mask.png: 96x50 is not of the aspect of its image, 96x96")
    assert {rows[key]["status"] for key in ("smaller", "rounded")} == {"ok"}


def test_shards_add_up_and_keep_the_first_example() -> None:
    first, second = {"mask": Warned(2, "a")}, {"mask": Warned(3, "b"), "empty text": Warned(1, "c")}
    assert merged([first, {}, second]) == {"mask": Warned(5, "a"), "empty text": Warned(1, "c")}


def test_a_run_warns_with_counts_examples_and_cures(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    write_tar(tmp_path / "references-0.tar", reference("cat/0", 1))
    for shard in range(2):
        members = [m for i in range(3) for m in generation(f"{shard}/{i}", i, subject="kitty")]
        write_tar(tmp_path / f"generations-{shard}.tar", members)
    done = evaluate()
    assert done.returncode == 0, done.stderr
    warned = description_of(tmp_path / "run")["warnings"]
    assert warned["subject not found"]["n"] == 6
    assert "6 samples have a subject that does not occur in their prompt" in done.stderr
    assert "subject 'kitty', prompt 'a photo of a cat on a beach'" in done.stderr
