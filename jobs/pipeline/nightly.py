"""Every night: checkpoints that are new are scored, judged, written down and told of.

Each complete checkpoint that the history does not hold, in the order of their marks, takes the
steps of `judging.STEPS`. One that cannot be finished ends the night: those after it are to be held
against it, if it passes. The same call goes on with it.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from jobs.pipeline.cluster.joining import joined_cluster
from jobs.pipeline.cluster.kept_workers import workers_kept
from jobs.pipeline.cluster.stopping import Stop
from jobs.pipeline.errors import CallError, Incomplete, StorageError
from jobs.pipeline.judging import STEPS, NightWork, PageOf, told_files
from jobs.pipeline.nightly_settings import NightlyConfig, check
from jobs.pipeline.nights.history import History, Row
from jobs.pipeline.nights.home import Home
from jobs.pipeline.nights.inbox import Checkpoint, Inbox
from jobs.pipeline.nights.telling import Recipient, Telling
from jobs.pipeline.nights.trackers import trackers_asked
from jobs.pipeline.nights.webhook import Webhook
from jobs.pipeline.run.lease import Lease

log = logging.getLogger(__name__)

LOOKED_AT_AGAIN = 100
"""Of the latest checkpoints it is asked whether they were exported once more."""


@dataclass(frozen=True)
class Night:
    """What came of a call."""

    home: Home
    history: History
    judged: list[Row] = field(default_factory=list)
    """Rows of the checkpoints that this call judged, in order."""
    unfinished: str | None = None
    """The checkpoint that could not be finished, and why; None where all were."""
    n_waiting: int = 0
    """Complete checkpoints that are still to be judged."""


def nightly(config: NightlyConfig, page_of: PageOf | None = None) -> Night:
    """Judge the checkpoints that are new; tell the webhook where a night cannot be finished.

    Args:
        page_of: makes the page of each; None makes none.

    Raises:
        CallError: the call or its configuration is wrong; or another call has this home.
        StorageError: inbox or history cannot be read.
        Incomplete: another call has taken this home.
    """
    inbox, webhook = check(config), Webhook(config.webhook)
    try:
        night = _night(config, inbox, webhook, page_of)
    except (Incomplete, StorageError) as error:
        webhook.tell_unfinished(config.home, str(error))
        raise
    if night.unfinished is not None:
        webhook.tell_unfinished(config.home, night.unfinished)
    return night


def _night(config: NightlyConfig, inbox: Inbox, webhook: Webhook, page_of: PageOf | None) -> Night:
    home = Home(config.home)
    # Before anything is written: an inbox that is not there leaves no home behind.
    found = inbox.complete(home.read_history().names)
    with (
        Stop(config.limits.grace_seconds) as stop,
        Lease(
            home.as_run(),
            on_loss=partial(stop.ask, "another call has taken this home", 0),
            setting="home",
        ) as lease,
    ):
        home.is_ours = lambda: not lease.is_lost
        recipients = _recipients(config, webhook)
        work = NightWork(
            config,
            home,
            Telling(recipients, partial(told_files, home), home.write_history),
            page_of,
        )
        lease.told = work.document
        _tell_of_marked_anew(inbox, work.history)
        # Another call may have judged some meanwhile.
        waiting = [each for each in found if each.name not in work.history.names]
        log.info("%d checkpoints are judged, %d wait", len(work.history.rows), len(waiting))
        work.tell()
        work.retain()
        # One alone may find that there is nothing left to do on a cluster.
        is_shared = len(waiting) > 1 or (waiting and config.segmenter.name is not None)
        with ExitStack() as shared:
            if is_shared:
                shared.enter_context(joined_cluster(config.ray.address, stop))
                shared.enter_context(workers_kept())
            unfinished = _judge_all(work, waiting)
    n_left = len(waiting) - len(work.judged)
    return Night(home, work.history, work.judged, unfinished, n_left)


def _recipients(config: NightlyConfig, webhook: Webhook) -> list[Recipient]:
    told = trackers_asked(config.track, config.tracker)
    return [webhook, *told] if webhook.is_asked_for else told


def _tell_of_marked_anew(inbox: Inbox, history: History) -> None:
    """A name that is used again is not judged again, and nobody should think that it was."""
    latest = {row["checkpoint"]: row["time"] for row in history.rows[-LOOKED_AT_AGAIN:]}
    for name in inbox.marked_anew(latest):
        log.warning(
            "checkpoint %s has a later mark than when it was judged, and is not judged again; give "
            "what is new a name of its own",
            name,
        )


def _judge_all(work: NightWork, waiting: list[Checkpoint]) -> str | None:
    """Take checkpoints through all steps; the one that could not be, and why."""
    for checkpoint in waiting:
        log.info("checkpoint %s, complete since %s", checkpoint.name, checkpoint.time.isoformat())
        work.take(checkpoint)
        try:
            for step in STEPS:
                step.do(work)
        except (Incomplete, StorageError) as error:
            unfinished = f"{checkpoint.name}: {error}"
            log.error("checkpoint %s; the same call goes on from here", unfinished)
            return unfinished
        except CallError as error:
            raise CallError(f"checkpoint {checkpoint.name}: {error}") from error
    return None
