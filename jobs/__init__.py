"""The commands: one file a command, run as `python -m jobs.NAME` or `masc-eval NAME`."""
