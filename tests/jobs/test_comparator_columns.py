"""Comparators as a user asks for them: by their names, beside CP and PF or later."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from tests.commands import Run, here_asking, rows_of
from tests.masc_core.comparators.checkpoints import write_clip
from tests.pictures import painted
from tests.shards import generation, reference, write_tar

pytestmark = pytest.mark.slow

PROMPT = "a photo of a cat on a beach"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clip")
    write_tar(tmp_path / "references-0.tar", [*reference("cat/0", 1), *reference("cat/1", 2)])
    members = [m for i in range(3) for m in generation(f"{i}", 5 + i, prompt=PROMPT)]
    write_tar(tmp_path / "generations-0.tar", members)
    return tmp_path


def evaluate(folder: Path, encoder: Path, *words: str) -> Run:
    return here_asking(
        "evaluate",
        *(f"samples={folder}/generations-*.tar", f"references={folder}/references-*.tar"),
        *(f"run={folder}/run", f"encoder.name_or_path={encoder}", "encoder.max_num_patches=36"),
        *("workers.cpus=1", *words),
    )


def plainly(clip: Path) -> tuple[list[list[float]], list[float]]:
    """Of each generation, CLIP-I against each reference and CLIP-T, as the library has them."""
    model, processor = CLIPModel.from_pretrained(clip), CLIPProcessor.from_pretrained(clip)

    def features(seed: int) -> torch.Tensor:
        pixels = processor(images=painted((96, 96), seed)[0], return_tensors="pt")
        return model.get_image_features(**pixels).pooler_output[0]

    with torch.no_grad():
        text = model.get_text_features(**processor(text=PROMPT, return_tensors="pt"))
        made = [features(5 + i) for i in range(3)]
        photos = [features(seed) for seed in (1, 2)]
        alike = torch.nn.functional.cosine_similarity
        clip_i = [[float(alike(own, photo, 0)) for photo in photos] for own in made]
        return clip_i, [float(alike(own, text.pooler_output[0], 0)) for own in made]


@pytest.mark.services
def test_clip_is_added_to_a_run_and_equals_the_library(
    folder: Path, naflex_checkpoint: Path, joined_here: None
) -> None:
    assert evaluate(folder, naflex_checkpoint).returncode == 0
    before = {row["key"]: row for row in rows_of(folder / "run")}
    added = evaluate(
        *(folder, naflex_checkpoint, "metric.extra=[clip_i,clip_t]"),
        *(f"comparators.{name}.name_or_path={folder}/clip" for name in ("clip_i", "clip_t")),
    )
    assert added.returncode == 0, added.stderr
    assert "clip_t (95 % CI)" in added.stdout
    clip_i, clip_t = plainly(folder / "clip")
    for i, row in enumerate(sorted(rows_of(folder / "run"), key=lambda row: row["key"])):
        assert row["clip_i_per_reference"] == pytest.approx(clip_i[i], abs=1e-5)
        assert row["clip_i"] == pytest.approx(sum(clip_i[i]) / 2, abs=1e-5)
        assert row["clip_t"] == pytest.approx(clip_t[i], abs=1e-5)
        assert {name: row[name] for name in before[row["key"]]} == before[row["key"]]


def test_a_call_that_cannot_be_computed_removes_and_makes_nothing(
    folder: Path, naflex_checkpoint: Path
) -> None:
    (folder / "run" / "scores").mkdir(parents=True)
    part = folder / "run" / "scores" / "precious.parquet"
    part.write_bytes(b"what took a night")
    refused = evaluate(folder, Path("/nowhere"), "overwrite=true", "ray.address=127.0.0.1:1")
    assert refused.returncode == 1
    assert "encoder.name_or_path=/nowhere: no such directory" in refused.stderr
    assert part.exists()
    words = ("metric.extra=[clip_i]", "comparators.clip_i.name_or_path=/nowhere")
    refused = evaluate(folder, naflex_checkpoint, "overwrite=true", *words)
    assert refused.returncode == 1
    assert part.exists()
    part.unlink()
    part.parent.rmdir()
    part.parent.parent.rmdir()
    assert evaluate(folder, Path("/nowhere")).returncode == 1
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["metric.extra=[clip_i]", "comparators.clip_i.name_or_path=/nowhere"],
            "jobs.evaluate: comparators.clip_i.name_or_path=/nowhere: no such directory",
        ),
        (
            ["metric.extra=[clip_i]", "comparators.clip_j.name_or_path=/nowhere"],
            "jobs.evaluate: comparators.clip_j: no such comparator; known: clip_i, clip_t",
        ),
        (
            ["comparators.clip_i.nam=/nowhere"],
            "'comparators.clip_i.nam'; did you mean 'comparators.clip_i.name_or_path'?",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_before_anything_starts(
    folder: Path, naflex_checkpoint: Path, words: list[str], said: str
) -> None:
    refused = evaluate(folder, naflex_checkpoint, "ray.address=127.0.0.1:1", *words)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
