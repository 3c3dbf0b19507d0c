"""What is shown holds no credentials, and nothing that a terminal obeys."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.messages import (
    JsonFormatter,
    MessageFormatter,
    messages_about,
    printable,
)
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError


@given(st.text())
def test_what_is_printable_is_one_line_that_no_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


def format_record(message: str, *arguments: object, **more: object) -> str:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, message, arguments, None)
    record.__dict__.update(more)
    return MessageFormatter("%(levelname)s %(message)s").format(record)


def test_a_log_line_is_one_line_without_commands_or_credentials() -> None:
    line = format_record("%s: %s", "key\x1b[2J\r\n00:00:00 INFO forged", "s3://me:secret@bucket/a")
    assert line == "INFO key [2J  00:00:00 INFO forged: s3://bucket/a"
    assert format_record("[red]%s", "[/red]") == "INFO [red][/red]"


def test_a_traceback_keeps_its_lines_and_no_credentials() -> None:
    try:
        raise OSError("GET https://me:secret@host/a?sig=secret\x1b[2J")
    except OSError:
        shown = format_record("failed", exc_info=sys.exc_info())
    assert shown.startswith("INFO failed\nTraceback (most recent call last):\n")
    assert shown.endswith("OSError: GET https://host/a")
    assert "\x1b" not in shown


def test_as_json_a_message_is_a_document_of_what_is_known() -> None:
    def document(**more: object) -> dict[str, str]:
        record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "%s\n%s", ("a", "b"), None)
        record.__dict__.update(created=0.25, **more)
        line = JsonFormatter().format(record)
        assert "\n" not in line
        return json.loads(line)

    plain = {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "WARNING",
        "message": "a b",
        "run": None,
        "shard": None,
        "key": None,
    }
    assert document() == plain
    with messages_about("s3://bucket/run"):
        assert document(shard="a-1", key='"quoted"\x1b') == {
            **plain,
            "run": "s3://bucket/run",
            "shard": "a-1",
            "key": '"quoted"\x1b',
        }
    try:
        raise OSError("GET https://me:secret@host/a")
    except OSError:
        assert document(exc_info=sys.exc_info())["traceback"].endswith(
            "OSError: GET https://host/a"
        )
    assert document() == plain


def test_an_error_that_nobody_foresaw_is_shown_by_a_command_without_credentials() -> None:
    code = """
import sys
from dataclasses import dataclass
from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.settings import setting

@dataclass
class Nothing:
    a: int = setting(1, "a number")

def body(config, as_json):
    raise LookupError("https://me:secret@host/a.tar?sig=secret")

sys.exit(run_command("x", Nothing, body, []))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Traceback" in run.stderr
    assert "LookupError: https://host/a.tar" in run.stderr
    # The line of the source that the traceback shows is scrubbed as well.
    assert "secret" not in run.stderr


def test_a_wrong_call_is_answered_without_credentials_or_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @dataclass
    class Nothing:
        a: int = setting(1, "a number")

    def body(config: Nothing, as_json: bool) -> int:
        raise CallError("no such file:\x1b[2J\n[red]s3://id:secret@bucket/a?sig=secret :smile:")

    assert run_command("x", Nothing, body, []) == 1
    shown = "jobs.x: no such file: [2J [red]s3://bucket/a :smile:\n"
    assert capsys.readouterr().err == shown
