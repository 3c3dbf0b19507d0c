"""What the jobs of one worker have loaded, one after the other, so that the next need not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any


class Networks:
    """Networks on a worker's device, by their kind and then by all that tells one from others.

    A job takes its own kind out, and puts back what it works with: what nobody uses is let go,
    before anything is loaded in its place.
    """

    def __init__(self) -> None:
        """Nothing is loaded."""
        self._by_kind: dict[str, Mapping[Hashable, Any]] = {}
        self._taken: frozenset[Hashable] = frozenset()
        self.n_kept = 0
        """Of what was put back last, how many had been taken out."""

    def take(self, kind: str) -> Mapping[Hashable, Any]:
        """Those of a kind, which are the caller's from now on."""
        networks = self._by_kind.pop(kind, {})
        self._taken = frozenset(networks)
        return networks

    def put(self, kind: str, networks: Mapping[Hashable, Any]) -> None:
        """Those that a job of this kind works with."""
        self._by_kind[kind] = networks
        self.n_kept = len(self._taken & networks.keys())
