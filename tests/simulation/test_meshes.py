"""Devices and processes change the speed of a run, and never its results."""

import numpy as np
import pytest

from tests.support import processes

KINDS = ("lstm", "transformer", "resnet18")


def trained(tmp_path, kind, mode, devices, meshes, count=1):
    """Trains on meshes, in one process of some devices or in several; returns the vectors."""
    out = tmp_path / f"{count}.npz"
    module = "tests.support.mesh_runs"
    with processes.Together(module, count, kind, mode, devices, out, *meshes) as together:
        for done in together.wait(within=600):
            assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as found:
        return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["masked", "sliced"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_devices_and_processes_is_one_device(tmp_path, kind, mode):
    meshes = [f"clients:{devices}" for devices in (1, 2, 4, 8)]
    found = trained(tmp_path, kind, mode, 8, meshes)
    reference = found["clients:1"][2:]
    assert found["clients:1"][1] > 5e-4
    for count in (2, 4):
        mesh = f"clients:{count}"
        found[f"{count} processes"] = trained(tmp_path, kind, mode, 1, [mesh], count)[mesh]
    for name, vector in found.items():
        np.testing.assert_allclose(vector[2:], reference, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_devices_along_the_model_hold_a_part_of_it(tmp_path, kind):
    meshes = ["clients:1", "model:2", "clients:2,model:2"]
    found = trained(tmp_path, kind, "masked", 4, meshes)
    full = found["clients:1"]
    for mesh in meshes[1:]:
        np.testing.assert_allclose(found[mesh][2:], full[2:], atol=1e-5, err_msg=mesh)
        assert found[mesh][0] < 0.53 * full[0]
