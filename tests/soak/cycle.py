"""One run from its first call to its end, disturbed on the way, and what must be true of it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.proxy import Fault, Rule
from tests.soak.faults import FAULTS, Draw, Scene, Wrong
from tests.soak.world import PHOTOS, Call, World

CALL_SECONDS = 600.0
"""A call that is left alone and takes longer does not end."""

MAX_CALLS = 100

POLL_SECONDS = 0.5

TOLERANCE = 1e-5

SCORES = ("cp", "pf")

COUNTS = ("expected", "found", "duplicates", "missing", "unknown", "errors", "inexact")


@dataclass
class Tally:
    """Rows of runs, held against those of an undisturbed one."""

    expected: int = 0
    found: int = 0
    duplicates: int = 0
    missing: int = 0
    unknown: int = 0
    """Keys that no shard has."""
    errors: int = 0
    """Rows that are not as good as those of the undisturbed run."""
    inexact: int = 0
    """Rows that differ in any bit."""
    largest_difference: float = 0.0
    """Of a score."""

    def __add__(self, other: Tally) -> Tally:
        sums = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        largest = max(self.largest_difference, other.largest_difference)
        return Tally(**sums, largest_difference=largest)

    @property
    def is_right(self) -> bool:
        """Every sample once, and its scores what they should be."""
        wrong = self.duplicates + self.missing + self.unknown + self.errors
        return not wrong and self.largest_difference <= TOLERANCE


def compare(truth: dict[str, dict[str, Any]], rows: Iterable[dict[str, Any]]) -> Tally:
    """Hold rows against the true ones, which are given by key."""
    tally = Tally(expected=len(truth))
    seen: set[str] = set()
    for row in rows:
        key = row["key"]
        tally.found += 1
        tally.duplicates += key in seen
        tally.unknown += key not in truth
        if key in truth and key not in seen:
            _compare_row(truth[key], row, tally)
        seen.add(key)
    tally.missing = len(truth.keys() - seen)
    return tally


def _compare_row(true: dict[str, Any], row: dict[str, Any], tally: Tally) -> None:
    tally.inexact += row != true
    if row["status"] != true["status"]:
        tally.errors += 1
        return
    for name in SCORES:
        difference = abs(row[name] - true[name])
        tally.largest_difference = max(tally.largest_difference, difference)


@dataclass
class Cycle:
    """A run, and what happened to it."""

    world: World
    run: str
    faults: Counter[str] = field(default_factory=Counter)
    """Those that happened, by name."""
    problems: list[str] = field(default_factory=list)
    """What must not have happened, and did."""
    calls: list[Call] = field(default_factory=list)

    def disturb(self, draws: Iterable[Draw], until: float, delay: float) -> None:
        """Let faults happen until they are all done, the time is over, or the run is.

        Args:
            draws: the faults to come.
            until: when to stop, by the monotonic clock.
            delay: seconds that the storage takes to begin with a shard, so that a run of small
                images lasts long enough to be disturbed.
        """
        slow = Rule(Fault.DELAY, "GET", f"/{PHOTOS}/generations-", seconds=delay)
        self.world.proxy.add(slow)
        self._call()
        for draw in draws:
            happened = False
            while not happened:
                if time.monotonic() >= until or not self._goes_on():
                    self.world.proxy.clear()
                    return
                happened = self._happens(draw)
        self.world.proxy.clear()

    def finish(self) -> None:
        """Call again until the run is done."""
        while True:
            call = self.calls[-1] if self.calls else self._call()
            try:
                call.process.wait(CALL_SECONDS)
            except subprocess.TimeoutExpired:
                self.problems.append(f"a call does not end ({call.log})")
                call.end()
            if not self._goes_on():
                return

    def check(self, truth: dict[str, dict[str, Any]]) -> Tally:
        """What the run holds, once it is done."""
        for note in self.world.set_aside(self.run):
            self.problems.append(f"{note}: set aside, though the run is done")
        return compare(truth, self.world.rows(self.run))

    def _call(self) -> Call:
        self._committed = self.world.parts(self.run)
        self.calls.append(self.world.call(self.run))
        return self.calls[-1]

    def _goes_on(self) -> bool:
        """Whether a call is under way; if one has ended before the run was done, another is."""
        call = self.calls[-1]
        if call.is_running:
            return True
        code = call.process.returncode
        if code == 0:
            return False
        # A signal that comes before the command listens to it ends it as it ends any process.
        if code != 3 and (call.sent is None or code != -call.sent):
            self.problems.append(f"a call ended with {code}: {call.last_words()} ({call.log})")
        if "Traceback" in call.said() and code != -signal.SIGINT:
            self.problems.append(f"a call shows a traceback ({call.log})")
        if len(self.calls) >= MAX_CALLS:
            self.problems.append(f"{MAX_CALLS} calls have not done it")
            return False
        self._call()
        return True

    def _happens(self, draw: Draw) -> bool:
        """Wait for the fault's time and make it happen; False if the call ended before."""
        call = self.calls[-1]
        scene = Scene(self.world, self.run, call, draw.chance)
        due = time.monotonic() + draw.wait
        while call.is_running:
            is_under_way = not draw.is_late or self.world.parts(self.run) != self._committed
            try:
                if time.monotonic() >= due and is_under_way and FAULTS[draw.name](scene):
                    self.faults[draw.name] += 1
                    return True
            except Wrong as wrong:
                self.problems.append(str(wrong))
                return True
            if time.monotonic() >= due + CALL_SECONDS:
                self.problems.append(f"no occasion for a fault: {draw.name} ({call.log})")
                return True
            time.sleep(POLL_SECONDS)
        return False
