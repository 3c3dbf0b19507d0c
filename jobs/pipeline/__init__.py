"""What the commands share: configuration, storage, the way of a shard, the run directory."""
