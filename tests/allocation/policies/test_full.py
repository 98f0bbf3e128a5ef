"""Full allocation by hand."""

from hasa_jax.allocation.policies import full
from tests.allocation.clients import KEY, budget_of, stats_of


def test_every_client_gets_width_1_whatever_its_device_holds():
    stats = stats_of([8, 30, 12], caps=[1.0, 0.5, 0.2])
    assert full().widths(stats, budget_of(0.3), KEY).tolist() == [1, 1, 1]
