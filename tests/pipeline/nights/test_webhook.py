"""Somebody is told by HTTP, against a real server on the loopback interface; and when it is bad."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jobs.pipeline.errors import StorageError
from jobs.pipeline.nights import webhook as sending
from jobs.pipeline.nights.inbox import Inbox
from jobs.pipeline.nights.telling import NotTold
from jobs.pipeline.nights.webhook import Webhook, WebhookConfig, generic, slack
from tests.faults.serving import QuietHandler, served
from tests.nights import Nights, nights_at

pytestmark = pytest.mark.services

SECRET = "T000/B000/XXXXthesecret"
VARIABLE = "MASC_WEBHOOK_URL"


@dataclass
class Heard:
    """What a server was told, and what it answers."""

    statuses: list[int] = field(default_factory=list)
    """Of the next answers; 200 after that. 0 is none for `seconds`, -1 a byte now and then."""
    bodies: list[dict] = field(default_factory=list)
    seconds: float = 1.0


@contextmanager
def listening(heard: Heard) -> Iterator[str]:
    """The URL of a server that notes what it is told."""

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            heard.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = heard.statuses.pop(0) if heard.statuses else 200
            if status <= 0:
                until = time.monotonic() + heard.seconds
                while time.monotonic() < until:
                    if status < 0:
                        self.wfile.write(b"H")
                    time.sleep(0.05)
                return
            self.send_response(status)
            if status in (302, 307):
                self.send_header("Location", "/elsewhere")
            self.end_headers()

    with served(Handler) as port:
        yield f"http://127.0.0.1:{port}/services/{SECRET}"


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "ATTEMPT_SECONDS", 0.2)
    monkeypatch.setattr(sending, "LONGEST_PAUSE", 0.05)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with nights_at(str(tmp_path)) as found:
        found.complete("step-1")
        found.complete("step-2", drop=0.02)
        yield found


def test_each_checkpoint_is_told_of_once_with_its_verdict_and_figures(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    with listening(heard) as url:
        monkeypatch.setenv(VARIABLE, url)
        assert nights.call().returncode == 4
        assert nights.call().returncode == 0
    assert [each["night"]["verdict"] for each in heard.bodies] == [None, "regressed"]
    [_, row] = nights.history()
    said = heard.bodies[1]["text"].splitlines()
    assert said[0] == "step-2: regressed against step-1"
    interval = f"[{row['cp_delta_low']:+.4f}, {row['cp_delta_high']:+.4f}]"
    assert said[1] == f"CP {row['cp_delta']:+.4f} {interval} against step-1"
    assert heard.bodies[1]["night"]["cp_delta"] == row["cp_delta"]
    assert "untold" not in heard.bodies[1]["night"]
    assert row["untold"] == []


@pytest.mark.parametrize("statuses", [[500, 503], [0], [-1], [429]])
def test_what_may_pass_is_tried_again(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, statuses: list[int]
) -> None:
    heard = Heard(list(statuses))
    with listening(heard) as url:
        monkeypatch.setenv(VARIABLE, url)
        Webhook(WebhookConfig()).tell(row_of(), {})
    assert len(heard.bodies) == len(statuses) + 1


@pytest.mark.parametrize(
    ("statuses", "said", "n_asked"),
    [
        ([500] * 9, "HTTP status 500", 3),
        ([0] * 9, "no answer within 0.2 s", 3),
        ([-1] * 9, "no answer within 0.2 s", 3),
        ([403], "HTTP status 403", 1),
        ([302], "HTTP status 302", 1),
        ([307], "HTTP status 307", 1),
    ],
)
def test_a_webhook_that_fails_is_one_line_without_its_url(
    monkeypatch: pytest.MonkeyPatch, statuses: list[int], said: str, n_asked: int
) -> None:
    heard = Heard(list(statuses))
    with listening(heard) as url:
        monkeypatch.setenv(VARIABLE, url)
        with pytest.raises(NotTold) as error:
            Webhook(WebhookConfig()).tell(row_of(), {})
    assert str(error.value) == f"webhook (${VARIABLE}): {said}"
    assert error.value.__suppress_context__
    assert len(heard.bodies) == n_asked


@pytest.mark.parametrize("kind", ["500", "hangs", "absent", "no URL", "file"])
def test_no_night_is_lost_for_a_webhook_and_no_secret_is_said(
    nights: Nights,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    heard = Heard([500] * 99 if kind == "500" else [0] * 99, seconds=0.5)
    with listening(heard) as url:
        urls = {"absent": f"http://127.0.0.1:{unused_port()}/{SECRET}", "no URL": SECRET}
        urls["file"] = f"file:///{SECRET}"
        monkeypatch.setenv(VARIABLE, urls.get(kind, url))
        done = nights.call(f"out={tmp_path}/out")
        assert done.returncode == 4
        assert done.stderr.count("was not told") == 1, "one checkpoint's attempts are enough"
    assert [row["untold"] for row in nights.history()] == [["webhook"], ["webhook"]]
    texts = [done.stdout, done.stderr, caplog.text]
    texts += [path.read_bytes().decode("latin1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in texts if "thesecret" in text]
    heard = Heard()
    with listening(heard) as url:
        monkeypatch.setenv(VARIABLE, url)
        assert nights.call().returncode == 0
    assert [each["night"]["checkpoint"] for each in heard.bodies] == ["step-1", "step-2"]


@pytest.mark.parametrize("form", ["json", "slack"])
def test_a_night_that_could_not_be_finished_is_told_as_well(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    nights.complete("step-3", is_broken=True)
    heard, why = Heard(), "step-3: workers do not start"
    with listening(heard) as url:
        monkeypatch.setenv(VARIABLE, url)
        assert nights.call(f"webhook.form={form}").returncode == 3
        # A night whose inbox cannot be read has judged nothing, and is told of all the same.
        monkeypatch.setattr(Inbox, "complete", unanswered)
        assert nights.call(f"webhook.form={form}").returncode == 3
    text = f"{nights.home}: the night could not be finished, and the next call goes on: "
    assert [each["text"] for each in heard.bodies[2:]] == [
        f"{text}{why}",
        f"{text}s3://inbox: no answer",
    ]
    assert [each.get("unfinished") for each in heard.bodies[2:]] == (
        [why, "s3://inbox: no answer"] if form == "json" else [None, None]
    )


def unanswered(*_: object) -> None:
    raise StorageError("s3://key:thesecret@inbox", "no answer", is_transient=True)


def test_where_nobody_hears_of_it_an_unfinished_night_ends_as_it_would(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.complete("step-3", is_broken=True)
    with listening(Heard([500] * 99)) as url:
        monkeypatch.setenv(VARIABLE, url)
        done = nights.call()
    assert done.returncode == 3
    assert f"nobody was told that the night was not finished: webhook (${VARIABLE})" in done.stderr
    assert "thesecret" not in done.stderr + done.stdout


def test_without_a_url_nobody_is_told_and_nothing_is_owed(nights: Nights) -> None:
    nights.call()
    assert [row["untold"] for row in nights.history()] == [[], []]


def test_a_name_calls_no_channel_and_a_url_keeps_no_secret() -> None:
    row = row_of(checkpoint="<!channel>&x", run="s3://id:thesecret@bucket/runs/x")
    said = json.dumps(slack(row))
    assert "&lt;!channel&gt;&amp;x" in said and "<!channel>" not in said
    assert "thesecret" not in said + json.dumps(generic(row))
    assert slack(row)["blocks"][0]["text"]["type"] == "mrkdwn"


def test_slack_is_known_by_its_host_and_the_form_may_be_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    posted: list[dict] = []
    monkeypatch.setattr(sending, "_post", lambda url, body: posted.append(json.loads(body)))
    for url, form in (
        ("https://hooks.slack.com/services/x", "auto"),
        ("https://there/x", "auto"),
        ("https://there/x", "slack"),
        ("https://hooks.slack.com/services/x", "json"),
    ):
        monkeypatch.setenv(VARIABLE, url)
        Webhook(WebhookConfig(form=form)).tell(row_of(), {})
    assert ["blocks" in each for each in posted] == [True, False, True, False]


def row_of(**values: object) -> dict:
    row: dict = {"checkpoint": "step-1", "verdict": None, "against": None, "verdict_pin": None}
    row |= {"has_too_many_errors": False, "floor_note": None, "run": "/runs/step-1"}
    return row | {"suspicions": [], "untold": [], "cp_mean": float("nan")} | values


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
