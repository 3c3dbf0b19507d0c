"""`jobs.segment` as a user calls it: masks, resume, faults, and what is refused."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masc_core import MaSC
from masc_core.segmenters import load_segmenter
from tests.commands import Run, description_of, here, rows_of
from tests.driving import Watched, kill, until, workers
from tests.faults.disk import small_disk as small_disk
from tests.joining import joining
from tests.masc_core.segmenters.checkpoints import write_clipseg
from tests.pictures import painted
from tests.pipeline.segmenting.conftest import unmasked
from tests.shards import Member, generation, write_tar

pytestmark = pytest.mark.services

N_SHARDS = 12
N_SAMPLES = 8


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clipseg(tmp_path_factory.mktemp("clipseg"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards without masks that keep a worker at work for some seconds."""
    folder = tmp_path_factory.mktemp("unmasked")
    for shard in range(N_SHARDS):
        members: list[Member] = []
        for i in range(N_SAMPLES):
            members += unmasked(f"{shard}/{i}", shard * N_SAMPLES + i, model="m", prompt="a cat")
        write_tar(folder / f"generations-{shard:06d}.tar", members)
    return folder


SIZE = ("workers.count=1", "workers.cpus=1")
"""Of a worker that all calls here share; the cluster has room for one of another process."""


@pytest.fixture(scope="module")
def words(shards: Path, checkpoint: Path, joined_here: None, cluster_address: str) -> list[str]:
    joining.make_room()  # files before this one may have left two workers
    return [
        f"samples={shards}/generations-*.tar",
        "segmenter.name=clipseg",
        f"segmenter.name_or_path={checkpoint}",
        *(*SIZE, "workers.batch_size=2", f"ray.address={cluster_address}"),
    ]


@pytest.fixture(scope="module")
def quiet(shards: Path, words: list[str]) -> dict[str, bytes]:
    """The shards with masks of a call that nobody disturbed."""
    done = here("segment", *words, f"out={shards}/quiet", "--json", "preview=6")
    assert done.returncode == 0, done.stderr
    total = json.loads(done.stdout)
    assert (total["n"], total["n_segmented"]) == (N_SHARDS * N_SAMPLES, N_SHARDS * N_SAMPLES)
    assert Image.open(shards / "quiet" / "preview.png").width > 100
    return shards_in(shards / "quiet")


def shards_in(out: Path) -> dict[str, bytes]:
    """By name."""
    return {path.name: path.read_bytes() for path in out.glob("*.tar")}


def members_of(shard: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(shard)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def times(out: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("**/*.*") if path.is_file()}


def test_every_image_gets_the_mask_that_the_segmenter_gives_alone(
    quiet: Mapping[str, bytes], shards: Path, checkpoint: Path
) -> None:
    assert len(quiet) == N_SHARDS
    alone = load_segmenter("clipseg", name_or_path=str(checkpoint))
    name = "generations-000003.tar"
    before = members_of((shards / name).read_bytes())
    after = members_of(quiet[name])
    assert {key: after[key] for key in before} == before
    for i in range(N_SAMPLES):
        image = Image.open(io.BytesIO(before[f"3/{i}.png"]))
        mask = Image.open(io.BytesIO(after[f"3/{i}.mask.png"]))
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), alone(image, "cat"))


def test_a_killed_worker_and_a_killed_driver_leave_the_bytes_of_a_quiet_call(
    quiet: Mapping[str, bytes], tmp_path: Path, words: list[str]
) -> None:
    out = tmp_path / "out"
    kept = set(workers())
    with Watched("segment", [*words, f"out={out}"], out, "segmented/*.json") as first:
        first.until_parts()
        [worker] = set(workers()) - kept
        kill(worker)
        first.until_parts(2)
        kill(first.pid)
        first.ended()
    until(lambda: not set(workers()) - kept, "the end of the killed driver's worker")
    before = first.parts()
    assert len(before) < N_SHARDS
    again = here("segment", *words, f"out={out}")
    assert again.returncode == 0, again.stderr
    assert f"{N_SHARDS} shards, {len(before)} of them segmented before" in again.stderr
    assert {name: first.parts()[name] for name in before} == before
    assert shards_in(out) == quiet
    assert not list(out.glob(".*"))

    # All of it is there: no worker starts, and nothing is written again.
    stands = times(out)
    third = here("segment", *words, f"out={out}")
    assert third.returncode == 0, third.stderr
    assert {name: at for name, at in times(out).items() if stands[name] != at} == {}


def test_a_full_disk_ends_the_call_with_one_line_and_no_half_a_shard(
    quiet: Mapping[str, bytes], small_disk: Path, words: list[str]
) -> None:
    first = here("segment", *words, f"out={small_disk}/out")
    assert first.returncode == 3, first.stderr
    assert "Traceback" not in first.stderr
    assert re.search(
        r"ERROR .*/disk/out.*: cannot be written.*No space left on device", first.stderr
    )
    kept = shards_in(small_disk / "out")
    assert kept.items() <= quiet.items()
    assert len(kept) < N_SHARDS
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
    again = here("segment", *words, f"out={small_disk}/out")
    assert again.returncode == 0, again.stderr
    assert shards_in(small_disk / "out") == quiet


def evaluation(folder: Path, checkpoint: Path, encoder: Path, *more: str) -> Run:
    """`jobs.evaluate` on shards without masks."""
    return here(
        "evaluate",
        *(f"samples={folder}/generations-*.tar", f"references={folder}/references-*.tar"),
        *(f"run={folder}/run", f"encoder.name_or_path={encoder}", "encoder.max_num_patches=64"),
        *("segmenter.name=clipseg", f"segmenter.name_or_path={checkpoint}"),
        *(f"segmenter.out={folder}/masked", *SIZE, *more),
    )


def test_an_evaluation_gives_its_shards_masks_first_and_only_once(
    tmp_path: Path, checkpoint: Path, naflex_checkpoint: Path, joined_here: None
) -> None:
    write_tar(tmp_path / "references-0.tar", unmasked("cat/0", 50))
    samples = [unmasked(f"{i}", i, model="m", prompt="a cat on a beach") for i in range(3)]
    write_tar(tmp_path / "generations-0.tar", [member for each in samples for member in each])
    call = (tmp_path, checkpoint, naflex_checkpoint)
    first = evaluation(*call)
    assert first.returncode == 0, first.stderr
    masked = tmp_path / "masked"
    made = {str(path.relative_to(masked)) for path in masked.glob("*/*.tar")}
    assert made == {"generations/generations-0.tar", "references/references-0.tar"}
    rows = rows_of(tmp_path / "run")
    assert {row["key"]: row["status"] for row in rows} == {"0": "ok", "1": "ok", "2": "ok"}

    # The scores are those of the masks that were made.
    images = members_of((masked / "generations" / "generations-0.tar").read_bytes())
    photos = members_of((masked / "references" / "references-0.tar").read_bytes())
    masc = MaSC.from_pretrained(str(naflex_checkpoint), max_num_patches=64)
    for row in rows:
        name = row["key"]
        files = (photos["cat/0.png"], photos["cat/0.mask.png"])
        files += (images[f"{name}.png"], images[f"{name}.mask.png"])
        photo, photo_mask, image, mask = (Image.open(io.BytesIO(file)) for file in files)
        score = masc.score(photo, photo_mask, image, mask, "a cat on a beach", "cat")
        assert (row["cp"], row["pf"]) == pytest.approx((score.cp, score.pf), abs=1e-5)

    stands = times(masked) | times(tmp_path / "run" / "scores")
    second = evaluation(*call)
    assert second.returncode == 0, second.stderr
    assert "1 shards, 1 of them scored before" in second.stderr
    assert times(masked) | times(tmp_path / "run" / "scores") == stands


def test_what_cannot_be_scored_is_said_before_anything_is_segmented(
    tmp_path: Path, checkpoint: Path, joined_here: None
) -> None:
    write_tar(tmp_path / "references-0.tar", unmasked("cat/0", 50))
    write_tar(tmp_path / "generations-0.tar", unmasked("0", 0, model="m", prompt="a cat"))
    missing = tmp_path / "no-encoder"
    done = evaluation(tmp_path, checkpoint, missing)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"encoder.name_or_path={missing}" in done.stderr
    assert not (tmp_path / "masked").exists()


def test_samples_without_a_subject_are_named_and_too_many_empty_masks_are_an_exit_status(
    tmp_path: Path, words: list[str]
) -> None:
    image, _ = painted((64, 48), 1)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    without = [("b.json", b'{"concept": "cat"}'), ("b.png", buffer.getvalue())]
    write_tar(tmp_path / "one.tar", [*unmasked("a", 1), *without, *generation("c", 3)])
    call = (*words[1:], f"samples={tmp_path}/one.tar", f"out={tmp_path}/out")
    # No value of a sigmoid is over 1.
    done = here("segment", *call, "segmenter.mask_threshold=1", "limits.max_empty_rate=0.5")
    assert done.returncode == 2, done.stderr
    assert "1 of 1 masks are empty, more than limits.max_empty_rate=0.5 allows" in done.stderr
    assert "1 of 3 samples could not be segmented" in done.stderr
    assert "3 samples: 1 segmented, 1 had a mask, 1 errors" in done.stderr
    [said] = (tmp_path / "out" / "segmented").glob("*.json")
    document = json.loads(said.read_text())
    assert "subject" in json.dumps(document["errors"])
    assert '"b"' in json.dumps(document["errors"])
    assert description_of(tmp_path / "out")["state"] == "done"
