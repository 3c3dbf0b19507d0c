"""Tables that hold images: Parquet files, and what the library `datasets` streams.

A column of images holds their bytes, or, as `datasets` has them, `{bytes, path}`. Of a Parquet file
a row group is in memory at most, which its writer chose: `datasets` takes a hundred images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline.datasets.entries import ImageSource
from jobs.pipeline.datasets.tables import Row, parquet_rows
from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.shards.images import suffix_by_content
from jobs.pipeline.storage.filesystem import open_filesystem
from jobs.pipeline.storage.listing import expand
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of, storage_errors

ROWS_AT_ONCE = 16
"""In memory, of a Parquet file: an image may be megabytes."""

BUFFER = 1 << 20
"""Bytes of a column that are read at once. Without it a whole row group would be."""


class ImageTable(Protocol):
    """A table whose rows are drawn once, one after another."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns, and what they hold."""

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Where each row stands, and its values of these columns.

        Raises:
            CallError, StorageError: it cannot be read on.
        """


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column of this type may be one of images."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
    return _is_binary(kind)


def is_plain(kind: pa.DataType) -> bool:
    """Whether a column of this type holds no bytes, however deep: JSON has none."""
    if kind.num_fields:
        return all(is_plain(kind.field(i).type) for i in range(kind.num_fields))
    return not _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


@dataclass(frozen=True)
class EmbeddedImage:
    """An image in a table."""

    content: bytes
    where: str

    @property
    def suffix(self) -> str:
        """By what it holds: a name in a table is seldom there."""
        return f".{suffix_by_content(self.content)}"

    def read_bytes(self) -> bytes:
        """Its encoded bytes."""
        return self.content

    def __str__(self) -> str:
        return self.where


@dataclass(frozen=True)
class ImageBeside:
    """An image that a table names and does not hold: a file that `datasets` knows of."""

    url: str

    @property
    def suffix(self) -> str:
        """Of its name."""
        return Path(self.url.partition("::")[0]).suffix

    def read_bytes(self) -> bytes:
        """Its encoded bytes.

        Raises:
            OSError: it cannot be read.
        """
        try:
            with fsspec.open(self.url, "rb") as file:
                return file.read()
        except OSError:
            raise
        except Exception as error:
            # Transports raise what they like.
            raise OSError(reason_of(error)) from error

    def __str__(self) -> str:
        return self.url


def image_of(value: Any, where: str) -> ImageSource | None:
    """The image that a cell holds or names; None where it does neither."""
    content, path = (value, None) if isinstance(value, bytes) else _cell(value)
    if content:
        return EmbeddedImage(content, where)
    return ImageBeside(path) if path else None


def _cell(value: Any) -> tuple[bytes | None, str | None]:
    return (value["bytes"], value.get("path")) if isinstance(value, dict) else (None, None)


class ParquetTable:
    """Parquet files of one schema."""

    def __init__(self, source: str) -> None:
        """Find them, and read the first's schema.

        Args:
            source: a path, a URL or a pattern of them.

        Raises:
            CallError: there are none, or the first is no Parquet.
        """
        self._urls = expand([source], "source")
        with _opened(self._urls[0]) as file:
            self.schema: pa.Schema = file.schema_arrow

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """File after file; an image that a file only names is none."""
        for url in self._urls:
            named = f"source={redact(url)}"
            with _opened(url) as file:
                lacking = [name for name in columns if name not in file.schema_arrow.names]
                if lacking:
                    first = redact(self._urls[0])
                    raise CallError(f"{named}: has no column {lacking[0]}, which {first} has")
                rows = parquet_rows(file, list(columns), ROWS_AT_ONCE)
                while row := _next(rows, named):
                    yield f"{named}: {row[0]}", {n: _embedded(v) for n, v in row[1].items()}


def _embedded(value: Any) -> Any:
    if isinstance(value, dict) and "bytes" in value and "path" in value:
        return value["bytes"]
    return value


def _opened(url: str) -> pq.ParquetFile:
    named = f"source={redact(url)}"
    fs, path = open_filesystem(url)
    try:
        with storage_errors(named):
            return pq.ParquetFile(fs.open(path, "rb"), pre_buffer=False, buffer_size=BUFFER)
    except (FileNotFoundError, ValueError, pa.ArrowException) as error:
        raise CallError(f"{named}: not readable as Parquet: {reason_of(error)}") from error


def _next(rows: Iterator[Row], named: str) -> Row | None:
    """The next row; None after the last."""
    try:
        with storage_errors(named):
            return next(rows, None)
    except (FileNotFoundError, ValueError, pa.ArrowException) as error:
        raise CallError(f"{named}: cannot be read on: {reason_of(error)}") from error


class StreamedTable:
    """A split of a data set of `datasets`: of the hub by its name, or of a directory."""

    def __init__(self, source: str, subset: str | None, split: str) -> None:
        """Find it; none of its rows are fetched.

        Raises:
            CallError: the library is not installed, or there is no such data set, subset or split.
        """
        self._named = f"source={redact(source)}"
        try:
            import datasets
        except ImportError as error:
            raise CallError(
                f"{self._named}: is no *.parquet, and other data sets take the library datasets, "
                "which is not installed: pip install 'masc-eval[hf]'"
            ) from error
        try:
            stream = datasets.load_dataset(source, subset, split=split, streaming=True)
        except Exception as error:
            raise CallError(
                f"{self._named}: cannot be loaded by datasets (subset={subset}, split={split}): "
                f"{reason_of(error)}"
            ) from error
        if stream.features is None:
            raise CallError(f"{self._named}: does not say its columns; save it as Parquet")
        for name, feature in stream.features.items():
            if isinstance(feature, datasets.Image):
                stream = stream.cast_column(name, datasets.Image(decode=False))
        self._stream = stream
        self.schema: pa.Schema = stream.features.arrow_schema
        self._folder = Path(source).resolve() if Path(source).is_dir() else None

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Row after row, as they come over the line."""
        rows = iter(self._stream.select_columns(list(columns)))
        number = 0
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except Exception as error:
                raise StorageError(self._named, reason_of(error)) from error
            number += 1
            yield f"{self._named}: row {number}", {n: self._trusted(v) for n, v in row.items()}

    def _trusted(self, value: Any) -> Any:
        is_beside = isinstance(value, dict) and "path" in value and not value.get("bytes")
        return None if is_beside and not self._may_name(value["path"] or "") else value

    def _may_name(self, path: str) -> bool:
        """A stranger's table must not have other files of this machine read, nor servers asked."""
        within, _, container = path.rpartition("::")
        if within and not within.startswith("zip://"):
            return False
        if self._folder is None:
            return container.startswith("hf://")
        return "://" not in container and Path(container).resolve().is_relative_to(self._folder)
