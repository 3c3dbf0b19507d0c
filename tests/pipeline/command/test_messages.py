"""What is shown holds no credentials, and nothing that a terminal obeys."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.messages import MessageFormatter, printable
from jobs.pipeline.command.settings import setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.storage.redaction import scrub


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "GET https://me:secret@host:8080/a/b.tar?X-Amz-Signature=secret#secret: 403",
            "GET https://host:8080/a/b.tar: 403",
        ),
        ("URL('s3://id:secret@bucket/a.tar')", "URL('s3://bucket/a.tar')"),
        ("[https://a/b?s=secret, https://c/d#secret]", "[https://a/b, https://c/d]"),
        ("https://a/b,https://me:secret@c/d", "https://a/b,https://c/d"),
        ("Max retries exceeded with url: /a/b?sig=secret (Caused", None),
        ("ftp://me:se/cr?et#@host/x", "ftp://host/x"),
        ("https://token@host/x", "https://host/x"),
        ("use a path or one of file://, s3://, gs://", None),
        ("memory://a@b.tar is not /data/c?.tar", "memory://b.tar is not /data/c?.tar"),
        ("http://[::1]:9000/b@2x.png", "http://[::1]:9000/b@2x.png"),
        ("no URL: what=that? a@b #1", "no URL: what=that? a@b #1"),
    ],
)
def test_a_text_is_shown_without_what_opens_doors(text: str, shown: str | None) -> None:
    if shown is None:
        shown = text.replace("?sig=secret", "")
    assert scrub(text) == shown


SECRET = st.text(st.characters(exclude_categories=("Z", "C")), max_size=8).map("s3cr3t{}".format)
WORDS = st.lists(st.sampled_from(["cannot", "(open", "'", "at:", "://", "?", "@", "a=b,", "\n"]))


@given(
    before=WORDS,
    after=WORDS,
    quote=st.sampled_from(["", "'", '"', "<", "("]),
    scheme=st.sampled_from(["https", "s3", "abfs", "git+ssh"]),
    user=st.one_of(st.none(), SECRET.map(lambda secret: secret.replace("/", "").replace("#", ""))),
    password=st.one_of(st.none(), SECRET),
    query=st.one_of(st.none(), SECRET),
    fragment=st.one_of(st.none(), SECRET),
)
def test_no_secret_of_a_url_is_left_wherever_it_stands(
    before: list[str],
    after: list[str],
    quote: str,
    scheme: str,
    user: str | None,
    password: str | None,
    query: str | None,
    fragment: str | None,
) -> None:
    login = "" if user is None else user.replace("?", "")
    login += "" if password is None else f":{password}"
    url = f"{scheme}://{login}{'@' if login else ''}host.example/shards/a-000.tar"
    url += "" if query is None else f"?sig={query}"
    url += "" if fragment is None else f"#{fragment}"
    text = " ".join([*before, f"{quote}{url}{quote}", *after])
    shown = scrub(text)
    assert "s3cr3t" not in shown
    assert "host.example/shards/a-000.tar" in shown or "@" in f"{query}{fragment}"
    assert scrub(shown) == shown


@given(st.text())
def test_a_text_without_a_url_or_a_query_stays(text: str) -> None:
    if "://" not in text and "?" not in text:
        assert scrub(text) == text


def test_a_long_word_is_scrubbed_in_no_time() -> None:
    for piece in ("a", "/", "://", "?", "(", "@", "a:b@", "https://a:b@c/"):
        scrub(piece * (100_000 // len(piece)))


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
