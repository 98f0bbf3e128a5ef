"""The work of the server: the two sums, robust means, faults, the update."""
