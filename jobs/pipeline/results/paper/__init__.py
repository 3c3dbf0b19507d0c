"""Tables of ours beside published ones, and how much of a score a mask decides."""
