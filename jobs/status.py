"""`python -m jobs.status run=RUN|home=HOME [--watch]`: where a run, or a home of nights, stands."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.command.messages import print_lines
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.narrowing import in_words, narrowings, picture
from jobs.pipeline.status import Standing, status_of_home, status_of_run

WATCH = "--watch"
WATCH_SECONDS = 5.0


@dataclass
class StatusConfig:
    run: str | None = setting(None, "directory of a run, of scores or of shards with masks")
    home: str | None = setting(None, "directory of jobs.nightly")
    watch: float | None = setting(
        None, f"seconds from look to look, until it ends; {WATCH} is {WATCH_SECONDS:g}"
    )


def show_status(config: StatusConfig, as_json: bool) -> int:
    """Say who has a run, how far it is, how fast, what went wrong, and what is left.

    Reads a listing and two small files, and no scores: what it says of a run that goes on is what
    its driver's last heartbeat said. Exit status 0, whatever the state.
    """
    if (config.run is None) == (config.home is None):
        raise CallError("run= or home= is required, and not both")
    if config.watch is not None and not config.watch > 0:
        raise CallError(f"watch={config.watch}: expected more than 0 seconds")
    try:
        while True:
            standing = _look(config)
            _show(standing, as_json)
            if config.watch is None or not standing.is_going_on:
                return EXIT_DONE
            time.sleep(config.watch)
    except KeyboardInterrupt:
        if config.watch is None:
            raise
        return EXIT_DONE  # as every watch ends


def _look(config: StatusConfig) -> Standing:
    if config.run is not None:
        return status_of_run(config.run)
    assert config.home is not None
    return status_of_home(config.home)


def _show(standing: Standing, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(standing.document(), ensure_ascii=False) + "\n")
    else:
        print_lines(_lines(standing.document()))
    sys.stdout.flush()


def _lines(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "state", f"{found['state']}: {found['url']}"
    holder = found["holder"]
    if holder:
        is_dead = ", which is dead" if holder["is_dead"] else ""
        yield (
            "driver",
            f"host {holder['host']}, pid {holder['pid']}{is_dead}, since {holder['since']}; heard "
            f"{holder['heard_seconds']:.0f} s ago",
        )
    yield from _of_home(found) if "n_judged" in found else _of_run(found)


def _of_run(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "shards", f"{found['n_parts']:,} of {found['n_shards'] or '?'} are committed"
    for each in narrowings(found):
        yield "gate", in_words(each)
        yield from (("", text) for text in picture(each))
    progress = found["progress"]
    if progress:
        samples, workers = progress["samples"], progress["workers"]
        left = progress["seconds_left"]
        title = f", {progress['pass']}" if progress.get("pass") else ""
        yield (
            "this call",
            f"{progress['n_shards_done']:,} of {progress['n_shards']:,} shards{title}",
        )
        yield (
            "samples",
            f"{samples.get('total', 0):,}, {progress['samples_a_second']:,.1f} a second, "
            f"{samples.get('error', 0):,} errors",
        )
        yield "workers", f"{workers.get('ready')} at work, {workers.get('idle')} of them idle"
        yield "left", "not known yet" if left is None else f"{left:,.0f} s"
    elif found["counts"]:
        yield "samples", ", ".join(f"{name} {n}" for name, n in found["counts"].items())
    for kind, n in (found["errors"] or {}).items():
        yield "error", f"{n:,} x {kind}"
    if found["n_failed"]:
        yield "failed", f"{found['n_failed']:,} shards were given up on"
    for each in found["failed"]:
        yield "", f"{each['shard']}: {each['error'] or 'its note cannot be read'}"


def _of_home(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    from jobs.pipeline.nights import wording  # by now it is imported; a run has no need of it

    yield "judged", f"{found['n_judged']:,}; the last that passed: {found['last_passed'] or 'none'}"
    if found["last"]:
        yield "last", wording.headline(found["last"])
    for line in wording.trend_lines(found["trend"]):
        yield "trend", line
    if found["n_untold"]:
        yield "untold", f"{found['n_untold']:,} checkpoints that not everybody was told of"
    if found["checkpoint"]:
        yield "at work on", found["checkpoint"]
    if found["run"]:
        yield from ((f"  {what}", text) for what, text in _lines(found["run"]))


def main() -> int:
    """The command line."""
    words = [f"watch={WATCH_SECONDS:g}" if word == WATCH else word for word in sys.argv[1:]]
    return run_command("status", StatusConfig, show_status, words)


if __name__ == "__main__":
    sys.exit(main())
