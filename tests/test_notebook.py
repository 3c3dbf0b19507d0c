"""The notebook runs from top to bottom, and shows what is stored in it."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]

NOTEBOOK = ROOT / "launch" / "quickstart.ipynb"

MOST_BYTES = 300_000


def shown(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Each output's kind, and its text, where it is no picture."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                if output.name == "stdout":
                    found.append(("stdout", output.text))
            elif "image/png" in output.data:
                found.append(("picture", ""))
            else:
                found.append(("html", output.data["text/html"]))
    return found


@pytest.mark.services
@pytest.mark.slow
def test_it_runs_and_shows_what_is_stored_in_it() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    stored = shown(copy.deepcopy(notebook))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    now = shown(notebook)
    number = re.compile(r"-?\d+\.\d+")
    assert [kind for kind, _ in now] == ["picture", "stdout", "html", "picture", "picture"]
    for (kind, text), (kind_stored, text_stored) in zip(now, stored, strict=True):
        assert kind == kind_stored
        assert number.sub("#", text).split() == number.sub("#", text_stored).split()
        figures = [float(figure) for figure in number.findall(text)]
        assert figures == pytest.approx([float(x) for x in number.findall(text_stored)], abs=0.02)


def test_it_is_small_and_holds_no_trace_of_where_it_ran() -> None:
    text = NOTEBOOK.read_text()
    assert len(text) < MOST_BYTES
    assert "/home/" not in text
    assert "/tmp/" not in text
    notebook = nbformat.reads(text, as_version=4)
    assert not any("stderr" in str(cell.get("outputs")) for cell in notebook.cells)
