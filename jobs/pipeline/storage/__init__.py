"""Storage through fsspec: open, ask again, redact, write in one step."""
