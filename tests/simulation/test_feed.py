"""Training and evaluation on the clients at hand, against all data on the device."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution import sharding
from hasa_jax.simulation import cohorts, feed
from tests.support import small

EXAMPLES = (7, 30, 12, 1, 9, 22)
SIZES = np.array([12, 6, 12, 6, 6, 12])
SGD = optax.sgd(0.3)


def test_a_subset_keeps_ids_and_packs_examples():
    data = small.client_data(EXAMPLES)
    part = feed.subset(data, np.array([4, 1, 3]), 45)
    np.testing.assert_array_equal(part.offsets, [0, 0, 30, 30, 31, 40, 40])
    assert part.offsets.dtype == np.int32
    for client in (4, 1, 3):
        own, here = (slice(*d.offsets[client : client + 2]) for d in (data, part))
        np.testing.assert_array_equal(part.inputs[here], data.inputs[own])
        np.testing.assert_array_equal(part.targets[here], data.targets[own])
    # What is over repeats an example, so that nothing in it is out of the ordinary.
    assert part.inputs.shape == (45, *data.inputs.shape[1:])
    np.testing.assert_array_equal(part.inputs[40:], np.repeat(part.inputs[:1], 5, axis=0))
    np.testing.assert_array_equal(part.targets[40:], np.repeat(part.targets[:1], 5))
    assert (part.inputs.dtype, part.targets.dtype) == (data.inputs.dtype, data.targets.dtype)
    assert part.num_classes == data.num_classes


def test_the_subset_of_all_clients_is_the_data():
    data = small.client_data(EXAMPLES, "lstm")
    small.assert_trees_equal(feed.subset(data, np.arange(6), sum(EXAMPLES)), data)


def test_a_subset_without_examples_has_room_too():
    data = small.client_data((3, 0, 2))
    part = feed.subset(data, np.array([1]), 1)
    np.testing.assert_array_equal(part.offsets, np.zeros(4))
    np.testing.assert_array_equal(part.inputs, np.zeros((1, 4)))


def test_too_many_examples_are_refused():
    with pytest.raises(hj.UserError, match="2 clients have 42 examples, but there is room for 41"):
        feed.subset(small.client_data(EXAMPLES), np.array([1, 2]), 41)


class Recorded:
    """An array that remembers which examples were asked for."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.asked = values, values.shape, values.dtype, set()

    def __getitem__(self, examples):
        self.asked |= set(range(*examples.indices(len(self.values))))
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
        feed.subset(dataclasses.replace(data, inputs=inputs), clients, 20)
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
            return super().__getitem__(slice(examples.start - first, examples.stop - first))

    offsets = np.array([0, first, first + 3, first + 5], np.int64)
    far = hj.ClientData(Far(data.inputs), Far(data.targets), offsets, data.num_classes)
    part = feed.subset(far, np.array([2]), 2)
    np.testing.assert_array_equal(part.offsets, [0, 0, 0, 2])
    np.testing.assert_array_equal(part.inputs, data.inputs[3:])


def test_most_examples_are_those_of_the_largest_set():
    examples = np.array(EXAMPLES)
    sets = [np.array([0, 1]), np.array([2, 5]), np.array([], int)]
    assert feed.most_examples(examples, sets) == 37
    assert feed.most_examples(examples, sets[1:]) == 34
    assert feed.most_examples(examples, []) == 1


@pytest.mark.parametrize("capacity", [1, 13, 31, 37, 50, 80, 81, 1000])
def test_sets_are_of_one_size_and_hold_every_client(capacity):
    examples = np.array(EXAMPLES)
    sets = feed.client_sets([examples], capacity)
    assert len({len(clients) for clients in sets}) == 1
    assert np.unique(np.concatenate(sets)).tolist() == list(range(6))
    fits = feed.most_examples(examples, sets) <= capacity
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
    clients = [cohorts.clients_of(stretch) for stretch in stretches]
    capacity = feed.most_examples(data.num_examples, clients)
    streamed = [feed.subset(data, own, capacity) for own in clients]
    assert [part.inputs.shape[0] for part in streamed] == [64, 64]
    states, start = {}, small.initial(program)
    for where, parts in {"all": [data, data], "streamed": streamed}.items():
        state, seen = start, []
        for part, stretch in zip(parts, stretches, strict=True):
            state, report = hj.scan_rounds(program, state, part, stretch)
            taken = np.asarray(stretch.slots.client) >= 0
            seen.append(jax.tree.map(lambda x, taken=taken: np.asarray(x)[taken], report))
        states[where] = (jax.random.key_data(state.key), state.params, seen)
    small.assert_trees_equal(states["all"], states["streamed"])
    assert small.max_difference(states["all"][1], start.params) > 0.01


def test_evaluation_in_sets_is_evaluation():
    dataset = small.dataset(EXAMPLES)
    program = small.program(small.supernet("mlp"), dataset.train, client_block=2)
    state, examples = small.initial(program), dataset.test.num_examples

    def losses(clients, test):
        cohort = small.cohort(program, dataset.test, SIZES[clients], clients=clients)
        return small.evaluate(program, state, test, cohort)[0]

    everyone = losses(np.arange(6), dataset.test)
    sets = feed.client_sets([examples, dataset.train.num_examples], 104)
    assert [clients.tolist() for clients in sets] == [[0, 1, 2, 3], [2, 3, 4, 5]]
    found = np.full(6, np.nan)
    for clients in sets:
        found[clients] = losses(clients, feed.subset(dataset.test, clients, 52))
    np.testing.assert_array_equal(found, everyone)


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
        feed.stack_data([small.client_data((7, 30)), small.client_data((7, 30, 12))])
    with pytest.raises(hj.UserError, match="same shape of an example"):
        feed.stack_data([small.client_data((3,)), small.client_data((3,), "perceptron")])


def test_padding_fills_up_the_smaller_seed():
    parts = [small.client_data((3, 2)), small.client_data((1, 1))]
    stacked = feed.stack_data(parts)
    assert stacked.inputs.shape == (2, 5, 4)
    assert stacked.targets.shape == (2, 5)
    np.testing.assert_array_equal(stacked.offsets, [[0, 3, 5], [0, 1, 2]])
    np.testing.assert_array_equal(stacked.inputs[1, :2], parts[1].inputs)
    assert not stacked.inputs[1, 2:].any()
    single = feed.stack_data(parts[:1])
    small.assert_trees_equal(jax.tree.map(lambda x: x[0], single), parts[0])


def test_all_data_is_put_on_the_devices_once():
    dataset = small.dataset(EXAMPLES)
    program = small.program(small.supernet("mlp"), dataset.train, devices=2)
    trial = small.trial(program, dataset)
    layout = cohorts.training_layout(program, [trial], trial.allocation.sizes)
    source = feed.resident(program, [trial], layout)
    assert set(source.splits) == set(feed.SPLITS)
    devices = set(sharding.device_mesh(2).devices.flat)
    assert source.splits["test"].inputs.sharding.device_set == devices
    ((data, cohort),) = source.rounds(3, 7)
    assert data is source.splits["train"]
    assert cohort.slots.client.shape[:2] == (1, 4)
    chosen = [np.array([1, 4])]
    (part,) = source.parts(chosen)
    assert part.clients is chosen
    assert part.splits == (source.splits["validation"], source.splits["test"])
