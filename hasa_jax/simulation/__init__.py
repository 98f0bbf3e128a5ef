"""The run: cohorts, data feed, evaluation, records, health, checkpoints, memory, writers."""
