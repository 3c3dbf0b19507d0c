"""One sample of a shard, by where it lies in it."""

from __future__ import annotations

import io
import tarfile

from jobs.pipeline.errors import DamagedShard, StorageError
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.ranges import read_range
from jobs.pipeline.storage.redaction import redact

MAX_IMAGE_PIXELS = 2**40
"""The sample was read before, within the bounds of its run."""


def fetch_sample(
    url: str, key: str, offset: int, length: int, max_image_pixels: int = MAX_IMAGE_PIXELS
) -> RawSample:
    """The undecoded members of one sample, by one ranged read.

    Args:
        url: of a shard that is not compressed.
        key: the sample's.
        offset: bytes from the shard's start to the sample's first header, as `scores/` has it.
        length: bytes from there to the end of its last member.

    Raises:
        FileNotFoundError: the shard is gone.
        StorageError: it cannot be read; or it has changed, so that another sample lies there.
    """
    content = read_range(url, offset, offset + length)
    changed = StorageError(
        redact(url), f"sample {key!r} is not at byte {offset}: the shard has changed since"
    )
    if len(content) < length:
        raise changed
    # The mark of an archive's end: without it a tar was cut off.
    stream = io.BytesIO(content + bytes(2 * tarfile.BLOCKSIZE))
    try:
        samples = list(read_samples(stream, max_image_pixels))
    except (DamagedShard, tarfile.TarError) as error:
        raise changed from error
    if [sample.key for sample in samples] != [key]:
        raise changed
    return samples[0]
