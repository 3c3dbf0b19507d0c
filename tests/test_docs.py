"""The examples in the docs: each is run as it stands there."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.manifests import samples_of
from tests.pictures import painted

DOCS = Path(__file__).parents[1] / "docs"

EXAMPLES = DOCS / "examples"

MOST_LINES = 40


def program_in(page: str) -> str:
    """The one program of a page."""
    [program] = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return program


def test_a_data_set_of_ones_own_is_packed(tmp_path: Path) -> None:
    program = program_in("data-sets.md")
    assert len(program.splitlines()) < MOST_LINES
    (tmp_path / "mine.py").write_text(program)
    root = tmp_path / "data"
    image, mask = painted((40, 30), 1)
    for path in ("photos/dog/0.jpg", "made/a/dog/beach.jpg", "made/b/dog/beach.jpg"):
        (root / path).parent.mkdir(parents=True)
        image.save(root / path)
    (root / "made/a/dog/beach.txt").write_text("a dog on a beach\n")
    Image.fromarray(mask).save(root / "photos/dog/0.mask.png")
    words = [sys.executable, str(tmp_path / "mine.py"), str(root), str(tmp_path / "out")]
    found = os.pathsep.join(filter(None, [str(DOCS.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": found}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"1 images without a prompt, left out: {root}/made/b/dog/beach.jpg" in done.stderr
    generation, reference = samples_of(tmp_path / "out")
    assert (generation.key, reference.key) == ("a/dog/beach", "dog/0")
    assert sorted(generation.members) == ["jpg", "json"]
    assert sorted(reference.members) == ["jpg", "json", "mask.png"]
    fields = {"concept": "dog", "subject": "dog"}
    assert json.loads(reference.members["json"]) == fields
    asked = {"model": "a", "prompt": "a dog on a beach", "prompt_id": "beach"}
    assert json.loads(generation.members["json"]) == {**fields, **asked}


def test_a_gradient_raises_cp_and_pf_and_the_leak_tells_who_cheats(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loop = EXAMPLES / "reward_loop.py"
    assert len(loop.read_text().splitlines()) <= 60
    rows = {name: row for name, *row in runpy.run_path(str(loop))["main"]()}
    cp, pf, leak = ({name: row[i] for name, row in rows.items()} for i in range(3))
    assert cp["by gradient"] - cp["start"] >= 0.05
    assert pf["by gradient"] - pf["start"] >= 0.02
    honest, *cheats = (leak[name] - leak["start"] for name in list(rows)[1:])
    assert all(rise > 1.5 * honest for rise in cheats)
    assert leak["the photo itself"] > 0.99
    assert pf["the photo itself"] < pf["start"] - 0.5
    [table] = re.findall(r"```text\n( +CP .*?)\n```", (DOCS / "training.md").read_text(), re.DOTALL)
    printed = capsys.readouterr().out
    shown, found = ([float(x) for x in re.findall(r"-?\d\.\d{3}", t)] for t in (table, printed))
    assert shown == pytest.approx(found, abs=0.03)  # another machine rounds another way
    assert [line.split("  ")[0] for line in table.splitlines()] == ["", *rows]
