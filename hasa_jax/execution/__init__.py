"""How a cohort runs: its layout, its subnets, the loop of turns, sharding over devices."""

MODES = ("masked", "sliced")
"""Ways to compute subnets; their results are equal within float tolerance."""
