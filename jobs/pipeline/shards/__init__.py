"""What a shard holds, read and written."""
