"""How far a run is: a live bar on a terminal, a line every few seconds elsewhere. On stderr."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from jobs.pipeline.cluster.standing import Standing
from jobs.pipeline.command.bars import bar_on_terminal

log = logging.getLogger(__name__)

LINE_SECONDS = 5.0


class Progress:
    """Shows shards, samples, samples a second, errors and the time left. A context manager."""

    def __init__(self, n_shards: int, verb: str = "scoring", title: str = "") -> None:
        """Progress through `n_shards`.

        Args:
            verb: what is done to them.
            title: of this pass among others, as in "pass 2 of 2: hpsv3".
        """
        self._verb, self._title = verb, title
        self._n_shards = n_shards
        self._began: float | None = None
        self._last_line = time.monotonic()
        self._bar = bar_on_terminal("shards")
        self._standing: Mapping[str, Any] = {}

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self._title or self._verb, total=self._n_shards, detail="starting"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def document(self) -> Mapping[str, Any]:
        """What was shown last, in JSON's types; empty before. Called from another thread."""
        return self._standing

    def show(self, standing: Standing) -> None:
        """Show the state, if it is time to."""
        counts, n_workers = standing.counts, len(standing.workers)
        now = time.monotonic()
        if self._began is None and n_workers:
            # Loading the encoder is not scoring: a rate that counted it would start far too low.
            self._began = now
        seconds = now - self._began if self._began is not None else 0.0
        rate = counts.total / seconds if seconds > 0 else 0.0
        self._standing = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "doing": self._verb,
            "pass": self._title or None,
            "seconds": round(seconds, 1),
            "n_shards": self._n_shards,
            "n_shards_done": standing.n_shards_done,
            "n_shards_set_aside": standing.n_shards_set_aside,
            "samples": {**asdict(counts), "total": counts.total},
            "samples_a_second": round(rate, 3),
            "seconds_left": self._seconds_left(standing.n_shards_done, seconds),
            "workers": {"ready": n_workers, "idle": standing.n_idle},
            "errors": dict(standing.errors),
        }
        detail = f"{counts.total:,} samples · {rate:,.1f}/s · {counts.error:,} errors"
        if self._bar is not None:
            self._bar.update(self._task, completed=standing.n_shards_done, detail=detail)
        elif now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            log.info(
                "%d/%d shards · %s · workers: %d · %s left",
                standing.n_shards_done,
                self._n_shards,
                detail,
                n_workers,
                self._time_left(standing.n_shards_done, seconds),
            )

    def _time_left(self, n_shards_done: int, seconds: float) -> str:
        left = self._seconds_left(n_shards_done, seconds)
        if left is None:
            return "?"
        return f"{int(left) // 3600}:{int(left) // 60 % 60:02d}:{int(left) % 60:02d}"

    def _seconds_left(self, n_shards_done: int, seconds: float) -> float | None:
        """By the shards so far; None where none is done."""
        if not n_shards_done:
            return None
        return round(seconds / n_shards_done * (self._n_shards - n_shards_done), 1)
