"""Comparators for tests, each as anybody would add one: a file, and a name in the table."""
