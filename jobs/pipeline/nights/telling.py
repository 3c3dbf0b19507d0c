"""Who is told of a checkpoint that was judged: never at the cost of the night."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from jobs.pipeline.nights.history import History, Row

log = logging.getLogger(__name__)

REPORT = "report.html"
"""What the page of a checkpoint is called among the files that recipients are given."""
OLDEST = 30
"""Of the latest rows those are looked at that somebody has not been told of."""


class NotTold(Exception):
    """A recipient was not reached. The message is one line, and holds no secret."""


class Recipient(Protocol):
    """Somebody who is told."""

    name: str
    """What the history calls it while it has not been told."""

    def tell(self, row: Row, files: Mapping[str, bytes]) -> None:
        """Tell of a checkpoint.

        Args:
            row: of the history.
            files: by name, its page, and of the comparison, which the first checkpoint has not.

        Raises:
            NotTold: it was not reached.
        """


class Telling:
    """Tells recipients what they have not been told, as long as they are reached."""

    def __init__(
        self,
        recipients: Sequence[Recipient],
        files_of: Callable[[Row], Mapping[str, bytes]],
        keep: Callable[[History], None],
    ) -> None:
        """Nobody is told yet.

        Args:
            keep: writes a history down, after each that was told.
        """
        self._recipients = {recipient.name: recipient for recipient in recipients}
        self._files_of = files_of
        self._keep = keep
        self._silent: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Of the recipients that were named for this call."""
        return list(self._recipients)

    def tell(self, history: History) -> History:
        """Tell of the latest rows; the history, with what was told.

        Once a recipient is not reached it is left alone, and told at the next call.
        """
        for row in history.rows[-OLDEST:]:
            for name in row["untold"] or []:
                recipient = self._recipients.get(name)
                if recipient is not None and self._reached(recipient, row):
                    history = history.told(row["checkpoint"], name)
                    self._keep(history)
        return history

    def _reached(self, recipient: Recipient, row: Row) -> bool:
        if recipient.name in self._silent:
            return False
        try:
            recipient.tell(row, self._files_of(row))
        except NotTold as error:
            log.warning("%s was not told of %s: %s", recipient.name, row["checkpoint"], error)
            self._silent.add(recipient.name)
            return False
        log.info("%s was told of %s", recipient.name, row["checkpoint"])
        return True
