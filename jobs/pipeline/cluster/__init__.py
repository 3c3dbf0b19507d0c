"""Shard jobs on Ray: driver, workers, queue, stopping, progress. Knows no metric."""
