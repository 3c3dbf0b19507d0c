"""Two models held against each other: pairs, verdict, what else changed, and how it is shown."""
