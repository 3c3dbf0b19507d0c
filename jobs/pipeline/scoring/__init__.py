"""What a worker does with a shard to score it."""
