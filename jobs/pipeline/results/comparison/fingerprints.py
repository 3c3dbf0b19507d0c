"""Whether two runs scored in the same way what is compared of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobs.pipeline.results.comparison.pairing import PRODUCT
from jobs.pipeline.run.fingerprint import MASC, Groups, differing_groups
from jobs.pipeline.run.scores import Part
from masc_core.mask_names import GIVEN


def differing_ways(
    baseline: Sequence[Part], candidate: Sequence[Part], columns: Iterable[str]
) -> list[str]:
    """The keys of the columns' groups in which some part of one differs from one of the other, and
    how many concepts have other references.

    Parts without fingerprints tell nothing, and are warned of where they are opened.
    """
    columns = list(columns)
    ours, theirs = _distinct(baseline), _distinct(candidate)
    known = {group for groups in (*ours, *theirs) for group in groups}
    compared = {_group_of(column, known) for column in columns}
    differences = [
        difference
        for own in ours
        for other in theirs
        for difference in differing_groups(_only(own, compared), _only(other, compared))
    ]
    if others := _other_references(baseline, candidate, columns):
        noun = "concept has" if len(others) == 1 else "concepts have"
        differences.append(f"{len(others)} {noun} other references (the first: {others[0]})")
    return list(dict.fromkeys(differences))


def _other_references(
    baseline: Sequence[Part], candidate: Sequence[Part], columns: Sequence[str]
) -> list[str]:
    """The concepts that both scored, and against references that are not the same.

    Columns that use no references ask for none; parts that do not tell of theirs tell nothing.
    """
    names = {name for part in (*baseline, *candidate) for name in part.schema.names}
    using = [c for c in columns if c == PRODUCT or f"{_owner(c)}_per_reference" in names]
    masks = {column.partition("@")[2] or GIVEN for column in using} | ({GIVEN} if using else set())
    ours, theirs = (_digests(parts, masks) for parts in (baseline, candidate))
    differ = {key[0] for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]}
    return sorted(differ)


def _owner(column: str) -> str:
    """The column that has one value a reference: CP's, of which `cp.leak` is a further figure."""
    return "cp" if column.startswith("cp.") else column


def _digests(parts: Sequence[Part], masks: set[str]) -> dict[tuple[str, str], set[str]]:
    """By concept and mask, what its references held, in whichever part."""
    found: dict[tuple[str, str], set[str]] = {}
    for part in parts:
        references = part.footer.get("references")
        for concept, held in (references if isinstance(references, dict) else {}).items():
            for mask, digest in (held or {}).items():
                if mask in masks:
                    found.setdefault((concept, mask), set()).add(digest)
    return found


def _group_of(column: str, known: Iterable[str]) -> str:
    """A comparator's columns begin with its name; the others are of MaSC."""
    name = column.partition("@")[0]
    owners = [group for group in known if name == group or name.startswith(f"{group}.")]
    return max(owners, key=len, default=MASC)


def _distinct(parts: Sequence[Part]) -> list[Groups]:
    return list({repr(part.fingerprints): part.fingerprints for part in parts}.values())


def _only(groups: Groups, wanted: set[str]) -> Groups:
    return {group: found for group, found in groups.items() if group in wanted}
