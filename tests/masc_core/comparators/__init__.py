"""Comparators on small checkpoints of the real architectures, against plain uses of the library."""
