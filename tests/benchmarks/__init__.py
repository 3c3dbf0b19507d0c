"""How fast, how large, how even: `make bench`. Ratios of alternating rounds of one run."""
