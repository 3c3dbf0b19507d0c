"""What a storage refuses is asked for again where that may help."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable

import pytest
import tenacity

from jobs.pipeline.errors import StorageError
from jobs.pipeline.storage.retry import ATTEMPTS, storage_errors, with_retries


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(tenacity.nap.time, "sleep", made.append)
    return made


def library_error(module: str, name: str) -> Exception:
    """An error of a storage's library, which is no OSError."""
    return type(name, (Exception,), {"__module__": module})("said so\nat length")


def failing(times: int, error: Exception) -> Callable[[], str]:
    """Fails so often, then answers."""
    asked = iter(range(times))

    def ask() -> str:
        if next(asked, None) is not None:
            raise error
        return "answer"

    return ask


@pytest.mark.parametrize(
    "error",
    [
        OSError("Internal Server Error"),
        TimeoutError(),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        OSError(errno.ESTALE, "Stale file handle"),
        library_error("botocore.exceptions", "EndpointConnectionError"),
        library_error("aiohttp.client_exceptions", "ClientPayloadError"),
        library_error("httpx.errors", "ConnectError"),
    ],
)
def test_what_may_pass_is_asked_for_again_after_growing_pauses(
    error: Exception, pauses: list[float]
) -> None:
    assert with_retries("s3://b/k", failing(ATTEMPTS - 1, error)) == "answer"
    assert len(pauses) == ATTEMPTS - 1
    assert all(pause <= 2**i for i, pause in enumerate(pauses))
    with pytest.raises(StorageError, match=rf"^s3://b/k: {type(error).__name__}: "):
        with_retries("s3://b/k", failing(ATTEMPTS, error))


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("Access Denied"),
        OSError(errno.ENOSPC, "No space left on device"),
        library_error("botocore.exceptions", "NoCredentialsError"),
        library_error("botocore.exceptions", "ParamValidationError"),
        library_error("huggingface_hub.errors", "OfflineModeIsEnabled"),
    ],
)
def test_what_will_not_pass_is_an_error_at_once(error: Exception, pauses: list[float]) -> None:
    with pytest.raises(StorageError):
        with_retries("s3://b/k", failing(1, error))
    assert not pauses


def test_a_missing_file_and_an_error_of_ours_stay_what_they_are(pauses: list[float]) -> None:
    for error in (FileNotFoundError("k"), KeyError("k")):
        with pytest.raises(type(error)):
            with_retries("s3://b/k", failing(1, error))
    assert not pauses


def test_an_error_is_one_line_and_survives_the_way_between_processes() -> None:
    with pytest.raises(StorageError) as caught, storage_errors("s3://b/k"):
        raise library_error("botocore.exceptions", "ClientError")
    assert str(caught.value) == "s3://b/k: ClientError: said so"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.is_transient) == (str(caught.value), True)
