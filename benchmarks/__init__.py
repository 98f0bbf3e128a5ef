"""What rounds cost: seconds, memory, compilation, and how far from what the machine could do."""
