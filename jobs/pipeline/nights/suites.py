"""The JUnit documents of a night's comparisons as one, for the page of a CI run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

COUNTS = ("tests", "failures", "skipped", "errors")


def merged(of_checkpoints: Iterable[Mapping[str, bytes]]) -> bytes:
    """One document of all suites, of files by their names; those of a pinned baseline say so."""
    root = ElementTree.Element("testsuites", name="jobs.nightly")
    for files in of_checkpoints:
        for name, content in files.items():
            if name.endswith("junit.xml"):
                for suite in ElementTree.fromstring(content):
                    if name.startswith("pin-"):
                        suite.set("name", f"{suite.get('name')} (pinned)")
                    root.append(suite)
    for name in COUNTS:
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
