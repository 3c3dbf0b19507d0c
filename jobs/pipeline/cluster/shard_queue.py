"""The shards of a run that are not done: which is next, and which has failed too often."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from jobs.pipeline.run.shard import Shard

FIRST_PAUSE = 2.0
"""Seconds before a shard is tried a second time; each further pause is twice as long."""

LONGEST_PAUSE = 60.0


class ShardQueue:
    """Shards wait here; whoever takes one puts it back when it fails."""

    def __init__(
        self,
        shards: Iterable[Shard],
        max_attempts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hold `shards`, in this order."""
        self._ready = deque(shards)
        self._later: list[tuple[float, Shard]] = []
        self._max_attempts = max_attempts
        self._attempts: Counter[str] = Counter()
        self._suspects: set[str] = set()
        self._clock = clock
        self.set_aside: list[Shard] = []
        """Those that failed too often."""

    def __len__(self) -> int:
        """The shards that wait, those that pause included."""
        return len(self._ready) + len(self._later)

    def first(self) -> Shard | None:
        """The shard that `take` would give; None if none is ready."""
        now = self._clock()
        self._ready.extend(shard for due, shard in self._later if due <= now)
        self._later = [(due, shard) for due, shard in self._later if due > now]
        return self._ready[0] if self._ready else None

    def take(self) -> Shard:
        """The next shard, which waits no longer."""
        return self._ready.popleft()

    def drop(self) -> None:
        """Nobody is to take those that wait."""
        self._ready.clear()
        self._later.clear()

    def attempts(self, shard: Shard) -> int:
        """How often it failed, by its own fault as far as can be told."""
        return self._attempts[shard.id]

    def is_suspect(self, shard: Shard) -> bool:
        """Whether it should be tried alone: it failed, or was there when a worker died."""
        return shard.id in self._suspects

    def put_back(self, shard: Shard, is_suspect: bool = False) -> None:
        """It was not done, and it is not known to be its own fault."""
        self._ready.append(shard)
        if is_suspect:
            self._suspects.add(shard.id)

    def failed(self, shard: Shard) -> bool:
        """It failed, and will be tried again after a pause. Or, False, is set aside."""
        self._suspects.add(shard.id)
        self._attempts[shard.id] += 1
        attempts = self._attempts[shard.id]
        if attempts >= self._max_attempts:
            self.set_aside.append(shard)
            return False
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempts - 1))
        self._later.append((self._clock() + pause, shard))
        return True
