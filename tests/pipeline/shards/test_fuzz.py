"""Damaged shards: whatever happens to the bytes, no worker falls and no sample is lost in silence.

By hand, `FUZZ_SECONDS=600 FUZZ_SEED=1000 pytest tests/pipeline/shards/test_fuzz.py` goes on for
longer, from another seed; a failure names the seed that repeats it.
"""

from __future__ import annotations

import io
import os
import struct
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.pictures import painted
from tests.pipeline.scoring.small_scorer import SmallScorer, small_scorer
from tests.pipeline.scoring.test_image_zoo import IMAGES, MASKS
from tests.shards import Member, generation

SECONDS = float(os.environ.get("FUZZ_SECONDS", "7"))
"""Of each of the two tests."""
FIRST_SEED = int(os.environ.get("FUZZ_SEED", "0"))
SLOW_SECONDS = 20.0
"""A shard of a few small images that takes longer hangs."""

SIZES = ((40, 40), (96, 64), (33, 70))
FORMATS = ("JPEG", "PNG", "WEBP")
N_SAMPLES = 6


def image_of(seed: int) -> Member:
    """A small image in one of the formats, with its suffix."""
    form = FORMATS[seed % 3]
    image = painted(SIZES[seed % 2], seed)[0]
    if seed % 4 == 3:
        image = image.quantize(16) if form == "PNG" else image.convert("L")
    file = io.BytesIO()
    image.save(file, form, **({"progressive": True} if seed % 6 == 0 else {}))
    return ("jpg" if form == "JPEG" else form.lower()), file.getvalue()


def sound_members() -> list[Member]:
    members = []
    for i in range(N_SAMPLES):
        suffix, content = image_of(i)
        members += [*generation(f"{i}", i, SIZES[i % 2])[:2], (f"{i}.{suffix}", content)]
    return members


def drawn(random: Random) -> list[Member]:
    """Members of sound samples, with images and masks of any kind."""
    members = []
    for i in range(N_SAMPLES):
        suffix, content = random.choice([image_of(i), random.choice(ANIMALS)])
        document, (name, mask) = generation(f"{i}", i, SIZES[i % 2])[:2]
        members += [document, (name, random.choice([mask, *MASKS.values()]))]
        members.append((f"{i}.{suffix}", content))
    return members


def tar_of(members: list[Member], form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if form == tarfile.PAX_FORMAT:
                member.pax_headers = {"comment": "a header of its own before every member"}
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


MEMBERS = sound_members()
SHARDS = {form: tar_of(MEMBERS, form) for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)}
KEYS = {str(i) for i in range(N_SAMPLES)}
ANIMALS = [image for name, image in IMAGES.items() if "20,000" not in name]


# What is done to bytes. Two kinds of harm are left out, because what they leave is a sound tar with
# fewer samples: whole blocks cut out, and zeros over whole samples.


def flip(content: bytearray, random: Random) -> None:
    for _ in range(random.randint(1, 8)):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def overwrite(content: bytearray, random: Random) -> None:
    start, length = random.randrange(len(content)), random.randint(1, 2000)
    value = random.randint(1, 255)
    noise = random.choice([bytes([value]) * length, not_zero(random, length)])
    content[start : start + length] = noise[: len(content) - start]


def blank(content: bytearray, random: Random) -> None:
    start, length = random.randrange(len(content)), random.randint(1, 511)
    content[start : start + length] = bytes(min(length, len(content) - start))


def insert(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content))
    content[start:start] = not_zero(random, random.randint(1, 2000))


def duplicate(content: bytearray, random: Random) -> None:
    start, to = random.randrange(len(content)), random.randrange(len(content))
    content[to:to] = content[start : start + random.randint(1, 4000)]


def cut_out(content: bytearray, random: Random) -> None:
    start, blocks = random.randrange(len(content)), random.randint(0, 6)
    del content[start : start + 512 * blocks + random.randint(1, 511)]


def cut_off(content: bytearray, random: Random) -> None:
    del content[random.randrange(len(content)) :]


def not_zero(random: Random, length: int) -> bytes:
    return bytes(random.randint(1, 255) for _ in range(length))


def harmed(content: bytes, random: Random) -> bytes:
    """The content after one to four kinds of harm, each at most once."""
    harms: list[Callable[[bytearray, Random], None]]
    harms = [flip, overwrite, blank, insert, duplicate, cut_out, cut_off]
    harmed = bytearray(content)
    for harm in random.sample(harms, random.choice([1, 1, 1, 2, 2, 3, 4])):
        if harmed:
            harm(harmed, random)
    return bytes(harmed)


def with_sound_checksums(png: bytes) -> bytes:
    """A PNG whose chunks all have their checksum, so that a decoder looks further than at it."""
    repaired, at = png[:8], 8
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        repaired += png[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return repaired + png[at:]


@pytest.fixture(scope="module")
def scorer(naflex_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallScorer:
    folder = tmp_path_factory.mktemp("fuzz")
    return small_scorer(naflex_checkpoint, folder, max_image_pixels=1_000_000)


def for_seeds(check: Callable[[Random], None]) -> int:
    """Check seed after seed until the time is up; how many there were."""
    began = time.monotonic()
    seed = FIRST_SEED
    while True:
        started = time.monotonic()
        try:
            check(Random(seed))
            assert time.monotonic() - started < SLOW_SECONDS
        except Exception as error:
            error.add_note(f"FUZZ_SEED={seed} FUZZ_SECONDS=0 repeats this")
            raise
        seed += 1
        if time.monotonic() - began >= SECONDS:
            return seed - FIRST_SEED


def assert_sound(rows: list[dict[str, Any]]) -> None:
    """Each key once, and each row a score or a reason."""
    assert len({row["key"] for row in rows}) == len(rows)
    for row in rows:
        if row["status"] == "ok":
            assert isinstance(row["cp"], float) and isinstance(row["pf"], float)
            assert row["n_patches"] == row["grid_h"] * row["grid_w"] > 0
        else:
            assert row["status"] == "error"
            assert row["error"]
            assert row["cp"] is None


@pytest.mark.slow
def test_a_harmed_shard_accounts_for_every_sample_or_says_that_some_are_lost(
    scorer: SmallScorer,
) -> None:
    path = scorer.folder / "harmed.tar"

    def check(random: Random) -> None:
        whole = random.choice(list(SHARDS.values()))
        content = harmed(whole, random)
        path.write_bytes(content)
        try:
            rows = scorer.rows(path)
        except tarfile.TarError:
            # No tar at all: its first header is not what it was, or not there.
            assert content[:2048] != whole[:2048]
            return
        assert_sound(rows)
        is_damaged = any(row["key"].endswith("#damaged") for row in rows)
        assert is_damaged or {row["key"] for row in rows} >= KEYS

    assert for_seeds(check) >= 1


@pytest.mark.slow
def test_harmed_members_in_a_sound_shard_are_rows_of_their_own(scorer: SmallScorer) -> None:
    path = scorer.folder / "members.tar"

    def check(random: Random) -> None:
        members = []
        for name, content in drawn(random):
            if random.random() < 0.5:
                content = harmed(content, random)
                if content.startswith(b"\x89PNG") and random.random() < 0.7:
                    content = with_sound_checksums(content)
            members.append((name, content))
        path.write_bytes(tar_of(members, tarfile.GNU_FORMAT))
        rows = scorer.rows(path)
        assert_sound(rows)
        assert {row["key"] for row in rows} == KEYS

    assert for_seeds(check) >= 1
