"""What people's manifests say, and how a row that cannot be packed is refused."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jobs.pipeline.errors import CallError
from tests.manifests import Row, documents_of, pack_manifest, packed, row, samples_of, write_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0, image="none.jpg")], r"row 1: image: no such file: .*none.jpg"),
        ([row(0), row(1, mask="none.png")], r"row 2: mask: no such file: .*none.png"),
        ([row(0, image=None)], "row 1: image is missing, which every row needs; there are: mask"),
        ([row(0, model="")], "row 1: model is missing"),
        ([row(0), row(1, prompt="  ")], 'row 2: prompt must be a text that is not empty, not "  "'),
        ([row(0, role="reference", concept=" ")], "row 1: concept must be a text that is not"),
        ([row(0, role="judge")], "row 1: role is 'judge', not generation or reference"),
        ([row(0, seed="x")], "row 1: seed is 'x', not an integer"),
        ([row(0, seed="1.5")], "row 1: seed is '1.5', not an integer"),
        ([row(0, seed=2**63)], "row 1: seed must be an integer, not 9223372036854775808"),
        ([row(0), row(0)], "row 2: key '0_v1' comes twice; a column `key`"),
        ([row(0, key="..")], r"row 1: key '\.\.' names nothing"),
        ([row(0, key="a\nb")], r"row 1: key 'a\\nb' holds a character that no name in a tar"),
        ([row(0, key="a" * 5000)], "row 1: key 'aaa.* is of 5000 characters, which is too long"),
        ([row(0, prompt="x" * 100_001)], "row 1: prompt has 100001 characters, more than 100000"),
        ([row(0, **dict.fromkeys("ab", "x" * (8 << 20)))], "row 1: .* bytes of JSON are over 16"),
        ([row(0, a="x" * ((16 << 20) + 1))], "row 1: field larger than field limit"),
        ([row(0, image="0.mask.png"), row(4, image="4.mask.bmp")], "4.mask.bmp is not one of jpg"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named_before_anything_is_written(
    folder: Path, rows: list[Row], message: str
) -> None:
    with pytest.raises(CallError, match=message):
        packed(folder, rows)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", ["none.csv", "manifest.xlsx", "broken.jsonl", "broken.parquet"])
def test_a_manifest_that_cannot_be_read_is_named(folder: Path, name: str) -> None:
    (folder / "broken.jsonl").write_text("{")
    (folder / "broken.parquet").write_text("{")
    with pytest.raises(CallError, match=f"manifest=.*{name}: "):
        pack_manifest(folder / name)


HEADER = "image,mask,model,concept,prompt,subject\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEADER + "0.v1.jpg,0.mask.png,m,cat,a cat, on a mat,cat\n",
            "row 1 has 7 cells and the header 6; a text with a comma in it stands between double",
        ),
        (HEADER + '0.v1.jpg,0.mask.png,m,cat,"a cat,cat\n1.v1.jpg,1.mask.png\n', "row 1: .*end of"),
        (HEADER + '0.v1.jpg,0.mask.png,m,cat,"a" cat,cat\n', "row 1: .*expected after"),
        ("image,mask,image\n", "column image comes twice"),
        ("image;mask\n0.v1.jpg;0.mask.png\n", "row 1: image is missing.*; there are: image;mask"),
        ("", "has no rows"),
        (HEADER, "has no rows"),
    ],
)
def test_a_csv_that_would_lose_something_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "manifest.csv").write_text(text)
    with pytest.raises(CallError, match=message):
        pack_manifest(folder / "manifest.csv")
    assert not (folder / "out").exists()


def test_a_csv_of_a_spreadsheet_is_read(folder: Path) -> None:
    """A byte order mark, spaces in the header, empty columns at its end, empty lines."""
    text = (
        "\ufeffimage, mask,model,concept,prompt,,\r\n"
        '0.v1.jpg,0.mask.png,m,cat,"a cat, on a ""mat""",,\r\n'
        "\r\n"
        "1.v1.jpg,1.mask.png,m,cat,a cat,,\r\n"
    )
    (folder / "manifest.csv").write_bytes(text.encode())
    pack_manifest(folder / "manifest.csv")
    first, second = documents_of(folder / "out")
    assert first == {"model": "m", "concept": "cat", "prompt": 'a cat, on a "mat"'}
    assert second["prompt"] == "a cat"


def test_a_cell_may_hold_what_the_samples_json_may(folder: Path) -> None:
    out = packed(folder, [row(0, note="x" * 1_000_000)])
    assert len(documents_of(out)[0]["note"]) == 1_000_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "line 2: expected an object, not list"),
        ("null", "line 2: expected an object, not NoneType"),
        ("{", "line 2: not JSON: "),
        ("[" * 100_000, "line 2: not JSON: "),
        (
            json.dumps(row(1))[:-1] + ', "model": "other"}',
            "line 2: not JSON: 'model' comes twice in one object",
        ),
        (
            json.dumps(row(1))[:-1] + ', "cfg": {"scale": 1, "scale": 7}}',
            "line 2: not JSON: 'scale' comes twice in one object",
        ),
        (json.dumps(row(1, image=5)), "line 2: image is 5, not a path"),
        (json.dumps(row(1, mask=["a"])), r"line 2: mask is \['a'\], not a path"),
        (json.dumps(row(1, role=["a"])), r"line 2: role is \['a'\], not generation or"),
        (json.dumps(row(1, key=True)), "line 2: key is True, not a text or a number"),
        (json.dumps(row(1, seed=True)), "line 2: seed is True, not an integer"),
        (json.dumps(row(1, seed=1.5)), "line 2: seed is 1.5, not an integer"),
        (json.dumps(row(1, seed=[1])), r"line 2: seed is \[1\], not an integer"),
        (json.dumps(row(1, seed=1e18)), "line 2: seed is 1e[+]18, a float that no longer says"),
        (json.dumps(row(1, model=True)), "line 2: model must be a text that is not empty, not"),
        (json.dumps(row(1, concept={})), "line 2: concept must be a text that is not empty, not"),
        (json.dumps(row(1, subject=[])), "line 2: subject must be a text, not"),
        (json.dumps(row(1, prompt_id=[1])), "line 2: prompt_id must be a text or a number, not"),
        (json.dumps(row(1, references={})), "line 2: references is {}, not a list of keys"),
        (json.dumps(row(1, references=[[]])), "line 2: references is .*, not a text or a number"),
        (json.dumps(row(1, prompt="\ud800")), "line 2: prompt must be a text"),
        (json.dumps(row(1, key="\ud800")), "line 2: key .* holds a character"),
        (json.dumps(row(1, cfg=float("inf"))), "line 2: cfg is inf, which JSON has no number for"),
        (
            json.dumps(row(1))[:-1] + ', "x": ' + "[" * 900 + "]" * 900 + "}",
            "line 2: x is nested too",
        ),
        (json.dumps(row(1, image="1\0.jpg")), "line 2: key .* holds a character"),
        (json.dumps(row(1, image="1" * 400 + ".jpg")), "line 2: image: .*: /.*111"),
        (json.dumps(row(1, image="..")), "line 2: key"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_written(
    folder: Path, line: str, message: str
) -> None:
    (folder / "manifest.jsonl").write_text(json.dumps(row(0)) + "\n" + line + "\n")
    with pytest.raises(CallError, match=message):
        pack_manifest(folder / "manifest.jsonl")
    assert not (folder / "out").exists()


def from_pandas(folder: Path, kind: str, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What the samples' JSON says of a manifest that pandas wrote."""
    path = folder / f"manifest.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    pack_manifest(path)
    return documents_of(folder / "out")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_what_pandas_makes_of_integers_and_of_nothing_is_what_was_meant(
    folder: Path, kind: str
) -> None:
    frame = pd.DataFrame([row(0, role="generation"), row(1, role="reference")])
    frame["seed"] = [2, None]
    frame["prompt_id"] = ["p", None]
    frame["subject"] = [np.nan, None]
    frame["when"] = [pd.Timestamp("2024-11-24 12:30:00.123456789"), pd.NaT]
    generation, reference = from_pandas(folder, kind, frame)
    assert generation["seed"] == 2
    assert isinstance(generation["seed"], int)
    assert "subject" not in generation
    assert datetime.fromisoformat(generation["when"]).second == 0
    assert not {"seed", "prompt_id", "when", "subject"} & set(reference)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_numbers_that_name_something_are_its_name(folder: Path, kind: str) -> None:
    frame = pd.DataFrame([row(i, key=i, role="generation") for i in range(2)])
    frame["model"], frame["concept"], frame["prompt_id"] = [1.5, 2.0], [7, 8], [3.0, None]
    first, second = from_pandas(folder, kind, frame)
    assert [sample.key for sample in samples_of(folder / "out")] == ["0", "1"]
    assert (first["model"], second["model"]) == ("1.5", "2")
    assert (first["concept"], second["concept"]) == ("7", "8")
    assert first["prompt_id"] == 3
    assert isinstance(first["prompt_id"], int)
    assert "prompt_id" not in second


def test_what_parquet_holds_and_json_does_not_is_refused_by_row(folder: Path) -> None:
    frame = pd.DataFrame([row(0), row(1)])
    frame["thumbnail"] = [None, b"bytes"]
    with pytest.raises(CallError, match="row 2: thumbnail is of type bytes, which JSON does not"):
        from_pandas(folder, "parquet", frame)


def test_an_empty_text_of_a_further_column_is_carried(folder: Path) -> None:
    [document] = documents_of(packed(folder, [row(0, negative="", subject="")], "jsonl"))
    assert document["negative"] == ""
    assert "subject" not in document


REFERENCES = [
    row(3, role="reference", key="cat/0"),
    row(4, role="reference", concept="dog"),
]


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ("cat/0; 4_v1", ["cat/0", "4_v1"]),
        ("4_v1;", ["4_v1"]),
        (" ; cat/0 ;; ", ["cat/0"]),
        ("3.v1.jpg;4.v1", ["cat/0", "4_v1"]),
        ("./4.v1.jpg", ["4_v1"]),
        (";", None),
    ],
)
def test_a_list_of_references_names_keys_or_images_of_the_manifest(
    folder: Path, given: str, keys: list[str] | None
) -> None:
    for kind in ("csv", "jsonl"):
        out = packed(folder, [row(0, references=given), *REFERENCES], kind, overwrite=True)
        assert documents_of(out)[0].get("references") == keys
    listed = given.split(";")
    out = packed(folder, [row(0, references=listed), *REFERENCES], "jsonl", overwrite=True)
    assert documents_of(out)[0].get("references") == keys


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cat/1", "references: 'cat/1' is no reference of the manifest; did you mean 'cat/0'"),
        ("0_v1", "references: '0_v1' is no reference of the manifest; did you mean '4_v1'"),
        ("cat/0;4_v1;cat/0", "row 1: references: 'cat/0' comes twice"),
        ("cat/0;3.v1.jpg", "row 1: references: '3.v1.jpg' comes twice"),
        ("..", r"row 1: references: key '\.\.' names nothing"),
    ],
)  # fmt: skip
def test_a_list_of_references_that_are_not_there_is_refused(
    folder: Path, given: str, message: str
) -> None:
    with pytest.raises(CallError, match=message):
        packed(folder, [row(0, references=given), *REFERENCES])


def test_an_image_that_two_references_share_names_neither(folder: Path) -> None:
    twice = [row(3, role="reference", key=key) for key in ("a", "b")]
    with pytest.raises(CallError, match=r"'3\.v1\.jpg' is no reference of the manifest"):
        packed(folder, [row(0, references="3.v1.jpg"), *twice])


def test_references_that_are_packed_elsewhere_cannot_be_checked_and_that_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = packed(folder, [row(0, references="a; b/c.v1; ")])
    assert documents_of(out)[0]["references"] == ["a", "b/c_v1"]
    assert "the manifest has no references: the keys that its rows list are not" in caplog.text


def test_concepts_that_no_reference_is_of_are_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packed(folder, [row(0), row(1, concept="cat "), row(2, concept="cow"), *REFERENCES])
    [message] = [each for each in caplog.messages if "concepts" in each]
    assert message.startswith("2 generations are of concepts that no reference of the manifest is")
    assert message.endswith("row 2, is of 'cat '")


def test_a_mask_of_another_image_is_refused_by_its_aspect(folder: Path) -> None:
    Image.new("L", (30, 30)).save(folder / "square.png")
    with pytest.raises(CallError, match=r"row 2: mask: 30x30 is not of the aspect .*, 40x30"):
        packed(folder, [row(0), row(1, mask="square.png")])
    Image.new("L", (20, 15)).save(folder / "half.png")
    packed(folder, [row(1, mask="half.png")])


@pytest.mark.parametrize("name", ["image", "mask"])
def test_what_is_no_image_is_refused_by_row(folder: Path, name: str) -> None:
    for content in (b"", b"no image", b"\x89PNG\r\n\x1a\n"):
        (folder / "broken.png").write_bytes(content)
        with pytest.raises(CallError, match=f"row 2: {name}: "):
            packed(folder, [row(0), row(1, **{name: "broken.png"})])
    assert not (folder / "out").exists()


def test_a_manifest_of_a_table_with_its_index_is_read(folder: Path) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *row(0)])
        writer.writerow([0, *row(0).values()])
    pack_manifest(folder / "manifest.csv")
    assert "" not in documents_of(folder / "out")[0]


def renamed(row: Row, **names: str) -> Row:
    return {names.get(name, name): value for name, value in row.items()}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("subjct", "subject"), ("Subject", "subject"), ("masks", "mask"), ("MASK", "mask"),
        ("Prompt-ID", "prompt_id"), ("prompt id", "prompt_id"), ("seeds", "seed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_column_that_is_called_almost_as_a_known_one_is_warned_of(
    folder: Path, kind: str, typed: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [renamed(row(i), **{meant: typed}) for i in range(3)]
    documents = documents_of(packed(folder, rows, kind))
    assert [message for message in caplog.messages if " rows have a column " in message] == [
        f"3 rows have a column {typed!r} and no {meant!r}, which it is not taken for; did you mean "
        f"that? The first is manifest={folder}/manifest.{kind}: "
        f"{'line' if kind == 'jsonl' else 'row'} 1"
    ]
    assert all(typed in document for document in documents)


def test_a_slip_is_said_also_where_it_makes_a_row_be_refused(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CallError, match="row 1: prompt is missing"):
        packed(folder, [renamed(row(0), prompt="promt")])
    with pytest.raises(CallError, match="row 1: image is missing"):
        packed(folder, [renamed(row(0), image="imgae")])
    assert ["no 'prompt'" in caplog.messages[0], "no 'image'" in caplog.messages[1]] == [True] * 2


def test_further_columns_are_no_slips(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    further = {"prompt2": "x", "caption": "x", "cfg": 7, "lora": "x", "mask_source": "x"}
    packed(folder, [row(0, **further), row(1, **further)])
    assert not [message for message in caplog.messages if "column" in message]
