"""The exit statuses of every command."""

from __future__ import annotations

EXIT_DONE = 0

EXIT_WRONG_CALL = 1

EXIT_TOO_MANY_ERRORS = 2

EXIT_INCOMPLETE = 3

EXIT_REGRESSED = 4

EXIT_UNDECIDED = 5
