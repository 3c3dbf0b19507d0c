"""A data set of the Hugging Face kind, a table with columns of images: Parquet files, or what the
library `datasets` loads. It streams: of a million rows a few are in memory.

A column is found by the name of what it holds (`image`, `mask`, `model`, `concept`, `prompt`,
`subject`, `prompt_id`, `seed`, `references`, `role`, `key`), or by the setting of that name.
`values` holds what all rows share. Further columns are carried along. Without a `key` a sample is
called by the number of its row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from jobs.pipeline.datasets.columns import (
    FIELDS,
    MEANT,
    NOT_IN_JSON,
    fields_of,
    likely_meant,
    values_meant,
)
from jobs.pipeline.datasets.entries import GENERATION, ROLES, Contents, Entry, key_of
from jobs.pipeline.datasets.image_tables import (
    ImageTable,
    ParquetTable,
    StreamedTable,
    holds_images,
    image_of,
    is_plain,
)
from jobs.pipeline.datasets.missing import Missing
from jobs.pipeline.datasets.settings import DatasetConfig
from jobs.pipeline.datasets.tables import as_json_value
from jobs.pipeline.errors import CallError

log = logging.getLogger(__name__)

IMAGES = ("image", "mask")

COLUMNS = (*NOT_IN_JSON, *(name for name in FIELDS if name not in NOT_IN_JSON))
"""What a column may hold; each has a setting that names it."""

SETTINGS = (*COLUMNS, "values", "subset", "split")

NEEDED = {"generation": ("model", "concept", "prompt"), "reference": ("concept",)}
"""What samples of a role cannot do without."""

NO_IMAGE = "rows without an image, left out"
UNFIT_ROW = "rows whose values are not as a sample's must be, left out"


def read(config: DatasetConfig) -> Contents:
    """The rows of a table.

    Raises:
        CallError: there is no such table, or not the columns that samples need.
    """
    assert config.source is not None
    table: ImageTable = (
        ParquetTable(config.source)
        if config.source.endswith(".parquet")
        else StreamedTable(config.source, config.subset, config.split)
    )
    columns = _columns(config, table)
    missing = Missing()
    roles = ROLES if "role" in columns else (config.values.get("role", GENERATION),)
    return Contents(_entries(config, table, columns, missing), roles, missing)


def _columns(config: DatasetConfig, table: ImageTable) -> dict[str, str]:
    """The column of each thing that there is one of.

    Raises:
        CallError: a column that is not there, or not of its type; or none of what is needed.
    """
    names = table.schema.names
    if len(set(names)) < len(names):
        raise CallError(f"source={config.source}: two columns of one name among {names}")
    there = f"there are: {', '.join(names)}"
    found = {}
    for what in COLUMNS:
        given = getattr(config, what)
        if given is not None and given not in names:
            raise CallError(f"{what}={given}: no such column; {there}")
        if given is not None and what in config.values:
            raise CallError(f"{what}={given}: and values.{what}: one of them, please")
        if given is not None or (what in names and what not in config.values):
            found[what] = given or what
    for what in IMAGES:
        if what in found and not holds_images(table.schema.field(found[what]).type):
            kind = table.schema.field(found[what]).type
            raise CallError(f"{what}={found[what]}: a column of {kind}, not of images")
    if "image" not in found:
        raise CallError(f"image= is required: the column of the images; {there}")
    _require_needed(config, found, there)
    return found


def _require_needed(config: DatasetConfig, found: dict[str, str], there: str) -> None:
    for name in (*IMAGES, "key", "references"):
        if name in config.values:
            raise CallError(f"values.{name}=: differs from row to row; {name}= names its column")
    role = config.values.get("role", GENERATION)
    if role not in ROLES:
        raise CallError(f"values.role={role}: expected {' or '.join(ROLES)}")
    for what in NEEDED["reference"] if "role" in found else NEEDED[role]:
        if what not in found and what not in config.values:
            raise CallError(
                f"{what}= is required: its column, or values.{what}= for all rows; {there}"
            )


def _entries(
    config: DatasetConfig, table: ImageTable, columns: dict[str, str], missing: Missing
) -> Iterator[Entry]:
    further = _further(config, table, columns)
    names = [*dict.fromkeys([*columns.values(), *further])]
    for number, (where, row) in enumerate(table.rows(names)):
        image = image_of(row[columns["image"]], where)
        if image is None:
            missing.add(NO_IMAGE, where)
            continue
        try:
            values = values_meant(_values(config, row, columns, further))
            key = key_of(values.get("key", f"{number:08d}"))
        except ValueError as error:
            missing.add(UNFIT_ROW, f"{where}: {error}")
            continue
        mask = image_of(row[columns["mask"]], where) if "mask" in columns else None
        yield Entry(values["role"], key, image, mask, fields_of(values), where)


def _further(config: DatasetConfig, table: ImageTable, columns: dict[str, str]) -> list[str]:
    """Columns that are carried along; what they cannot be is said."""
    others = [name for name in table.schema.names if name not in columns.values()]
    carried = [
        name for name in others if name not in MEANT and is_plain(table.schema.field(name).type)
    ]
    if left := [name for name in others if name not in carried]:
        log.warning(
            "left out: %s; columns of bytes, or called as one that another was named for",
            ", ".join(left),
        )
    for name in carried:
        meant = likely_meant(name)
        if meant is not None and meant not in columns and meant not in config.values:
            log.warning("there is a column %r and no %r; %s=%s takes it", name, meant, meant, name)
    return carried


def _values(
    config: DatasetConfig, row: dict[str, Any], columns: dict[str, str], further: list[str]
) -> dict[str, Any]:
    """A row's values but for its images, by what they are; what is empty is not there.

    Raises:
        ValueError: one that JSON does not hold.
    """
    named = {what: row[name] for what, name in columns.items() if what not in IMAGES}
    values: dict[str, Any] = dict(config.values)
    for what, value in {**{name: row[name] for name in further}, **named}.items():
        try:
            plain = as_json_value(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{what} {error}") from error
        if plain is not None:
            values[what] = plain
    return values
