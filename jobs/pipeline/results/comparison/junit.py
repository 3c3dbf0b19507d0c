"""A comparison as JUnit XML, for the page of a CI run: a test a gated column.

Regressed is a failure, undecided a skip with its reason, a suspicion a property of the suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from jobs.pipeline.command.messages import printable
from jobs.pipeline.results.comparison import wording
from jobs.pipeline.results.comparison.comparing import ColumnVerdict, Comparison
from jobs.pipeline.results.comparison.verdict import Verdict
from jobs.pipeline.results.numbers import signed


def junit(comparisons: Sequence[Comparison]) -> bytes:
    """The document, one suite a comparison."""
    root = ElementTree.Element("testsuites", name="jobs.compare")
    for comparison in comparisons:
        root.append(_suite(comparison))
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("errors", "0")
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _suite(comparison: Comparison) -> ElementTree.Element:
    gated = {column: v for column, v in comparison.columns.items() if v.verdict is not None}
    words = [found.verdict for found in gated.values()]
    suite = ElementTree.Element(
        "testsuite",
        name=printable(comparison.name),
        tests=str(len(gated)),
        failures=str(words.count(Verdict.REGRESSED)),
        skipped=str(words.count(Verdict.UNDECIDED)),
        errors="0",
    )
    properties = ElementTree.SubElement(suite, "properties")
    named = [("verdict", str(comparison.verdict)), ("compared", wording.counts(comparison))]
    named += [(f"suspicion.{each.kind}", each.text) for each in comparison.evidence.suspicions]
    for name, value in named:
        ElementTree.SubElement(properties, "property", name=name, value=printable(value))
    for column, found in gated.items():
        case = ElementTree.SubElement(
            suite, "testcase", classname=printable(comparison.name), name=printable(column)
        )
        said = _said(column, found)
        if found.verdict is Verdict.REGRESSED:
            failure = ElementTree.SubElement(case, "failure", type="regressed", message=said)
            failure.text = said
        elif found.verdict is Verdict.UNDECIDED:
            ElementTree.SubElement(case, "skipped", message=printable(found.reason or said))
        ElementTree.SubElement(case, "system-out").text = said
    return suite


def _said(column: str, found: ColumnVerdict) -> str:
    return printable(
        f"{wording.title(column)} {found.verdict}: change {signed(found.estimate.mean)}, "
        f"interval {wording.interval(found)}, margin {found.margin:g}"
    )
