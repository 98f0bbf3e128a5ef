"""Training and evaluation on the clients at hand, against all data on the device."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution.mesh import MeshShape, mesh_of
from hasa_jax.simulation import cohorts, feed, held
from tests.support import small

EXAMPLES = (7, 30, 12, 1, 9, 22)
SIZES = np.array([12, 6, 12, 6, 6, 12])
SGD = optax.sgd(0.3)


def packed(data, clients, room):
    """Returns the examples of some clients, and where they begin, as a device has them."""
    inputs, targets = (held.packed(data, v, clients, room) for v in (data.inputs, data.targets))
    return hj.ClientData(
        inputs, targets, held.offsets_of(data, clients, len(clients)), data.num_classes
    )


def test_packed_examples_are_in_the_order_of_the_clients():
    data = small.client_data(EXAMPLES)
    part = packed(data, np.array([1, 3, 4]), 45)
    np.testing.assert_array_equal(part.offsets, [0, 30, 31, 40])
    assert part.offsets.dtype == np.int32
    for local, client in enumerate((1, 3, 4)):
        own = slice(*data.offsets[client : client + 2])
        here = slice(*part.offsets[local : local + 2])
        np.testing.assert_array_equal(part.inputs[here], data.inputs[own])
        np.testing.assert_array_equal(part.targets[here], data.targets[own])
    # What is over repeats an example, so that nothing in it is out of the ordinary.
    assert part.inputs.shape == (45, *data.inputs.shape[1:])
    np.testing.assert_array_equal(part.inputs[40:], np.repeat(part.inputs[:1], 5, axis=0))
    np.testing.assert_array_equal(part.targets[40:], np.repeat(part.targets[:1], 5))
    assert (part.inputs.dtype, part.targets.dtype) == (data.inputs.dtype, data.targets.dtype)


def test_all_examples_are_not_copied():
    data = small.client_data(EXAMPLES, "lstm")
    part = packed(data, np.arange(6), sum(EXAMPLES))
    small.assert_trees_equal(part, data)
    assert np.shares_memory(part.inputs, data.inputs)


def test_clients_without_examples_have_room_too():
    data = small.client_data((3, 0, 2))
    part = packed(data, np.array([1]), 1)
    np.testing.assert_array_equal(part.offsets, np.zeros(2))
    np.testing.assert_array_equal(part.inputs, np.zeros((1, 4)))
    np.testing.assert_array_equal(held.offsets_of(data, np.array([0, 2]), 4), [0, 3, 5, 5, 5])


def test_too_many_examples_are_refused():
    with pytest.raises(hj.UserError, match="2 clients have 42 examples, but there is room for 41"):
        packed(small.client_data(EXAMPLES), np.array([1, 2]), 41)


class Recorded:
    """An array that remembers which examples were asked for."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.asked = values, values.shape, values.dtype, set()

    def __len__(self):
        return len(self.values)

    def __getitem__(self, examples):
        self.asked |= set(examples.tolist())
        return self.values[examples]


def test_only_the_examples_at_hand_are_read(tmp_path):
    data = small.client_data(EXAMPLES)
    path = tmp_path / "inputs.npy"
    np.save(path, data.inputs)
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    recorded = Recorded(data.inputs)
    clients = np.array([0, 2])
    parts = [
        packed(dataclasses.replace(data, inputs=inputs), clients, 20)
        for inputs in (data.inputs, mapped, recorded)
    ]
    small.assert_trees_equal(parts[0], parts[1])
    small.assert_trees_equal(parts[0], parts[2])
    assert type(parts[1].inputs) is np.ndarray
    assert recorded.asked == {*range(7), *range(37, 49)}


def test_a_population_may_have_more_examples_than_int32_counts():
    first = np.iinfo(np.int32).max
    data = small.client_data((3, 2))

    class Far(Recorded):
        def __getitem__(self, examples):
            return super().__getitem__(examples - first)

    offsets = np.array([0, first, first + 3, first + 5], np.int64)
    far = hj.ClientData(Far(data.inputs), Far(data.targets), offsets, data.num_classes)
    part = packed(far, np.array([2]), 2)
    np.testing.assert_array_equal(part.offsets, [0, 2])
    np.testing.assert_array_equal(part.inputs, data.inputs[3:])


def test_a_cohort_says_where_its_clients_are():
    data = small.client_data(EXAMPLES)
    program = small.program(small.supernet("mlp"), data, mesh="clients:2")
    cohort = cohorts.stack([small.cohort(program, data, [6, 6, 6], clients=[1, 3, 4])])
    own = held.held_by_slots(cohort)
    assert sorted(np.concatenate(own[0]).tolist()) == [1, 3, 4]
    slots = held.local_to(cohort, own).slots
    for p, clients in enumerate(own[0]):
        taken = slots.client[0, p] >= 0
        assert clients[slots.local[0, p][taken]].tolist() == slots.client[0, p][taken].tolist()
    assert held.most_examples([data], own) == max(data.num_examples[c].sum() for c in own[0])


@pytest.mark.parametrize("share", [False, True])
def test_devices_hold_only_clients_that_they_may_run(share):
    """A cohort of everybody never changes, so each device has data of its own."""
    dataset = small.dataset(EXAMPLES)
    drawn = 0 if share else 3
    program = small.program(
        small.supernet("mlp"), dataset.train, mesh="clients:2", clients_per_round=drawn
    )
    trial = small.trial(program, dataset)
    layout = cohorts.training_layout(program, [trial], trial.allocation.sizes)
    source = feed.resident(program, [trial], layout)
    ids = [own.tolist() for own in source.held[0]]
    assert sorted(np.concatenate(source.held[0]).tolist()) == sorted(
        [*range(6)] * (1 if share else 2)
    )
    ((data, cohort),) = source.rounds(0, 2)
    assert data.offsets.shape == (1, 2, 1 + max(map(len, ids)))
    most = sum(EXAMPLES) if not share else held.most_examples([dataset.train], source.held)
    assert data.inputs.shape[:3] == (1, 2, most)
    assert most < sum(EXAMPLES) or not share
    for p, own in enumerate(source.held[0]):
        for round in range(2):
            client, local = (x[0, round, p] for x in (cohort.slots.client, cohort.slots.local))
            assert own[local[client >= 0]].tolist() == client[client >= 0].tolist()
        for local, client in enumerate(own):
            here = slice(*np.asarray(data.offsets)[0, p, local : local + 2])
            there = slice(*dataset.train.offsets[client : client + 2])
            np.testing.assert_array_equal(
                np.asarray(data.inputs)[0, p, here], dataset.train.inputs[there]
            )


@pytest.mark.parametrize("capacity", [1, 13, 31, 37, 50, 80, 81, 1000])
def test_sets_are_of_one_size_and_hold_every_client(capacity):
    examples = np.array(EXAMPLES)
    sets = feed.client_sets([examples], capacity)
    assert len({len(clients) for clients in sets}) == 1
    assert np.unique(np.concatenate(sets)).tolist() == list(range(6))
    fits = max(examples[clients].sum() for clients in sets) <= capacity
    assert fits or len(sets[0]) == 1
    assert (len(sets) == 1) == (capacity >= 81)


# The last one looks at what occurs in clients' data, and at their losses on it.
SETTINGS = {
    "sliced": ("mlp", "sliced", {}),
    "own label rows": (
        "perceptron",
        "masked",
        {
            "extraction": hj.EXTRACTIONS["neuron_importance"](),
            "objective": hj.OBJECTIVES["masked_cross_entropy"](),
            "label_split": True,
        },
    ),
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_rounds_on_a_part_are_the_rounds_on_all(name):
    kind, mode, parts = SETTINGS[name]
    data = small.client_data(EXAMPLES, kind)
    model = small.supernet("mlp") if kind == "mlp" else small.perceptron(hidden=12, layers=1)
    program = small.program(model, data, mode, method=small.plain(**parts), optimizer=SGD)
    # Two stretches of a round of three clients.
    stretches = [
        cohorts.stack([small.cohort(program, data, [6, 6, 6], clients=own)])
        for own in ([0, 1, 5], [1, 2, 5])
    ]
    parts = []
    for stretch in stretches:
        own = held.held_by_slots(stretch)
        part = held.put_held([data], own, stretch.layout.mesh, examples=64, clients=3)
        parts.append((jax.tree.map(lambda x: x[0], part), held.local_to(stretch, own)))
    assert {part.inputs.shape[:2] for part, _ in parts} == {(1, 64)}
    states, start = {}, small.initial(program)
    everything = [(data, stretch) for stretch in stretches]
    for where, given in {"all": everything, "streamed": parts}.items():
        state, seen = start, []
        for part, stretch in given:
            state, report = hj.scan_rounds(program, state, part, stretch)
            taken = np.asarray(stretch.slots.client) >= 0
            seen.append(jax.tree.map(lambda x, taken=taken: np.asarray(x)[taken], report))
        states[where] = (jax.random.key_data(state.key), state.params, seen)
    small.assert_trees_equal(states["all"], states["streamed"])
    assert small.max_difference(states["all"][1], start.params) > 0.01


def test_sets_of_an_evaluation_fit_into_what_a_round_has():
    dataset = small.dataset(EXAMPLES)
    program = small.program(small.supernet("mlp"), dataset.train, clients_per_round=2)
    trial = small.trial(program, dataset)
    layout = cohorts.training_layout(program, [trial], trial.allocation.sizes)
    source = feed.streamed(program, [trial], layout, 3)
    sets = [part.clients[0] for part in source.parts([np.arange(6)])]
    assert len(sets) > 1
    assert np.unique(np.concatenate(sets)).tolist() == list(range(6))


def test_a_streamed_run_is_the_run():
    dataset = small.dataset(EXAMPLES)
    resident = small.program(
        small.supernet("mlp"), dataset.train, optimizer=SGD, clients_per_round=2
    )
    execution = dataclasses.replace(resident.execution, stream=True)
    histories = []
    for program in (resident, dataclasses.replace(resident, execution=execution)):
        trial = small.trial(program, dataset, policy=hj.POLICIES["random"]())
        reporting = hj.Reporting(eval_every=2)
        histories += hj.run_trials(program, [trial], num_rounds=2, reporting=reporting)
    one, other = histories
    small.assert_trees_equal(one.state.params, other.state.params)
    assert len(one.metrics) == len(other.metrics) > 0
    for record, streamed in zip(one.metrics, other.metrics, strict=True):
        assert record == {**streamed, "loss": pytest.approx(streamed["loss"], abs=1e-6)}


def test_models_that_look_at_all_data_are_refused():
    feed.check_streams(small.supernet("cnn group"))
    with pytest.raises(hj.UserError, match="`norm` batch, group or layer"):
        feed.check_streams(small.supernet("cnn static"))
    dataset = small.dataset(EXAMPLES, kind="perceptron")
    program = small.program(small.perceptron(norm="static"), dataset.train)
    execution = dataclasses.replace(program.execution, stream=True)
    program = dataclasses.replace(program, execution=execution)
    with pytest.raises(hj.UserError, match="static norms"):
        hj.run_trials(program, [small.trial(program, dataset)], num_rounds=1)


def test_seeds_of_other_clients_are_refused():
    with pytest.raises(hj.UserError, match="same number of clients"):
        held.all_examples([small.client_data((7, 30)), small.client_data((7, 30, 12))])
    with pytest.raises(hj.UserError, match="same shape of an example"):
        held.all_examples([small.client_data((3,)), small.client_data((3,), "perceptron")])


def test_padding_fills_up_the_smaller_seed():
    parts = [small.client_data((3, 2)), small.client_data((1, 1))]
    stacked = held.all_examples(parts)
    assert stacked.inputs.shape == (2, 5, 4)
    assert stacked.targets.shape == (2, 5)
    np.testing.assert_array_equal(stacked.offsets, [[0, 3, 5], [0, 1, 2]])
    np.testing.assert_array_equal(stacked.inputs[1, :2], parts[1].inputs)
    np.testing.assert_array_equal(stacked.inputs[1, 2:], parts[1].inputs[[0, 0, 0]])
    single = held.all_examples(parts[:1])
    small.assert_trees_equal(jax.tree.map(lambda x: x[0], single), parts[0])


def test_all_data_is_put_on_the_devices_once():
    dataset = small.dataset(EXAMPLES)
    program = small.program(small.supernet("mlp"), dataset.train, mesh="clients:2")
    trial = small.trial(program, dataset)
    layout = cohorts.training_layout(program, [trial], trial.allocation.sizes)
    source = feed.resident(program, [trial], layout)
    assert set(source.splits) == set(feed.SPLITS)
    devices = set(mesh_of(layout.mesh).devices.flat)
    assert source.splits["test"].inputs.sharding.device_set == devices
    ((data, cohort),) = source.rounds(3, 7)
    assert data is source.splits["train"]
    assert cohort.slots.client.shape[:3] == (1, 4, 2)
    assert source.calibration is None
    (part,) = source.parts([np.array([1, 4])])
    found = source.evaluated(part, cohorts.stack([small.cohort(program, dataset.test, [6] * 6)]))
    assert found.splits == (source.splits["validation"], source.splits["test"])


def test_processes_hold_neighbours_with_about_as_many_examples(monkeypatch):
    monkeypatch.setattr(feed, "holders", lambda mesh: 2)
    dataset = small.dataset((5, 5, 5, 5, 30, 10))
    program = small.program(small.supernet("mlp"), dataset.train)
    homes = feed.homes_by_process(small.trial(program, dataset), MeshShape(clients=4))
    assert homes.groups == 2
    assert homes.of.tolist() == [0, 0, 0, 0, 1, 1]
    assert [own.tolist() for own in feed.held_at(homes, MeshShape(clients=4))] == [
        *[[0, 1, 2, 3]] * 2,
        *[[4, 5]] * 2,
    ]


@pytest.mark.parametrize("drawn", [3, pytest.param(0, marks=pytest.mark.slow)])
def test_rounds_of_two_homes_are_the_rounds_of_one(monkeypatch, drawn):
    """Two groups of devices, as those of two processes, run the same clients."""
    dataset = small.dataset(EXAMPLES)
    program = small.program(
        small.supernet("mlp"),
        dataset.train,
        optimizer=SGD,
        mesh="clients:2",
        clients_per_round=drawn,
    )
    histories = []
    for groups in (1, 2):
        monkeypatch.setattr(feed, "holders", lambda mesh, groups=groups: groups)
        trial = small.trial(program, dataset)
        reporting = hj.Reporting(eval_every=2)
        histories += hj.run_trials(program, [trial], num_rounds=4, reporting=reporting)
    one, two = histories
    small.assert_trees_close(one.state.params, two.state.params, atol=1e-6)
    assert [r["accuracy"] for r in one.metrics] == [r["accuracy"] for r in two.metrics]


def test_a_cohort_on_other_devices_than_its_data_is_refused():
    dataset = small.dataset(EXAMPLES)
    program = small.program(small.supernet("mlp"), dataset.train, mesh="clients:2")
    trial = small.trial(program, dataset)
    layout = cohorts.training_layout(program, [trial], trial.allocation.sizes)
    source = feed.resident(program, [trial], layout)
    ((_, cohort),) = source.rounds(0, 1)
    exchanged = jax.tree.map(lambda x: np.flip(np.asarray(x), axis=2), cohort)
    with pytest.raises(hj.UserError, match="devices that do not hold the data"):
        held.local_to(exchanged, source.held)
