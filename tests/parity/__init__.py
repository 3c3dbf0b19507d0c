"""Comparators held against their authors' packages, each in an environment of its own.

`make comparators` runs all of it. A system is three files here, by its name in `COMPARATORS`:

1. NAME.txt: the requirements of its environment; what is to be installed without the packages that
   it asks for itself, because its pins are too old for this Python, is in NAME-no-deps.txt.
2. NAME_reference.py: a script that runs there. It makes small or full checkpoints by the authors'
   own classes, scores the cases by their own code, and writes both (`reference.py`).
3. Nothing on our side: `comparing.py` calls `load_comparator` on what the script wrote.
"""
