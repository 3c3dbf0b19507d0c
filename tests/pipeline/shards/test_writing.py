"""Shards as they are written, against Python's own tar."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.shards.writing import ShardWriter, tar_of_sample

KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="./"), min_size=1)


@given(st.dictionaries(KEYS | st.just("a" * 300), st.binary(max_size=2000), max_size=30))
def test_a_shard_is_what_tarfile_would_write(samples: dict[str, bytes]) -> None:
    ours, theirs = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key, content in samples.items():
            for suffix, own in (("jpg", content), ("json", b"{}")):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(own)
                tar.addfile(member, io.BytesIO(own))
    with ShardWriter(ours) as writer:
        for key, content in samples.items():
            writer.add(tar_of_sample(key, {"json": b"{}", "jpg": content}))
    assert ours.getvalue() == theirs.getvalue()
