"""Who runs where: every client once, at a bucket that holds it, with the work shared evenly."""

import dataclasses

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.execution import layout as layouts
from hasa_jax.execution.layout import Bucket, make_layout, place
from hasa_jax.execution.mesh import MeshShape
from hasa_jax.models.cnn import CNN
from hasa_jax.supernet import costs
from hasa_jax.supernet.linen import supernet_of
from tests.support import small

PREFIX = hj.extraction.prefix()


def layout_of(model, sizes_in_run, **changes):
    """Makes a layout of 10 clients, sliced, one by one on one device, unless changed."""
    options = {
        "mode": "sliced",
        "num_clients": 10,
        "most_examples": 200,
        "batch_size": 10,
        "lanes": 1,
        "mesh": MeshShape(),
        "bucket_share": 0.01,
    }
    options |= changes
    return make_layout(model, PREFIX, sizes_in_run=np.asarray(sizes_in_run), **options)


def hetero_cohorts(model, count, **changes):
    """Places cohorts of 10 out of 100 clients whose sizes and examples are all over the place."""
    generator = np.random.default_rng(0)
    finest = max(model.groups.values())
    sizes = generator.integers(finest // 5, finest, size=100)
    examples = generator.integers(5, 200, size=100)
    layout = layout_of(model, sizes, most_examples=examples.max(), **changes)
    for _ in range(count):
        clients = np.sort(generator.choice(100, 10, replace=False))
        weights = examples[clients]
        cohort = place(layout, clients, sizes[clients], weights, examples)
        yield clients, sizes[clients], examples[clients], cohort


def turns_of(cohort):
    """Yields the device, the bucket and the clients of every turn that is taken."""
    for device, count in enumerate(cohort.turns):
        for turn in range(count):
            lanes = cohort.slots.client[device, turn]
            bucket = cohort.layout.buckets[cohort.bucket[device, turn]]
            yield device, bucket, [int(client) for client in lanes if client >= 0]


def test_drawn_cohorts_of_any_size_execute_little_more_than_their_own():
    stages = {f"stage{number}": 32 * 2**number for number in range(1, 5)}
    model = supernet_of(CNN(10, **stages), np.zeros((1, 32, 32, 3), np.float32))
    table = costs.cost_table(model, PREFIX, "macs")
    own = executed = 0.0
    for clients, sizes, examples, cohort in hetero_cohorts(model, 20, mesh=MeshShape(clients=2)):
        batches = dict(zip(clients, -(-examples // 10), strict=True))
        own += sum(table[size] * batches[c] for c, size in zip(clients, sizes, strict=True))
        for _, bucket, (client,) in turns_of(cohort):
            executed += table[max(dict(bucket.shape.kept).values())] * batches[client]
    assert executed / own <= 1.15
    assert len(cohort.layout.buckets) <= 16


def test_cohorts_have_one_layout_and_every_client_once():
    seen = list(hetero_cohorts(small.supernet("mlp"), 30, lanes=3, mesh=MeshShape(clients=2)))
    structures = {jax.tree.structure(cohort) for *_, cohort in seen}
    shapes = {tuple(x.shape for x in jax.tree.leaves(cohort)) for *_, cohort in seen}
    assert len(structures) == len(shapes) == 1
    for clients, sizes, _, cohort in seen:
        assert small.members(cohort) == clients.tolist()
        own = dict(zip(clients.tolist(), sizes.tolist(), strict=True))
        for device, turns in enumerate(cohort.turns):
            assert (cohort.slots.client[device, turns:] == -1).all()
        for _, bucket, members in turns_of(cohort):
            assert members
            assert all(own[client] <= max(dict(bucket.shape.kept).values()) for client in members)


def test_slots_hold_the_clients_own_shapes_and_weights():
    clients, sizes, examples, cohort = next(hetero_cohorts(small.supernet("mlp"), 1, lanes=3))
    slots = small.by_client(cohort, cohort.slots)
    np.testing.assert_array_equal(slots.client, clients)
    np.testing.assert_array_equal(slots.weight, examples)
    np.testing.assert_array_equal(slots.kept["first"], sizes)
    np.testing.assert_array_equal(slots.kept["second"], -(-8 * sizes // 12))
    np.testing.assert_allclose(slots.width, sizes / 12, rtol=1e-6)
    np.testing.assert_array_equal(slots.exits, 1)
    empty = cohort.slots.client < 0
    assert empty.any()
    assert not cohort.slots.weight[empty].any()


def test_few_sizes_have_exact_buckets_and_many_share():
    model = small.supernet("mlp")
    few = layout_of(model, [3, 3, 12, 5])
    assert [max(dict(bucket.shape.kept).values()) for bucket in few.buckets] == [12, 5, 3]
    assert all(bucket.exact for bucket in few.buckets)
    assert (few.sizes, few.bucket_of) == ((3, 5, 12), (2, 1, 0))
    many = layout_of(model, np.arange(1, 13))
    assert len(many.buckets) < 12
    for number, bucket in enumerate(many.buckets):
        own = [s for s, b in zip(many.sizes, many.bucket_of, strict=True) if b == number]
        assert bucket.exact == (len(own) == 1)
        assert max(own) == max(dict(bucket.shape.kept).values())


def test_masked_cohorts_have_one_bucket_of_the_supernet():
    layout = layout_of(small.supernet("mlp"), [3, 12], mode="masked")
    supernet = PREFIX.shape(layout.model, 12)
    assert (layout.sizes, layout.buckets) == ((), (Bucket(supernet, exact=False),))


def test_lanes_do_not_grow_with_the_entries_of_a_client():
    model, sizes = small.supernet("mlp"), [12, 5]
    single = layout_of(model, sizes, lanes=None)
    assert layout_of(model, sizes, num_clients=30, lanes=None, kinds=3).lanes == single.lanes
    assert layout_of(model, sizes, num_clients=30, lanes=None).lanes == 3 * single.lanes


@pytest.mark.parametrize(
    ("buckets", "devices", "lanes", "expected"),
    [(1, 1, None, (10, 1)), (1, 2, None, (5, 2)), (2, 2, None, (3, 4)), (2, 1, 3, (3, 4))],
)
def test_cohorts_are_shared_out_evenly_over_buckets_and_devices(buckets, devices, lanes, expected):
    """Enough turns for any cohort: of 10 clients, 9 may have one size, and one the other."""
    sizes = [12, 5][:buckets]
    layout = layout_of(small.supernet("mlp"), sizes, lanes=lanes, mesh=MeshShape(clients=devices))
    assert (layout.lanes, layout.turns) == expected


def test_devices_take_about_as_many_turns():
    for *_, cohort in hetero_cohorts(small.supernet("mlp"), 20, mesh=MeshShape(clients=2)):
        assert abs(int(cohort.turns[0]) - int(cohort.turns[1])) <= 4


def loads(cohort, examples):
    """Returns the work of every device, and the largest turn: parameters times batches."""
    layout = cohort.layout
    work, largest = np.zeros(layout.devices), 0.0
    for device, bucket, members in turns_of(cohort):
        parameters = costs.parameter_count(layout.model, dict(bucket.shape.kept))
        turn = parameters * max(-(-examples[client] // layout.batch_size) for client in members)
        work[device] += turn
        largest = max(largest, turn)
    return work, largest


def assert_even(cohort, examples):
    """Fails if the work of two devices differs by more than the largest turn."""
    work, largest = loads(cohort, examples)
    assert work.max() - work.min() <= largest


def in_turn(work, devices):
    """Gives turns to the devices in turn, whatever their work."""
    return [list(range(device, len(work), devices)) for device in range(devices)]


@pytest.mark.parametrize("devices", [2, 3])
def test_the_work_of_devices_differs_by_the_largest_turn_at_most(devices):
    for clients, _, examples, cohort in hetero_cohorts(
        small.supernet("mlp"), 20, mesh=MeshShape(clients=devices)
    ):
        assert_even(cohort, dict(zip(clients.tolist(), examples.tolist(), strict=True)))


def test_a_placement_that_ignores_work_is_uneven(monkeypatch):
    """Two clients have much work; they would be first and third, and so on one device."""
    sizes, examples = np.array([12, 12, 11, 11]), np.array([100, 10, 100, 10])
    layout = layout_of(small.supernet("mlp"), sizes, num_clients=4, mesh=MeshShape(clients=2))

    def placed():
        return place(layout, np.arange(4), sizes, examples, examples)

    assert_even(placed(), examples)
    monkeypatch.setattr(layouts, "_balance", in_turn)
    uneven = placed()
    assert small.members(uneven) == [0, 1, 2, 3]
    with pytest.raises(AssertionError):
        assert_even(uneven, examples)


def test_sizes_that_a_layout_does_not_know_are_refused():
    layout = layout_of(small.supernet("mlp"), [12, 5], num_clients=3)
    with pytest.raises(hj.UserError, match=r"sizes \[7\], which `sizes_in_run` does not hold"):
        place(layout, np.arange(3), np.array([12, 7, 5]), np.ones(3), np.full(3, 9))


def test_layouts_of_equal_runs_are_equal():
    one, other = (layout_of(small.supernet("mlp"), sizes) for sizes in ([12, 5], [5, 12]))
    assert one == other
    assert hash(one) == hash(other)
    assert dataclasses.replace(one, mesh=MeshShape(clients=2)) != one


def test_clients_run_on_the_devices_of_their_home():
    model = small.supernet("mlp")
    generator = np.random.default_rng(1)
    sizes = generator.integers(4, 12, size=40)
    examples = generator.integers(5, 200, size=40)
    homes = layouts.Homes(np.arange(40) // 20, 2)
    layout = layout_of(
        model, sizes, most_examples=200, mesh=MeshShape(clients=4), num_clients=12, lanes=2
    )
    for clients in (np.arange(14, 26), np.arange(12), np.arange(0, 36, 3)):
        cohort = place(layout, clients, sizes[clients], examples[clients], examples, homes)
        assert small.members(cohort) == clients.tolist()
        for device, _, own in turns_of(cohort):
            assert {homes.of[client] for client in own} == {device // 2}
        assert all(turn for _, _, turn in turns_of(cohort))


def test_one_home_is_no_home():
    sizes, examples = np.full(10, 6), np.arange(10, 20)
    layout = layout_of(small.supernet("mlp"), sizes, mesh=MeshShape(clients=2))
    arguments = (layout, np.arange(10), sizes, examples, examples)
    free, at_home = place(*arguments), place(*arguments, layouts.Homes(np.zeros(10, int), 1))
    small.assert_trees_equal(free, at_home)
