"""Training and evaluation on the clients at hand, against all data on the device."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.simulation import cohorts, streaming
from tests.support import small

SIZES = (7, 30, 12, 1, 9, 22)
KEPT = np.array([12, 6, 12, 6, 6, 12])
BATCH = 4


def round_cohort(algorithm, data, clients):
    clients = np.array(clients)
    sizes = data.num_examples
    return algorithm.execution.place(clients, KEPT[clients], sizes[clients], sizes, BATCH, KEPT)


def test_a_subset_keeps_ids_and_packs_rows():
    data = small.client_data(SIZES)
    part = streaming.subset(data, np.array([4, 1, 3]), 45)
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


def test_everybody_is_the_whole():
    data = small.client_data(SIZES, "lstm")
    small.assert_trees_equal(streaming.subset(data, np.arange(6), sum(SIZES)), data)


def test_nobody_has_room_too():
    data = small.client_data((3, 0, 2))
    part = streaming.subset(data, np.array([1]), 1)
    np.testing.assert_array_equal(part.offsets, np.zeros(4))
    np.testing.assert_array_equal(part.inputs, np.zeros((1, 4)))


def test_too_many_examples_are_refused():
    with pytest.raises(hj.UserError, match="2 clients have 42 examples, but there is room for 41"):
        streaming.subset(small.client_data(SIZES), np.array([1, 2]), 41)


class Recorded:
    """An array that remembers which rows were asked for."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.rows = values, values.shape, values.dtype, set()

    def __getitem__(self, rows):
        self.rows |= set(range(*rows.indices(len(self.values))))
        return self.values[rows]


def test_only_the_rows_at_hand_are_read(tmp_path):
    data = small.client_data(SIZES)
    path = tmp_path / "inputs.npy"
    np.save(path, data.inputs)
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    recorded = Recorded(data.inputs)
    clients = np.array([0, 2])
    parts = [
        streaming.subset(dataclasses.replace(data, inputs=inputs), clients, 20)
        for inputs in (data.inputs, mapped, recorded)
    ]
    small.assert_trees_equal(parts[0], parts[1])
    small.assert_trees_equal(parts[0], parts[2])
    assert type(parts[1].inputs) is np.ndarray
    assert recorded.rows == {*range(7), *range(37, 49)}


def test_a_population_may_have_more_rows_than_int32_counts():
    first = np.iinfo(np.int32).max
    data = small.client_data((3, 2))

    class Far(Recorded):
        def __getitem__(self, rows):
            return super().__getitem__(slice(rows.start - first, rows.stop - first))

    offsets = np.array([0, first, first + 3, first + 5], np.int64)
    far = hj.ClientData(Far(data.inputs), Far(data.targets), offsets, data.num_classes)
    part = streaming.subset(far, np.array([2]), 2)
    np.testing.assert_array_equal(part.offsets, [0, 0, 0, 2])
    np.testing.assert_array_equal(part.inputs, data.inputs[3:])


def test_capacity_is_what_the_largest_part_needs():
    sizes = np.array(SIZES)
    parts = [np.array([0, 1]), np.array([2, 5]), np.array([], int)]
    assert streaming.capacity_of(sizes, parts) == 37
    assert streaming.capacity_of(sizes, parts[1:]) == 34
    assert streaming.capacity_of(sizes, []) == 1


MODELS = {"mlp": small.mlp, "perceptron": lambda: small.perceptron(hidden=12)}

# The last one looks at what occurs in clients' data, and at their losses on it.
SETTINGS = {
    "sliced": ("mlp", {"execution": hj.EXECUTIONS["sliced"], "client_block": 1}),
    "own rows": (
        "perceptron",
        {
            "execution": hj.EXECUTIONS["masked"],
            "extraction": hj.EXTRACTIONS["neuron_importance"](),
            "objective": hj.OBJECTIVES["masked_cross_entropy"](),
            "label_split": True,
        },
    ),
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_rounds_on_a_part_are_the_rounds_on_all(name):
    kind, parts = SETTINGS[name]
    data, model = small.client_data(SIZES, kind), MODELS[kind]()
    algorithm = hj.partial_training(
        model, client_optimizer=optax.sgd(0.3), batch_size=BATCH, **parts
    )
    drawn = [[[0, 3, 4], [3, 4, 5]], [[1, 2, 5], [2, 5, 3]]]
    stretches = [
        cohorts.stacked([round_cohort(algorithm, data, clients) for clients in rounds])
        for rounds in drawn
    ]
    clients = [streaming.clients_of(stretch) for stretch in stretches]
    capacity = streaming.capacity_of(data.num_examples, clients)
    streamed = [streaming.subset(data, own, capacity) for own in clients]
    assert [part.inputs.shape[0] for part in streamed] == [65, 65]
    states = {}
    for where, parts in {"all": [data, data], "streamed": streamed}.items():
        state, seen = algorithm.init(small.KEY), []
        for part, stretch in zip(parts, stretches, strict=True):
            state, metrics = hj.scan_rounds(algorithm, state, part, stretch)
            taken = np.asarray(stretch.index) >= 0
            seen.append(jax.tree.map(lambda x, taken=taken: np.asarray(x)[taken], metrics))
        states[where] = (jax.random.key_data(state.key), state.params, seen)
    small.assert_trees_equal(states["all"], states["streamed"])
    start = algorithm.init(small.KEY).params
    assert small.max_difference(states["all"][1], start) > 0.01


def test_evaluation_in_chunks_is_evaluation():
    dataset = small.dataset(SIZES)
    algorithm = hj.partial_training(small.mlp(), batch_size=BATCH, client_block=2)
    state = algorithm.init(small.KEY)
    sizes = dataset.test.num_examples

    def scores(clients, test, train):
        cohort = algorithm.evaluation.place(
            clients, KEPT[clients], np.ones(len(clients)), sizes, BATCH, KEPT
        )
        return hj.per_client(hj.evaluate(algorithm, state, test, train, cohort), cohort)

    whole = scores(np.arange(6), dataset.test, dataset.train)
    chunks = streaming.chunks([sizes, dataset.train.num_examples], 104)
    assert [chunk.tolist() for chunk in chunks] == [[0, 1, 2, 3], [2, 3, 4, 5]]
    together = np.full(6, np.nan)
    for chunk in chunks:
        parts = [streaming.subset(d, chunk, 52) for d in (dataset.test, dataset.train)]
        together[chunk] = scores(chunk, *parts).loss
    np.testing.assert_array_equal(together, whole.loss)


@pytest.mark.parametrize("capacity", [1, 13, 31, 37, 50, 80, 81, 1000])
def test_chunks_are_of_one_size_and_hold_everybody(capacity):
    sizes = np.array(SIZES)
    chunks = streaming.chunks([sizes], capacity)
    assert len({len(chunk) for chunk in chunks}) == 1
    assert np.unique(np.concatenate(chunks)).tolist() == list(range(6))
    fits = streaming.capacity_of(sizes, chunks) <= capacity
    assert fits or len(chunks[0]) == 1
    assert (len(chunks) == 1) == (capacity >= 81)


def test_models_that_look_at_all_data_are_refused():
    streaming.check(small.cnn(norm="batch"))
    with pytest.raises(hj.UserError, match="--norm=batch, group or layer"):
        streaming.check(small.cnn(norm="static"))


def test_a_streamed_run_is_the_run():
    algorithm = hj.partial_training(small.mlp(), batch_size=BATCH)
    dataset = small.dataset(SIZES)
    allocation = hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.POLICIES["random"](),
        scores=np.zeros(len(SIZES)),
        key=small.KEY,
    )
    options = {"key": small.KEY, "num_rounds": 3, "eval_every": 2, "clients_per_round": 2}
    resident = hj.run(algorithm, dataset, allocation, **options)
    streamed = hj.run(algorithm, dataset, allocation, stream=True, **options)
    small.assert_trees_equal(resident.state.params, streamed.state.params)
    assert len(resident.metrics) == len(streamed.metrics)
    for one, other in zip(resident.metrics, streamed.metrics, strict=True):
        assert one == {**other, "loss": pytest.approx(other["loss"], abs=1e-6)}


def test_streaming_refuses_what_looks_at_all_data():
    algorithm = hj.partial_training(small.perceptron(norm="static"), batch_size=BATCH)
    dataset = small.dataset(SIZES, kind="perceptron")
    allocation = hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.POLICIES["uniform"](),
        scores=np.zeros(len(SIZES)),
        key=small.KEY,
    )
    with pytest.raises(hj.UserError, match="static norms"):
        hj.run(algorithm, dataset, allocation, key=small.KEY, num_rounds=1, stream=True)
