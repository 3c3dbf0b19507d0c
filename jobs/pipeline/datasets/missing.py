"""What a data set lacks, by cause: counted, and the first few named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_NAMED = 5
"""Of one cause; the count has the rest."""


@dataclass
class Lack:
    """What one cause came to."""

    n: int = 0
    first: list[str] = field(default_factory=list)
    """At most `MOST_NAMED` of them, by name."""


class Missing:
    """What a data set lacks. A cause is a line that goes on after a number: "masks that ..."."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._lacks: dict[str, Lack] = {}

    def add(self, cause: str, name: str, n: int = 1) -> None:
        """Count `n` more, by one name."""
        lack = self._lacks.setdefault(cause, Lack())
        lack.n += n
        if len(lack.first) < MOST_NAMED:
            lack.first.append(name)

    def lines(self) -> Iterator[str]:
        """A line a cause, in the order in which they came up."""
        for cause, lack in self._lacks.items():
            more = ", ..." if len(lack.first) == MOST_NAMED < lack.n else ""
            yield f"{lack.n} {cause}: {', '.join(lack.first)}{more}"

    def documents(self) -> dict[str, dict[str, Any]]:
        """By cause, the same for JSON."""
        return {cause: asdict(lack) for cause, lack in self._lacks.items()}
