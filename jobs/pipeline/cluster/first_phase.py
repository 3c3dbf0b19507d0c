"""What is read once before the shards, and shared by all workers: the inputs of a job.

Each is read by whichever worker is free. What it answers comes to the driver; what it stores stays
in the object store of the worker's node, and is read again when that node is lost.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import Any

import ray
from ray.exceptions import ObjectLostError

from jobs.pipeline.cluster.shard_job import ShardJob
from jobs.pipeline.errors import CallError
from jobs.pipeline.storage.redaction import redact

log = logging.getLogger(__name__)


class FirstPhase:
    """Which inputs wait, which are read, and what they came to. Inputs go by their number."""

    def __init__(self, job: ShardJob, max_attempts: int) -> None:
        """All of the job's inputs wait."""
        self._job = job
        self._max_attempts = max_attempts
        self._waiting = deque(range(len(job.inputs)))
        self._attempts: Counter[int] = Counter()
        self._answers: dict[int, Any] = {}
        self._stored: dict[int, Any] = {}
        """Ray's reference to what is stored of each."""
        self._shared: Any = None

    @property
    def is_over(self) -> bool:
        """Whether every input is read, and what was stored of it stands."""
        return len(self._stored) == len(self._job.inputs)

    def take(self) -> int | None:
        """The next input to read; None when none waits."""
        return self._waiting.popleft() if self._waiting else None

    def url(self, number: int) -> str:
        """Where an input lies."""
        return self._job.inputs[number]

    def answered(self, number: int, answer: Any, stored: Any) -> None:
        """An input was read.

        Raises:
            CallError: it is another than when it was read before; or, with the last one, what
                `ShardJob.share` raises.
        """
        if self._answers.setdefault(number, answer) != answer:
            raise CallError(f"{self._named(number)}: changed while the run went on")
        self._stored[number] = stored
        if self.is_over and self._shared is None:
            # In the order of the inputs, not in that in which chance had them read.
            answers = [self._answers[i] for i in range(len(self._job.inputs))]
            self._shared = ray.put(self._job.share(answers))

    def to_share(self) -> tuple[Any, list[Any]]:
        """What a worker's `share` is called with."""
        if self._shared is None:
            self._shared = ray.put(self._job.share([]))
        return self._shared, [self._stored[i] for i in range(len(self._job.inputs))]

    def failed(self, number: int, reason: str, is_own_fault: bool) -> None:
        """An input was not read; it waits again.

        Raises:
            CallError: it failed too often.
        """
        self._attempts[number] += is_own_fault
        if self._attempts[number] >= self._max_attempts:
            raise CallError(f"{self._named(number)}: cannot be read: {reason}")
        log.warning("%s failed, will be tried again: %s", self._named(number), reason)
        self._waiting.append(number)

    def lost(self, error: ObjectLostError) -> None:
        """What was stored of an input was on a node that is gone: it is read again."""
        for number in [n for n, ref in self._stored.items() if ref.hex() == error.object_ref_hex]:
            redacted = redact(self.url(number))
            log.warning("%s %s were lost with a node", self._job.inputs_setting, redacted)
            del self._stored[number]
            self._waiting.append(number)

    def forget(self) -> None:
        """Nobody needs it any longer: the object store has its room for others."""
        self._stored.clear()
        self._shared = None

    def _named(self, number: int) -> str:
        """As messages name it: by its setting."""
        return f"{self._job.inputs_setting}={redact(self.url(number))}"
