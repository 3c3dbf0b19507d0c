"""Whether two runs scored in the same way what is compared of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobs.pipeline.run.fingerprint import MASC, Groups, differing_groups
from jobs.pipeline.run.scores import Part


def differing_ways(
    baseline: Sequence[Part], candidate: Sequence[Part], columns: Iterable[str]
) -> list[str]:
    """The keys of the columns' groups in which some part of one differs from one of the other.

    Parts without fingerprints tell nothing, and are warned of where they are opened.
    """
    ours, theirs = _distinct(baseline), _distinct(candidate)
    known = {group for groups in (*ours, *theirs) for group in groups}
    compared = {_group_of(column, known) for column in columns}
    differences = [
        difference
        for own in ours
        for other in theirs
        for difference in differing_groups(_only(own, compared), _only(other, compared))
    ]
    return list(dict.fromkeys(differences))


def _group_of(column: str, known: Iterable[str]) -> str:
    """A comparator's columns begin with its name; the others are of MaSC."""
    name = column.partition("@")[0]
    owners = [group for group in known if name == group or name.startswith(f"{group}.")]
    return max(owners, key=len, default=MASC)


def _distinct(parts: Sequence[Part]) -> list[Groups]:
    return list({repr(part.fingerprints): part.fingerprints for part in parts}.values())


def _only(groups: Groups, wanted: set[str]) -> Groups:
    return {group: found for group, found in groups.items() if group in wanted}
