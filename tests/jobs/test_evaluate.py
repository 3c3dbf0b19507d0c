"""The main job, end to end: real shards, real Ray, real checkpoints."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.pipeline.run.rows import SCORES_SCHEMA
from tests.commands import Run, description_of, here, rows_of
from tests.photos import Photo
from tests.shards import Member, generation, png, reference, write_tar

TOLERANCE = 1e-5


def write_good_shards(folder: Path, n_shards: int = 3, n_samples: int = 6) -> None:
    """Generations of two models and mixed sizes, and three references of two concepts."""
    write_tar(
        folder / "references-000000.tar",
        [
            *reference("cat/0", 1, subject="cat"),
            *reference("cat/1", 2, subject="cat"),
            *reference("dog/0", 3, concept="dog", subject="dog"),
        ],
    )
    for shard in range(n_shards):
        members: list[Member] = []
        for i in range(n_samples):
            seed = shard * n_samples + i
            members += generation(
                f"s{shard}/{i}",
                seed,
                size=[(96, 96), (128, 72)][i % 2],
                model=["alpha", "beta"][i % 2],
                concept=["cat", "dog"][i // 2 % 2],
                subject=None,
                seed=seed,
            )
        write_tar(folder / f"generations-{shard:06d}.tar", members)


def test_photos_score_in_the_job_as_the_authors_score_them(
    photos: dict[str, list[Photo]],
    naflex_checkpoint: Path,
    evaluate: Callable[..., Run],
    tmp_path: Path,
) -> None:
    """Packed by `jobs.pack`, scored by two workers, against several references, then all pairs."""
    from masc import MaSC as Oracle

    scenes = ("on the beach", "in a snowy field")
    columns = ["image", "mask", "role", "key", "model", "concept", "prompt", "subject", "seed"]
    chosen = {name: own[:4] for name, own in list(photos.items())[::2]}
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for name, own in chosen.items():
            for i, photo in enumerate(own):
                row = {"image": photo.path, "mask": photo.mask_path, "concept": name}
                row |= {"subject": photo.noun, "key": f"{name}/{i}"}
                if i < 2:
                    writer.writerow({**row, "role": "reference"})
                else:
                    prompt = f"a photo of a {photo.noun} {scenes[i % 2]}"
                    writer.writerow(
                        {**row, "role": "generation", "model": "m", "prompt": prompt, "seed": i}
                    )
    packed = here("pack", f"manifest={tmp_path}/manifest.csv", f"out={tmp_path}", "shard_size=7")
    assert packed.returncode == 0, packed.stderr
    scored = evaluate(
        f"samples={tmp_path}/generations-{{000000..000002}}.tar",
        *("encoder.max_num_patches=256", "workers.count=2", "workers.batch_size=3"),
    )
    assert scored.returncode == 0, scored.stderr

    oracle = Oracle(str(naflex_checkpoint), device="cpu", naflex_max_patches=256)
    rows = rows_of(tmp_path / "run")
    assert len(rows) == 2 * len(chosen)
    for row in rows:
        name, i = row["key"].split("/")
        photo = chosen[name][int(i)]
        assert row["references"] == [f"{name}/0", f"{name}/1"]
        theirs = [
            oracle.score(r.image, r.mask, photo.image, photo.mask, row["prompt"], photo.noun)
            for r in chosen[name][:2]
        ]
        for ours, each in zip(row["cp_per_reference"], theirs, strict=True):
            assert ours == pytest.approx(each.cp, abs=TOLERANCE)
        assert row["cp"] == pytest.approx(sum(each.cp for each in theirs) / 2, abs=TOLERANCE)
        assert row["pf"] == pytest.approx(theirs[0].pf, abs=TOLERANCE)
        extras = [each.extras for each in theirs]
        assert row["n_ref_fg_patches"] == [each["cp_n_ref_fg"] for each in extras]
        assert row["n_fg_patches"] == extras[0]["pf_n_fg"]
        assert row["n_bg_patches"] == extras[0]["pf_n_bg_pooled"]
        assert row["n_patches"] == row["grid_h"] * row["grid_w"] == extras[0]["pf_n_total"]
        assert row["text"] == extras[0]["prompt_text"]
        assert row["subject_found"] == extras[0]["prompt_stripped"]


def test_a_run_holds_every_sample_once_and_goes_on_where_it_stopped(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    write_good_shards(tmp_path)
    first = evaluate("workers.count=2")
    assert first.returncode == 0, first.stderr
    assert "18 samples: 18 ok, 0 skipped, 0 errors; 0 shards set aside" in first.stderr
    assert "alpha" in first.stdout
    assert "beta" in first.stdout
    run = tmp_path / "run"
    parts = sorted((run / "scores").iterdir())
    assert len(parts) == 3
    for part in parts:
        assert pq.read_schema(part).remove_metadata().equals(SCORES_SCHEMA)
    rows = rows_of(run)
    assert Counter(row["key"] for row in rows) == {
        f"s{s}/{i}": 1 for s in range(3) for i in range(6)
    }
    # The reference's subject serves where the generation names none.
    assert {row["concept"]: row["subject"] for row in rows} == {"cat": "cat", "dog": "dog"}
    assert {row["n_references"] for row in rows if row["concept"] == "cat"} == {2}
    described = description_of(run)
    assert described["state"] == "done"
    assert described["counts"] == {"n": 18, "n_ok": 18, "n_skipped": 0, "n_error": 0}
    assert sum(worker["samples"] for worker in described["workers"]) == 18

    # Again, with one part gone and one shard changed: these two alone are scored.
    before = {part.name: part.stat().st_mtime_ns for part in parts}
    parts[0].unlink()
    os.utime(tmp_path / "generations-000001.tar", ns=(1, 1))
    again = evaluate("--json")
    assert again.returncode == 0, again.stderr
    assert "3 shards, 1 of them scored before" in again.stderr
    document = json.loads(again.stdout)
    assert document["counts"]["n_ok"] == 18
    assert {m["model"] for m in document["models"]} == {"alpha", "beta"}
    after = {part.name: part.stat().st_mtime_ns for part in (run / "scores").iterdir()}
    assert after.keys() == before.keys()
    assert [name for name in sorted(after) if after[name] == before[name]] == [parts[2].name]
    assert rows_of(run) == rows

    # Again, with nothing to do: no Ray, the same verdict.
    idle = evaluate("--json")
    assert idle.returncode == 0, idle.stderr
    for ours, before_idle in zip(
        json.loads(idle.stdout)["models"], document["models"], strict=True
    ):
        assert ours == pytest.approx(before_idle)
    assert description_of(run)["n_shards_scored"] == 2

    # The same after a driver that died between the last commit and its own end.
    (run / "run.json").write_text(json.dumps({**description_of(run), "state": "running"}))
    assert evaluate().returncode == 0
    assert description_of(run)["state"] == "done"

    # With another configuration: refused, naming what differs.
    other = evaluate("metric.fg_threshold=0.25", "encoder.dtype=bfloat16")
    assert other.returncode == 1
    [line] = other.stderr.strip().splitlines()
    assert "metric.fg_threshold is 0.25, there 0.5" in line
    assert "encoder.dtype is 'bfloat16', there 'float32'" in line
    assert "overwrite=true" in line
    assert rows_of(run) == rows


def test_references_are_known_by_version_and_read_again_only_where_that_changed(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=2, n_samples=3)
    references = tmp_path / "references-000000.tar"
    content = references.read_bytes()
    assert evaluate().returncode == 0
    run = tmp_path / "run"
    described = description_of(run)
    [recorded] = described["references"]
    assert recorded["url"] == str(references)
    assert recorded["size"] == len(content)
    assert recorded["sha256"] == hashlib.sha256(content).hexdigest()
    parts = {part: part.stat().st_mtime_ns for part in (run / "scores").iterdir()}

    # Another version of the same content is read by workers, once, and nothing is scored.
    os.utime(references, ns=(1, 1))
    assert evaluate().returncode == 0
    [again] = description_of(run)["references"]
    assert (again["tag"], again["sha256"]) == ("1", recorded["sha256"])
    assert description_of(run)["workers"] == described["workers"]
    # From then on nobody reads it, and no Ray is asked for.
    assert evaluate("ray.address=127.0.0.1:1").returncode == 0

    # A run from before references were recorded is gone on with as well.
    older = {key: value for key, value in described.items() if key != "references"}
    (run / "run.json").write_text(json.dumps(older))
    assert evaluate().returncode == 0
    assert [each["sha256"] for each in description_of(run)["references"]] == [recorded["sha256"]]

    # Another content is refused, before anything is scored; what else differs, before Ray starts.
    write_tar(references, [*reference("cat/0", 1), *reference("dog/0", 3, concept="dog")])
    (tmp_path / "generations-000002.tar").write_bytes(
        (tmp_path / "generations-000001.tar").read_bytes()
    )
    refused = evaluate()
    assert refused.returncode == 1
    assert re.search(
        r"concept .cat.( .and 1 more.)? has gained, lost or changed references", refused.stderr
    )
    both = evaluate("metric.fg_threshold=0.4", "ray.address=127.0.0.1:1")
    assert "metric.fg_threshold is 0.4, there 0.5" in both.stderr
    assert {part: part.stat().st_mtime_ns for part in (run / "scores").iterdir()} == parts


BAD: dict[str, tuple[list[Member], str]] = {
    "no-mask": (generation("no-mask", 1)[::2], "mask.png: missing"),
    "no-image": (generation("no-image", 1)[:2], "image: no member of jpg, jpeg, png, webp"),
    "no-json": (generation("no-json", 1)[1:], "json: missing"),
    "not-json": ([("not-json.json", b"{"), *generation("not-json", 1)[1:]], "json: not JSON"),
    "no-model": (generation("no-model", 1, model=None), "json: model is missing"),
    "stranger": (generation("stranger", 1, concept="yak"), "json: concept 'yak' has no reference"),
    "no-ref": (
        generation("no-ref", 1, references=["cat/9"]),
        "json: references: there is no reference 'cat/9'",
    ),
    "on-bad-ref": (
        generation("on-bad-ref", 1, references=["broken"]),
        "reference broken: png: cannot identify image file",
    ),
    "not-image": (
        [*generation("not-image", 1)[:2], ("not-image.png", b"GIF")],
        "png: cannot identify image file",
    ),
    "huge": (
        generation("huge", 1, size=(300, 300)),
        "png: 300x300 is over limits.max_image_pixels",
    ),
}


def test_a_sample_that_cannot_be_scored_is_a_row_that_says_why(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    broken = [m for m in reference("broken", 1, concept="ox") if not m[0].endswith("png")]
    broken += [("broken.mask.png", reference("x", 1)[1][1]), ("broken.png", b"no image")]
    write_tar(tmp_path / "references-0.tar", [*reference("cat/0", 1), *broken])
    nothing, everything = (png(full(value)) for value in (0, 255))
    members = [
        *generation("good", 1),
        *(member for bad, _ in BAD.values() for member in bad),
        *[*generation("full", 2)[::2], ("full.mask.png", everything)][::-1],
        *[*generation("empty", 2)[::2], ("empty.mask.png", nothing)][::-1],
        *generation("split", 3)[:2],
        *generation("other", 4, references=["cat/0"], prompt="a red cat", subject="dog"),
        *generation("split", 3)[2:],
        *generation("twice", 5),
        *generation("last", 6),
        *generation("twice", 5),
    ]
    write_tar(tmp_path / "generations-0.tar", members)
    run = evaluate("limits.max_image_pixels=50000")
    assert run.returncode == 2, run.stderr
    assert "17 samples: 5 ok, 0 skipped, 12 errors; 0 shards set aside" in run.stderr
    assert "limits.max_error_rate=0.01" in run.stderr
    rows = {row["key"]: row for row in rows_of(tmp_path / "run")}
    assert len(rows) == len(rows_of(tmp_path / "run")) == 17
    for key, (_, reason) in BAD.items():
        row = rows[key]
        assert row["status"] == "error"
        assert reason in row["error"], key
        assert row["cp"] is None
        assert row["pf"] is None
    assert rows["stranger"]["model"] == "alpha"
    for key in ("split", "twice"):
        assert rows[key]["status"] == "error"
        assert rows[key]["error"].startswith("key: comes twice, or its members are not adjacent")
    assert rows["full"]["status"] == "ok"
    assert math.isnan(rows["full"]["pf"])
    assert rows["full"]["error"] == "pf: no background patch"
    assert not math.isnan(rows["full"]["cp"])
    assert rows["empty"]["n_fg_patches"] == 0
    assert rows["empty"]["error"] is None
    assert rows["other"]["subject"] == "dog"
    assert not rows["other"]["subject_found"]
    assert rows["other"]["text"] == "a red cat"


def full(value: int) -> np.ndarray:
    return np.full((96, 96), value, np.uint8)


def test_pairs_with_a_small_mask_are_skipped_and_counted(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    small = full(0)
    small[:10, :10] = 255  # 1.1 % of the pixels
    write_tar(tmp_path / "references-0.tar", reference("cat/0", 1))
    members = [*generation("a", 1), *generation("b", 2)[::2], ("b.mask.png", png(small))]
    write_tar(tmp_path / "generations-0.tar", members)
    run = evaluate("metric.min_fg_fraction=0.05")
    assert run.returncode == 0, run.stderr
    assert "2 samples: 1 ok, 1 skipped, 0 errors" in run.stderr
    a, b = rows_of(tmp_path / "run")
    assert (a["status"], b["status"]) == ("ok", "skipped")
    assert b["error"] == "mask.png: foreground is 0.0109 of the pixels, not over 0.05"


def test_a_shard_that_cannot_be_read_is_set_aside_and_tried_again_by_the_next_call(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=2)
    shard = tmp_path / "generations-000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(b"this is no tar" * 1000)
    run = evaluate("limits.max_shard_attempts=2")
    assert run.returncode == 3, run.stderr
    assert "6 samples: 6 ok, 0 skipped, 0 errors; 1 shards set aside" in run.stderr
    [note] = (tmp_path / "run" / "failed").iterdir()
    said = json.loads(note.read_text())
    assert said["url"] == str(shard)
    assert said["attempts"] == 2
    assert "ReadError" in said["error"]
    assert description_of(tmp_path / "run")["state"] == "incomplete"

    shard.write_bytes(whole)
    mended = evaluate()
    assert mended.returncode == 0, mended.stderr
    assert "12 samples: 12 ok" in mended.stderr
    assert not list((tmp_path / "run" / "failed").iterdir())


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("samples=none/*.tar", "samples=.*matches no file"),
        ("references=none.tar", "references=.*none.tar: no such file"),
        ("references=[]", "references= is required"),
        ("samples=ftp://host/a.tar", "scheme not allowed"),
        ("encoder.name_or_path=./none", "encoder.name_or_path=./none: no such directory"),
        ("encoder.name_or_path={tmp}", "no config.json in this directory"),
        ("encoder.name_or_path={tmp}/no-weights", "no weights in this directory"),
        ("encoder.name_or_path={tmp}/clip", "model_type is 'clip', not siglip or siglip2"),
        ("metric.fg_treshold=0.4", "unknown setting 'metric.fg_treshold'; did you mean"),
        ("metric.fg_threshold=2", "metric.fg_threshold=2.0: expected 0.0 to 1.0"),
        ("metric.masks=[given,grow:5]", "metric.masks=grow:5: no such mask"),
        ("metric.extra=clip_x", "metric.extra=clip_x: no such metric"),
        ("workers.count=none", "workers.count=none: expected auto or a number"),
        ("ray.address=127.0.0.1:1", "ray.address=127.0.0.1:1: cannot join"),
        ("run=s4://bucket/run", "scheme not allowed"),
        ("run=/dev/null/run", "run=/dev/null/run: cannot be written to"),
    ],
)
def test_a_wrong_call_is_one_line_before_anything_starts(
    evaluate: Callable[..., Run], tmp_path: Path, word: str, message: str
) -> None:
    write_good_shards(tmp_path, n_shards=1, n_samples=1)
    for name, model_type in (("no-weights", "siglip2"), ("clip", "clip")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": model_type}))
    run = evaluate(word.format(tmp=tmp_path))
    assert run.returncode == 1
    assert run.stdout == ""
    line = [line for line in run.stderr.splitlines() if " INFO " not in line]
    assert len(line) == 1, run.stderr
    pattern = re.compile(f"^jobs.evaluate: .*{message}")
    assert pattern.match(line[0]), line[0]


def test_a_reference_that_cannot_be_attributed_ends_the_call(
    evaluate: Callable[..., Run], tmp_path: Path
) -> None:
    write_good_shards(tmp_path, n_shards=1, n_samples=1)
    write_tar(tmp_path / "references-1.tar", reference("cat/7", 1)[1:])
    run = evaluate()
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].endswith("references-1.tar: cat/7: json: missing")
    assert "Traceback" not in run.stderr
