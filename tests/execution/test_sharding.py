"""Several trials, and cohorts, on several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.execution import sharding


@pytest.mark.parametrize(
    ("devices", "trials", "used"), [(1, 6, 1), (2, 6, 2), (4, 6, 3), (4, 5, 1), (8, 4, 4)]
)
def test_as_many_devices_as_share_the_trials_evenly(devices, trials, used):
    assert sharding.devices_for_trials(devices, trials) == used


@pytest.mark.parametrize("trials", [1, 2, 3])
@pytest.mark.parametrize("devices", [1, 2])
def test_trials_on_devices_are_trials_one_by_one(devices, trials):
    def function(x, y):
        doubled = jax.lax.cond(x.sum() > 3, lambda: 2 * x, lambda: x)
        return {"sum": doubled + y, "largest": jnp.max(doubled)}

    x = np.arange(2 * trials, dtype=np.float32).reshape(trials, 2)
    y = np.ones(trials, np.float32)[:, None].repeat(2, axis=1)
    found = jax.jit(lambda *stacked: sharding.over_trials(function, devices, *stacked))(x, y)
    for trial in range(trials):
        expected = function(x[trial], y[trial])
        np.testing.assert_array_equal(found["sum"][trial], expected["sum"])
        np.testing.assert_array_equal(found["largest"][trial], expected["largest"])


@pytest.mark.parametrize(
    ("devices", "trials", "places", "copies"), [(1, 1, 1, True), (2, 1, 2, True), (2, 2, 2, False)]
)
def test_states_are_where_programs_leave_them(devices, trials, places, copies):
    placed = sharding.put({"x": np.ones((trials, 3))}, devices, trials)["x"]
    assert len(placed.sharding.device_set) == places
    assert placed.sharding.is_fully_replicated == copies
