"""A home of nights: which checkpoints are complete, what became of each, and who is told."""
