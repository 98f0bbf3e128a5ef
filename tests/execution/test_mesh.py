"""Meshes: how they are written, and what fits devices and trials."""

import pytest

import hasa_jax as hj
from hasa_jax.execution.mesh import MeshShape, holders, mesh_of, mesh_shape, parse_mesh


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("clients:8", (1, 8, 1)),
        ("seeds:2,clients:4", (2, 4, 1)),
        ("clients:4, seeds:2", (2, 4, 1)),
        ("model:2", (1, 1, 2)),
        ("seeds:1,clients:2,model:3", (1, 2, 3)),
    ],
)
def test_meshes_are_read(text, shape):
    found = parse_mesh(text)
    assert found == shape
    assert parse_mesh(str(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is no axis of `mesh` ''"),
        ("hosts:2", "'hosts' is no axis of `mesh` 'hosts:2'"),
        ("clients:2,clients:2", "'clients' is twice in `mesh`"),
        ("clients", "has '' devices along clients"),
        ("clients:0", "has '0' devices along clients"),
        ("clients:-1", "has '-1' devices along clients"),
        ("clients:²", "devices along clients"),
        ("clients:2.5", "has '2.5' devices along clients"),
    ],
)
def test_what_is_no_mesh_is_refused(text, said):
    with pytest.raises(hj.UserError, match=said):
        hj.Execution(mesh=text)


@pytest.mark.parametrize(
    ("devices", "trials", "shape"),
    [
        (1, 6, (1, 1, 1)),
        (2, 6, (2, 1, 1)),
        (2, 3, (1, 2, 1)),
        (4, 6, (2, 2, 1)),
        (4, 1, (1, 4, 1)),
        (8, 4, (4, 2, 1)),
    ],
)
def test_auto_runs_seeds_at_once_where_they_divide(monkeypatch, devices, trials, shape):
    monkeypatch.setattr("hasa_jax.execution.mesh.jax.devices", lambda: [None] * devices)
    assert mesh_shape("auto", trials) == shape


def test_what_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr("hasa_jax.execution.mesh.jax.devices", lambda: [None] * 4)
    assert mesh_shape("clients:2", 1) == (1, 2, 1)
    with pytest.raises(hj.UserError, match="`mesh` clients:8 needs 8 devices, but JAX has 4"):
        mesh_shape("clients:8", 1)
    with pytest.raises(hj.UserError, match="shares 3 trials among 2 devices"):
        mesh_shape("seeds:2", 3)
    monkeypatch.setattr("hasa_jax.execution.mesh.jax.process_count", lambda: 2)
    with pytest.raises(hj.UserError, match="every process must take part"):
        mesh_shape("clients:2", 1)


def test_one_process_holds_all_clients():
    shape = MeshShape(clients=2)
    assert mesh_of(shape).shape == {"seeds": 1, "clients": 2, "model": 1}
    assert holders(shape) == 1
