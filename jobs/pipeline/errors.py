"""What the rooms raise. Imports nothing, so that any of them can."""

from __future__ import annotations


class CallError(Exception):
    """The call or its configuration is wrong. The message is the line that the user reads."""


class StorageError(Exception):
    """A storage did not do what it was asked. The message is one line: what, and why not."""

    def __init__(self, what: str, reason: str, is_transient: bool = False) -> None:
        """Of `what`, a path or URL to show; `is_transient`: another attempt may succeed."""
        super().__init__(what, reason, is_transient)
        self.what = what
        self.reason = reason
        self.is_transient = is_transient

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


LONGEST_REASON = 1000
"""Characters of a row's `error`: it may quote what a stranger wrote."""


class SampleError(Exception):
    """A sample that cannot be scored: a row of status `error`.

    The message is the row's `error`: the member, and the cause.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."
        )


class DamagedShard(Exception):
    """The archive cannot be read on from here. The message says where and why."""


class CommitError(StorageError):
    """A part could not be written."""


class Incomplete(Exception):
    """What was asked for cannot go on now; the same call may, later. The message says why."""
