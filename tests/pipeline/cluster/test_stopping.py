"""Who asks a run to end, and when it heeds it."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.command.interrupts import SIGNALS


def press(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_nobody_heeds_interrupts_by_its_name(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt, match=number.name), Stop(20.0):
        press(number)


def test_a_signal_that_is_heeded_leaves_the_grace_and_a_second_leaves_none() -> None:
    with Stop(20.0) as stop:
        stop.is_heeded = True
        began = time.monotonic()
        press(signal.SIGTERM)
        assert stop.reason == "SIGTERM"
        assert 20.0 <= stop.by - began < 21.0
        press()
        assert stop.by <= time.monotonic()
        assert stop.reason == "SIGTERM"  # the first is why


def test_a_signal_at_the_wrong_moment_interrupts_when_that_is_over() -> None:
    is_done = False
    with Stop(20.0) as stop:
        with pytest.raises(KeyboardInterrupt, match="SIGINT"), stop.deferred("the kettle"):
            press()
            press(signal.SIGTERM)
            is_done = True
        assert is_done
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            press(signal.SIGTERM)


def test_where_someone_else_takes_sigterm_and_exits_it_interrupts_all_the_same() -> None:
    with (
        Stop(20.0) as stop,
        pytest.raises(KeyboardInterrupt, match="SIGTERM"),
        stop.deferred("Ray to start"),
    ):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        press(signal.SIGTERM)


def test_what_goes_wrong_meanwhile_is_raised_where_no_signal_came() -> None:
    with (
        Stop(20.0) as stop,
        pytest.raises(ValueError, match="cannot join"),
        stop.deferred("Ray to start"),
    ):
        raise ValueError("cannot join")


def test_at_the_end_signals_are_whose_they_were() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Stop(20.0) as stop, stop.deferred("nothing"):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
