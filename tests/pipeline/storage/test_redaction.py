"""No credentials of a URL are left, alone or within a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.storage.redaction import redact, scrub


def test_credentials_never_reach_what_is_shown() -> None:
    url = "https://user:secret@host:8080/a/b.tar?X-Amz-Signature=secret#secret"
    assert redact(url) == "https://host:8080/a/b.tar"
    assert redact("/plain/path#1.tar") == "/plain/path#1.tar"


def test_an_azure_container_is_no_credential() -> None:
    """Or two containers' shards would be committed as one."""
    url = "abfs://container@account.dfs.core.windows.net/a.tar"
    assert redact(url) == url
    assert redact(url.replace("container", "user:secret")) == url.replace("container@", "")


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


def test_a_revision_on_the_hub_is_no_credential() -> None:
    for url in ("hf://datasets/owner/name@v1/a.tar", "hf://owner@v1/a.tar"):
        assert redact(url) == url
    assert redact("hf://user:secret@datasets/a.tar") == "hf://datasets/a.tar"
