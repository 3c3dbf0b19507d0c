"""Some bytes of a file, by one request."""

from __future__ import annotations

from jobs.pipeline.storage.filesystem import open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import code_of, with_retries

BEYOND_THE_END = ("InvalidRange", "416")
"""What stores call a range of which the file has nothing."""


def read_range(url: str, start: int, end: int) -> bytes:
    """The bytes of the file at `url` from `start` to before `end`; fewer where it ends earlier.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it cannot be read.
    """
    fs, path = open_filesystem(url)

    def read() -> bytes:
        try:
            return fs.cat_file(path, start=start, end=end)
        except Exception as error:  # drivers have errors of their own for it
            if code_of(error) in BEYOND_THE_END:
                return b""
            raise

    return with_retries(redact(url), read)
