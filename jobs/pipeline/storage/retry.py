"""What a storage refuses now and may grant later is asked for again, with growing pauses.

The drivers of object stores retry single requests themselves; this is for when they have given up,
and for whole reads that broke off.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import tenacity

from jobs.pipeline.errors import StorageError
from jobs.pipeline.storage.redaction import scrub

log = logging.getLogger(__name__)

ATTEMPTS = 6

LONGEST_PAUSE = 20.0
"""Seconds. Pauses are drawn between 0 and 1, 2, 4, 8, 16 seconds: many workers that were refused
at once must not come back at once."""

# fmt: off
LIBRARIES = frozenset({
    "adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google",
    "httpx", "httpx2", "huggingface_hub", "requests", "s3fs", "urllib3",
})
"""Whose errors come through fsspec as they are, and are no OSError."""
# fmt: on

PERMANENT = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)

PERMANENT_NAMES = ("Credential", "Validation", "Offline")
"""Parts of them: botocore's NoCredentialsError and ParamValidationError, the hub's
OfflineModeIsEnabled, and their kin."""

PERMANENT_CODES = frozenset(
    {errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.ENOSPC, errno.EROFS},
)

PERMANENT_STATUSES = frozenset({400, 401, 403, 404})
"""Of HTTP: asked wrongly, or without a right."""

Answer = TypeVar("Answer")


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn what a storage's driver raises into a `StorageError`, but for a missing file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        if not _is_from_storage(error):
            raise
        raise StorageError(what, reason_of(error), _is_transient(error)) from error


def with_retries(what: str, ask: Callable[[], Answer], attempts: int = ATTEMPTS) -> Answer:
    """The answer of `ask()`, asked again while the reason of its failure may pass.

    Args:
        what: the path or URL to show.
        ask: is called from its start again, so it must bear that.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: it fails for good, or for too long.
    """

    def note(state: tenacity.RetryCallState) -> None:
        assert state.outcome is not None
        reason = reason_of(state.outcome.exception())
        log.warning("%s: %s; trying again in %.1f s", what, reason, state.upcoming_sleep)

    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_transient),
        wait=tenacity.wait_random_exponential(max=LONGEST_PAUSE),
        stop=tenacity.stop_after_attempt(attempts),
        before_sleep=note,
        reraise=True,
    )
    with storage_errors(what):
        return again(ask)


def reason_of(error: BaseException | None) -> str:
    """The first line of an error that says something, with its kind and without credentials."""
    if isinstance(error, StorageError):
        return error.reason
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return scrub(f"{type(error).__name__}: {lines[0] if lines else 'no message'}")


def code_of(error: BaseException) -> str | None:
    """What a store called the failure, as in `PreconditionFailed`, or its HTTP status; None where
    it did not say. s3fs keeps the answer as the cause of its own errors."""
    response = getattr(error.__cause__, "response", None)
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code")
    else:
        code = getattr(error, "status", None)
    return None if code is None else str(code)


def _is_from_storage(error: BaseException) -> bool:
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or library in LIBRARIES


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, StorageError):
        return error.is_transient
    name = type(error).__name__
    is_final = isinstance(error, PERMANENT) or any(part in name for part in PERMANENT_NAMES)
    code = getattr(error, "errno", None)
    status = getattr(getattr(error, "response", None), "status_code", None)
    is_refused = code in PERMANENT_CODES or status in PERMANENT_STATUSES
    return _is_from_storage(error) and not is_final and not is_refused
