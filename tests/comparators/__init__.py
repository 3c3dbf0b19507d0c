"""Comparators for tests, each as anybody would add one: a file, and a name in the table."""

TOYS = {
    "counted": "tests.comparators.counted:Counted",
    "mean_colour": "tests.comparators.mean_colour:MeanColour",
    "tones": "tests.comparators.tones:Tones",
}
"""Names, and where each is, as `masc_core.comparators.COMPARATORS` has them."""
