"""Data sets as they lie on disk, small and made for tests."""
