"""What a worker does with a shard to give its samples masks."""
