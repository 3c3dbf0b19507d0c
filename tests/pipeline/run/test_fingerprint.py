"""Which keys of two fingerprints differ."""

from __future__ import annotations

from jobs.pipeline.run.fingerprint import differing


def test_what_is_not_known_yet_is_not_compared_and_what_is_missing_is() -> None:
    assert differing({"a": 1, "references": None}, {"a": 1, "references": "x"}) == []
    assert differing({"a": 1, "references": "x"}, {"a": 1, "references": None}) == []
    assert differing({"a": 1}, {"a": 1, "b": 2}) == ["b is None, there 2"]
    assert differing({"a": 1, "b": None}, {"a": 2}) == ["a is 1, there 2"]
