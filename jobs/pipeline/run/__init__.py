"""A run: its parts, their columns, its fingerprint, record and lease."""
