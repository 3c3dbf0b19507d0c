"""Runs of the main job that are disturbed at random, and must come out as if they were not."""

import os
import secrets

# As in the tests; Ray reads it when it is imported, which this package's modules do.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
