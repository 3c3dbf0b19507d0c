"""Samples as a FiftyOne data set on disk (`fiftyone.types.FiftyOneDataset`), for those who browse
with its app.

    OUT/metadata.json    the data set: its fields, groups and mask colours
    OUT/samples.json     the samples, in MongoDB's JSON
    OUT/data/            images, without loss
    OUT/fields/          masks, and maps of CP and PF, as PNG

A generation and its references are a group, `generation` and `reference_1`, `reference_2`, ... A
map of CP lies on the reference, since it is one of its patches.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from jobs.pages.gallery import (
    GalleryConfig,
    OpenedRun,
    check_gallery,
    choose_samples,
    explain_fetched,
    fetch,
    load_metrics,
)
from jobs.pages.gallery_showing import Fetched
from jobs.pipeline.errors import CallError
from jobs.pipeline.scored_samples import Picture, RunSamples
from jobs.pipeline.storage.filesystem import join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.writing import write_in_one_step

VERSION = "1.0.0"
"""Of FiftyOne, whose format this is; later ones migrate what they read."""
MOST = 1_000_000
"""Samples: what its app still opens."""
AT_ONCE = 32
"""Samples whose images are in memory."""
GENERATION = "generation"
TEXTS = ("key", "run", "model", "concept", "prompt_id", "prompt", "text", "subject", "reason")
RESERVED = frozenset({"id", "filepath", "tags", "metadata", "group", "created_at"})

_FIELDS = "fiftyone.core.fields"
_LABELS = "fiftyone.core.labels"


def export_fiftyone(
    runs: Sequence[OpenedRun], out: str, config: GalleryConfig | None = None
) -> int:
    """Write what `build_gallery` would show, as a data set in the directory `out`.

    Returns:
        How many generations it has. Those whose images cannot be had are left out: FiftyOne has no
        sample without a file.

    Raises:
        CallError: `out` holds a data set already, or no sample has its image; see `build_gallery`.
        StorageError: a run cannot be read, or `out` not written to.
    """
    config = config or GalleryConfig()
    check_gallery(config, MOST)
    fs, path = open_filesystem(out, keeps_listings=False)
    if fs.exists(join(path, "metadata.json")):
        raise CallError(f"out={redact(out)}: holds a data set already; name another directory")
    choice = choose_samples(runs, None, config)
    sources = [RunSamples(each.url, each.scores.parts) for each in runs]
    names = [redact(each.url) for each in runs]
    metrics = load_metrics(choice.shown, names, sources, config.heatmaps, [])
    writer = _Writer(fs, path)
    for start in range(0, len(choice.shown), AT_ONCE):
        part = choice.shown[start : start + AT_ONCE]
        fetched_part = fetch(part, sources, len(runs))
        for fetched in explain_fetched(fetched_part, names, metrics):
            if fetched.pictures.generation is not None:
                writer.add(fetched, names[fetched.chosen.run])
    if not writer.n_generations:
        raise CallError(f"out={redact(out)}: none of the chosen samples has its image any more")
    writer.finish()
    return writer.n_generations


class _Writer:
    """Writes media as samples come, and the two documents at the end."""

    def __init__(self, fs: Any, path: str) -> None:
        self._fs, self._path = fs, path
        self._samples: list[dict[str, Any]] = []
        self._scores: dict[str, str] = {}
        """By the name of a field the column that it holds."""
        self._slices = [GENERATION]
        self._has_maps = False
        self._written: set[str] = set()
        self.n_generations = 0

    def add(self, fetched: Fetched, run: str) -> None:
        """A generation and its references."""
        chosen, found = fetched.chosen, fetched.explained
        assert fetched.pictures.generation is not None
        group = _object_id(run, str(chosen.row["shard"]), chosen.row["key"], "group")
        document = self._sample(fetched.pictures.generation, group, GENERATION)
        document["tags"] = list(chosen.kinds)
        row = {**chosen.row, "run": run, "reason": "; ".join(chosen.reasons)}
        document |= {name: row[name] for name in TEXTS}
        document["seed"] = row["seed"]
        document |= self._scores_of(chosen.row)
        if found is not None:
            visible = ~found.explanation.hidden
            times = np.where(visible, found.explanation.attention, 0) * visible.sum()
            most = float(times.max()) or 1.0
            document["pf_attention"] = self._map(
                times / most, fetched.pictures.generation, group, GENERATION, most
            )
        self._samples.append(document)
        self.n_generations += 1
        for number, photo in enumerate(fetched.pictures.references):
            self._add_reference(fetched, number, photo, group, run)

    def _add_reference(
        self, fetched: Fetched, number: int, photo: Picture, group: str, run: str
    ) -> None:
        name = f"reference_{number + 1}"
        if name not in self._slices:
            self._slices.append(name)
        row, found = fetched.chosen.row, fetched.explained
        document = self._sample(photo, group, name)
        document |= dict.fromkeys(TEXTS) | {"key": photo.key, "run": run, "seed": None}
        document |= {each: row[each] for each in ("model", "concept", "subject")}
        by_key = dict(zip(row["references"] or (), row["cp_per_reference"] or (), strict=False))
        self._scores.setdefault("cp", "cp")
        document["cp"] = _plain(by_key.get(photo.key))
        if found is not None:
            match = found.explanation.references[number]
            values = np.where(match.foreground, match.similarity.clip(0, 1), 0)
            document["cp_similarity"] = self._map(values, photo, group, name, 1.0)
        self._samples.append(document)

    def finish(self) -> None:
        """Write the documents; that of the data set comes last, and makes it one."""
        fields = _schema(self._scores, self._has_maps)
        names = [field["name"] for field in fields if not field["name"].startswith("_")]
        for sample in self._samples:
            for name in names:
                if name not in ("id", "created_at", "last_modified_at"):
                    sample.setdefault(name, None)
        self._write("samples.json", _json({"samples": self._samples}))
        self._write("metadata.json", _json(_dataset(fields, self._slices, self._scores)))

    def _sample(self, photo: Picture, group: str, name: str) -> dict[str, Any]:
        content = _encoded(photo.image)
        path = self._write_once(f"data/{_digest(content)}.png", content)
        mask = _encoded(Image.fromarray((photo.mask >= 128).astype(np.uint8) * 255))
        mask_path = self._write_once(f"fields/mask/{_digest(mask)}.png", mask)
        return {
            "_id": {"$oid": _object_id(group, name)},
            "_rand": int(_digest(f"{group}{name}".encode()), 16) / 16**16,
            "filepath": path,
            "tags": [],
            "metadata": None,
            "_media_type": "image",
            "group": {"_id": {"$oid": group}, "_cls": "Group", "name": name},
            "mask": {
                "_id": {"$oid": _object_id(group, name, "mask")},
                "_cls": "Segmentation",
                "tags": [],
                "mask_path": mask_path,
            },
        }

    def _map(
        self, share: np.ndarray, photo: Picture, group: str, name: str, most: float
    ) -> dict[str, Any]:
        """A map of values in [0, 1], of which 1 stands for `most`, at the image's size."""
        self._has_maps = True
        field = "pf_attention" if name == GENERATION else "cp_similarity"
        small = Image.fromarray((255 * share).round().astype(np.uint8))
        content = _encoded(small.resize(photo.image.size, Image.Resampling.NEAREST))
        path = self._write_once(f"fields/{field}/{_digest(content)}.png", content)
        return {
            "_id": {"$oid": _object_id(group, name, field)},
            "_cls": "Heatmap",
            "tags": [],
            "map_path": path,
            "range": [0, 255],
            "largest": most,
        }

    def _scores_of(self, row: Mapping[str, Any]) -> dict[str, float | None]:
        found = {}
        for column, value in row.items():
            if column in ("cp", "pf", "fg_fraction") or isinstance(value, float):
                name = _field_name(column)
                self._scores[name] = column
                found[name] = _plain(value)
        return found

    def _write_once(self, name: str, content: bytes) -> str:
        if name not in self._written:
            self._write(name, content)
            self._written.add(name)
        return name

    def _write(self, name: str, content: bytes) -> None:
        write_in_one_step(self._fs, join(self._path, name), content)


def _dataset(
    fields: Sequence[Mapping[str, Any]], slices: Sequence[str], scores: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "name": "masc-eval",
        "slug": "masc-eval",
        "version": VERSION,
        "persistent": False,
        "media_type": "group",
        "group_field": "group",
        "group_media_types": dict.fromkeys(slices, "image"),
        "default_group_slice": GENERATION,
        "tags": [],
        "info": {"columns": dict(scores)},
        "app_config": {},
        "classes": {},
        "default_classes": [],
        "mask_targets": {"mask": {"255": "concept"}},
        "default_mask_targets": {},
        "skeletons": {},
        "sample_fields": list(fields),
        "frame_fields": [],
        "saved_views": [],
        "workspaces": [],
        "annotation_runs": {},
        "brain_methods": {},
        "evaluations": {},
        "runs": {},
    }


def _schema(scores: Mapping[str, str], has_maps: bool) -> list[dict[str, Any]]:
    """The fields of a sample, FiftyOne's own first."""
    text, number = f"{_FIELDS}.StringField", f"{_FIELDS}.FloatField"
    labels = {"mask": "Segmentation"}
    if has_maps:
        labels |= {"pf_attention": "Heatmap", "cp_similarity": "Heatmap"}
    return [
        _field("id", f"{_FIELDS}.ObjectIdField", db_field="_id"),
        _field("filepath", text),
        _field("tags", f"{_FIELDS}.ListField", subfield=text),
        _embedded("metadata", "fiftyone.core.metadata.Metadata", ()),
        _field("created_at", f"{_FIELDS}.DateTimeField", read_only=True),
        _field("last_modified_at", f"{_FIELDS}.DateTimeField", read_only=True),
        _embedded(
            "group",
            "fiftyone.core.groups.Group",
            [_field("id", f"{_FIELDS}.ObjectIdField", db_field="_id"), _field("name", text)],
        ),
        *(_field(name, text) for name in TEXTS),
        _field("seed", f"{_FIELDS}.IntField"),
        *(_field(name, number, description=column) for name, column in scores.items()),
        *(_embedded(name, f"{_LABELS}.{kind}", _label(kind)) for name, kind in labels.items()),
    ]


def _label(kind: str) -> list[dict[str, Any]]:
    text, number = f"{_FIELDS}.StringField", f"{_FIELDS}.FloatField"
    own = {
        "Segmentation": [_field("mask", f"{_FIELDS}.ArrayField"), _field("mask_path", text)],
        "Heatmap": [
            _field("map", f"{_FIELDS}.ArrayField"),
            _field("map_path", text),
            _field("range", f"{_FIELDS}.HeatmapRangeField", subfield=number),
            _field("largest", number),
        ],
    }
    return [
        _field("id", f"{_FIELDS}.ObjectIdField", db_field="_id"),
        _field("tags", f"{_FIELDS}.ListField", subfield=text),
        *own[kind],
    ]


def _embedded(name: str, kind: str, fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    embedded = _field(name, f"{_FIELDS}.EmbeddedDocumentField")
    return {**embedded, "embedded_doc_type": kind, "fields": list(fields)}


def _field(
    name: str,
    kind: str,
    *,
    subfield: str | None = None,
    db_field: str | None = None,
    description: str | None = None,
    read_only: bool = False,
) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": kind,
        "embedded_doc_type": None,
        "subfield": subfield,
        "fields": [],
        "db_field": db_field or name,
        "description": description,
        "info": None,
        "read_only": read_only,
        "created_at": None,
    }


def _field_name(column: str) -> str:
    """A column's name as FiftyOne takes it: without dots, which are paths there."""
    name = re.sub(r"\W", "_", column)
    return f"score_{name}" if name in RESERVED or not name[:1].isalpha() else name


def _plain(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _object_id(*words: str) -> str:
    """24 hexadecimal digits, the same each time."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:24]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n").encode(
        errors="replace"
    )
