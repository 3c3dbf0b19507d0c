"""A message to a webhook. Its URL is a secret, and stands in no message, log or file.

What goes wrong is said by its kind alone: HTTP libraries quote the URL in their errors.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import tenacity

from jobs.pipeline.command.settings import require_one_of, setting
from jobs.pipeline.errors import CallError
from jobs.pipeline.nights.history import Row
from jobs.pipeline.nights.telling import NotTold
from jobs.pipeline.nights.wording import changes, details, document, headline, unfinished_line
from jobs.pipeline.storage.redaction import scrub

log = logging.getLogger(__name__)

FORMS = ("auto", "slack", "json")
SLACK_HOST = "hooks.slack.com"
ATTEMPTS = 3
ATTEMPT_SECONDS = 10.0
"""Until an attempt is given up, however slowly an answer drips."""
LONGEST_PAUSE = 5.0
MAY_PASS = (408, 425, 429)
"""Refusals of HTTP that another attempt may get through, beside all of 500 and above."""
MOST_TEXT = 2_900
"""Characters; Slack takes 3,000 a block."""


@dataclass
class WebhookConfig:
    variable: str = setting(
        "MASC_WEBHOOK_URL", "the environment variable that holds its URL; unset: nobody is told"
    )
    form: str = setting("auto", f"one of {', '.join(FORMS)}; auto: by the URL's host")


def check_webhook(config: WebhookConfig) -> None:
    """What types alone cannot say of the settings.

    Raises:
        CallError: an unknown form, or a URL where the name of a variable should be.
    """
    require_one_of("webhook.form", config.form, FORMS)
    if not config.variable.isidentifier():
        # Not quoted: it may be the secret itself.
        raise CallError("webhook.variable: expected the name of an environment variable, no URL")


class Webhook:
    """Somebody who is told of every checkpoint that was judged, and of a night that could not be
    finished. A `telling.Recipient`."""

    name = "webhook"

    def __init__(self, config: WebhookConfig) -> None:
        self._config = config
        self._url = os.environ.get(config.variable, "").strip()

    @property
    def is_asked_for(self) -> bool:
        """Whether there is a URL."""
        return bool(self._url)

    def tell(self, row: Row, files: Mapping[str, bytes]) -> None:
        """Post what became of a checkpoint.

        Raises:
            NotTold: there was no answer, or a refusal.
        """
        self._post(slack(row) if self._is_slack else generic(row))

    def tell_unfinished(self, home: str, why: str) -> None:
        """Post, if anybody is to be told, that a night could not be finished. Where nobody is
        reached there is a warning: the next call that cannot be finished says it again."""
        if not self.is_asked_for:
            return
        line = unfinished_line(home, why)
        generic = {"text": scrub(line), "unfinished": scrub(why)}
        try:
            self._post({"text": _escape(line)[:MOST_TEXT]} if self._is_slack else generic)
        except NotTold as error:
            log.warning("nobody was told that the night was not finished: %s", error)

    @property
    def _is_slack(self) -> bool:
        form = self._config.form
        return form == "slack" or (form == "auto" and _host(self._url) == SLACK_HOST)

    def _post(self, body: Mapping[str, Any]) -> None:
        """A JSON object, tried again where that may help.

        Raises:
            NotTold: there was no answer, or a refusal.
        """
        content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        where = f"webhook (${self._config.variable})"
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(max=LONGEST_PAUSE),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        try:
            again(lambda: _post(self._url, content))
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Without its cause: a traceback would quote what this takes care not to.
            raise NotTold(f"{where}: {_kind(error)}") from None


def generic(row: Row) -> dict[str, Any]:
    """A JSON object: `text` for people, `night` for programs."""
    return {
        "text": scrub("\n".join([headline(row), *changes(row), *details(row)])),
        "night": document(row),
    }


def slack(row: Row) -> dict[str, Any]:
    """The object of Slack's incoming webhooks."""
    lines = [
        f"*{_escape(headline(row))}*",
        *(f"• {_escape(each)}" for each in (*changes(row), *details(row))),
    ]
    text = "\n".join([*lines, _escape(row["run"])])[:MOST_TEXT]
    block = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return {"text": _escape(headline(row)), "blocks": [block]}


def _escape(text: str) -> str:
    """As Slack asks, so that a name calls no channel and makes no link."""
    escaped = scrub(text)
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        escaped = escaped.replace(char, entity)
    return escaped


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the message elsewhere, as a GET without it."""

    def redirect_request(self, *args: Any) -> None:
        return None


def _post(url: str, body: bytes) -> None:
    """Post once, within `ATTEMPT_SECONDS` from end to end: a socket's own limit is a byte's."""
    failed: Sequence[BaseException] = []

    def post() -> None:
        try:
            _post_and_wait(url, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            failed.append(error)  # type: ignore[attr-defined]

    thread = Thread(target=post, name="webhook", daemon=True)
    thread.start()
    thread.join(ATTEMPT_SECONDS)
    if thread.is_alive():
        raise TimeoutError
    if failed:
        raise failed[0]


def _post_and_wait(url: str, body: bytes) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("not http")
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "masc-eval"}
    request = urllib.request.Request(url, body, headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect)
    opener.open(request, timeout=ATTEMPT_SECONDS).close()


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code in MAY_PASS
    return isinstance(error, OSError | http.client.HTTPException) and not isinstance(
        error, http.client.InvalidURL
    )


def _kind(error: BaseException) -> str:
    """What went wrong, without a word of the library's own."""
    if isinstance(error, HTTPError):
        return f"HTTP status {error.code}"
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, ValueError):
        return "holds no usable URL of http or https"
    if isinstance(error, TimeoutError):
        return f"no answer within {ATTEMPT_SECONDS:g} s"
    return type(error).__name__


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
