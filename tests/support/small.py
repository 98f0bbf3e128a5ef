"""Small supernets and data that several tests share."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import hasa_jax as hj
from hasa_jax import keys
from hasa_jax.base import IGNORED, UNKNOWN, ClientData, FederatedDataset, ServerState
from hasa_jax.client import batches, training
from hasa_jax.execution.layout import place
from hasa_jax.methods.method import Method
from hasa_jax.models.cnn import CNN
from hasa_jax.models.lstm import LSTM
from hasa_jax.models.mlp import MLP as Perceptron
from hasa_jax.models.resnet18 import ResNet18
from hasa_jax.models.transformer import Transformer
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.evaluation_pass import Asked, Calibration, evaluate_cohort
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.subnet import Subnet
from hasa_jax.supernet.types import Model

KEY = jax.random.key(0)
NUM_CLASSES = 5
LENGTH = 6


class MLP(nn.Module):
    """Two hidden layers of different sizes: two unit groups."""

    first: int = 12
    second: int = 8

    @nn.compact
    def __call__(self, inputs):
        def dense(size, names):
            kernel = nn.with_logical_partitioning(nn.initializers.lecun_normal(), names)
            bias = nn.with_logical_partitioning(nn.initializers.normal(0.1), names[1:])
            return nn.Dense(size, kernel_init=kernel, bias_init=bias)

        hidden = nn.relu(dense(self.first, (None, "first"))(inputs))
        hidden = nn.relu(dense(self.second, ("first", "second"))(hidden))
        return dense(NUM_CLASSES, ("second", None))(hidden)


def mlp(dtype=jnp.float32, **units):
    return supernet_of(MLP(**units), np.zeros((1, 4), np.float32), dtype)


def lstm(dtype=jnp.float32, **fields):
    fields = {"embed": 4, "hidden": 16, "layers": 1, **fields}
    module = LSTM(NUM_CLASSES + 2, NUM_CLASSES, **fields)
    return supernet_of(module, np.zeros((1, LENGTH), np.int32), dtype)


MODELS = {"mlp": mlp, "lstm": lstm}

STAGES = {"stage1": 5, "stage2": 5, "stage3": 6, "stage4": 9}
HEADS = {"embed": 8, "heads": 2, "head_dim": 5, "feedforward": 10, "layers": 2, "causal": True}


def perceptron(**fields):
    module = Perceptron(NUM_CLASSES, **{"hidden": 9, "layers": 2, **fields})
    return supernet_of(module, np.zeros((1, 2, 3), np.float32))


def cnn(side=8, **fields):
    module = CNN(NUM_CLASSES, **{**STAGES, **fields})
    return supernet_of(module, np.zeros((1, side, side + 1, 3), np.float32))


def resnet18(side=8, **fields):
    module = ResNet18(NUM_CLASSES, **{**STAGES, **fields})
    return supernet_of(module, np.zeros((1, side, side, 3), np.float32))


def transformer(dtype=jnp.float32, **fields):
    fields = {**HEADS, "max_length": LENGTH + 1, **fields}
    module = Transformer(NUM_CLASSES + 2, NUM_CLASSES, **fields)
    return supernet_of(module, np.zeros((1, LENGTH), np.int32), dtype)


@dataclasses.dataclass(frozen=True)
class Bound:
    """A specification of a supernet that does not depend on the method or the data."""

    model: Model

    def bind(self, dataset, *, norm, scaler):
        del dataset, norm, scaler
        return self.model


TWO_EXITS = {"exits": 2, "exit_blocks": (1, 2)}
SUPERNETS = {
    **MODELS,
    "lstm two exits": lambda: lstm(hidden=8, layers=2, scaler="train", **TWO_EXITS),
    "perceptron": lambda: perceptron(norm="layer", scaler="always"),
    "perceptron two exits": lambda: perceptron(
        norm="batch", scaler="inverted_dropout", **TWO_EXITS
    ),
    "cnn static": lambda: cnn(side=16, norm="static", scaler="train"),
    "cnn group": lambda: cnn(norm="group"),
    "cnn layer, two exits": lambda: cnn(
        norm="layer", exits=2, exit_blocks=(2, 4), exit_head="published"
    ),
    "cnn none": lambda: cnn(norm="none", scaler="always"),
    "resnet18 static": lambda: resnet18(side=16, norm="static"),
    "resnet18 group, two exits": lambda: resnet18(norm="group", exits=2, exit_blocks=(3, 8)),
    "transformer": lambda: transformer(scaler="train", **TWO_EXITS),
    "transformer classifier": lambda: transformer(causal=False, **TWO_EXITS),
}


# Shape of an example, where it is not a sentence.
EXAMPLES = {"mlp": (4,), "perceptron": (2, 3), "cnn": (8, 8, 3), "resnet18": (8, 8, 3)}


def client_data(sizes=(7, 30, 12, 1), kind="mlp", seed=0):
    """Clients with so many examples each; labels follow the inputs, so models can learn them."""
    rng = np.random.default_rng(seed)
    total = sum(sizes)
    if kind in EXAMPLES:
        inputs = rng.normal(size=(total, *EXAMPLES[kind])).astype(np.float32)
        first = inputs.reshape(total, -1)[:, 0]
        targets = (np.abs(first * 3).astype(np.int32)) % NUM_CLASSES
    else:
        words = rng.integers(0, NUM_CLASSES, size=(total, LENGTH + 1))
        lengths = rng.integers(2, LENGTH + 1, size=total)
        inside = np.arange(LENGTH) < lengths[:, None]
        inputs = np.where(inside, words[:, :-1] + 2, 0).astype(np.int32)
        targets = np.where(inside, (words[:, :-1] + 1) % NUM_CLASSES, IGNORED).astype(np.int32)
        targets[0, 0] = UNKNOWN
        if kind == "topics":
            targets = words[:, 0].astype(np.int32)
    offsets = np.cumsum([0, *sizes]).astype(np.int32)
    return ClientData(inputs, targets, offsets, NUM_CLASSES)


def dataset(sizes=(7, 30, 12, 3), kind="mlp"):
    names = tuple(f"client {i}" for i in range(len(sizes)))
    splits = (client_data(sizes, kind, seed) for seed in range(3))
    num_tokens = 0 if kind in EXAMPLES else NUM_CLASSES + 2
    return FederatedDataset(*splits, names, num_tokens)


@functools.cache
def supernet(kind):
    """Returns one of `SUPERNETS`, made once."""
    return SUPERNETS[kind]()


def plain(**changes):
    """Returns a method without anything of a paper: prefixes, cross-entropy, coverage."""
    method = Method(
        name="plain",
        summary="",
        extraction=hj.extraction.prefix(),
        objective=hj.OBJECTIVES["cross_entropy"](),
        policy=hj.POLICIES["uniform"](),
        budget=hj.BudgetSpec(),
        score=None,
        norm="none",
        scaler="none",
        aggregation="coverage",
        client_weights="examples",
        label_split=False,
    )
    return dataclasses.replace(method, **changes)


def program(
    model,
    data,
    mode="masked",
    *,
    method=None,
    optimizer=None,
    client_block=1,
    mesh="clients:1",
    chunk=0,
    **training,
):
    """Makes a program of a bound model; all logits at once unless a `chunk` is given.

    Each size has a bucket of its own, as compiling cost nothing.
    """
    names = tuple(str(client) for client in range(data.num_clients))
    made = hj.make_program(
        method or plain(),
        Bound(model),
        FederatedDataset(data, data, data, names),
        client_optimizer=optimizer,
        training=hj.Training(**{"batch_size": 4, **training}),
        execution=hj.Execution(mode, client_block, mesh),
    )
    rule = made.rule._replace(chunk=chunk)
    return dataclasses.replace(made, rule=rule, bucket_share=0.0)


def cohort(program, data, sizes, *, weights=None, clients=None, sizes_in_run=None):
    """Places clients, all of them by default, at these sizes; weights are their examples."""
    sizes, examples = np.asarray(sizes), data.num_examples
    clients = np.arange(data.num_clients) if clients is None else np.asarray(clients)
    layout = cohorts.layout_of(
        program,
        sizes_in_run=sizes if sizes_in_run is None else sizes_in_run,
        num_clients=len(clients),
        most_examples=int(examples.max()),
        trials=1,
    )
    weights = examples[clients] if weights is None else np.asarray(weights)
    return place(layout, clients, sizes, weights, examples)


def trial(program, dataset, *, sizes=None, policy=None, budget=None, key=KEY, labels=None):
    """Allocates by the method, or another policy; then the clients get `sizes` if there are any."""
    allocation = hj.allocate(
        dataset.train,
        program.model,
        policy=policy or program.method.policy,
        scores=np.arange(dataset.train.num_clients),
        key=key,
        budget=budget or program.method.budget,
        extraction=program.extraction,
    )
    if sizes is not None:
        allocation = dataclasses.replace(allocation, sizes=np.asarray(sizes))
    return hj.Trial(dataset, allocation, key, labels or {})


def permuted(cohort, order):
    """Takes the turns of a cohort on one device in another order."""
    slots, bucket = jax.tree.map(lambda x: x[:, order], (cohort.slots, cohort.bucket))
    return dataclasses.replace(cohort, slots=slots, bucket=bucket)


def members(cohort):
    """Lists the clients of a cohort, in the order of their ids."""
    return sorted(client for client in np.ravel(cohort.slots.client).tolist() if client >= 0)


def by_client(cohort, outputs):
    """Orders what the clients of a cohort returned `[P, V, L]` by their ids: `[C]`."""
    ids = np.ravel(cohort.slots.client)
    order = np.argsort(ids, kind="stable")[np.sum(ids < 0) :]
    return jax.tree.map(lambda x: np.ravel(x)[order], outputs)


def initial(program, key=KEY):
    """Returns the server's state before round 0; programs of one model share the compiled init."""
    params = _init(program.model, keys.address(key, keys.Stream.INIT))
    return ServerState(params, program.server_optimizer.init(params), jnp.int32(0), key)


def one_round(program, data, cohort, key=KEY):
    """Runs the first round of a run; returns the states around it, and the clients' report."""
    start = initial(program, key)
    end, report = hj.scan_rounds(program, start, data, cohorts.stack([cohort]))
    return start, end, jax.tree.map(lambda x: x[0], report)


def evaluate(program, state, data, cohort, *, calibrators=None, hides=False):
    """Evaluates a cohort on its own examples; returns loss and accuracy of each client `[C]`.

    Static norms are calibrated for each client, unless some `calibrators` represent all.
    """
    if program.model.moments:
        calibrators = calibrators or cohort
    count = cohort.layout.num_clients
    asked = Asked(splits=np.ones((count, 1), bool), hides=np.full(count, hides))
    sums = _evaluate(
        program, state, (data,), data, asked, cohort, calibrators and Calibration(calibrators, data)
    )
    sums = by_client(cohort, jax.tree.map(lambda x: x[..., 0], sums))
    return sums.loss / sums.loss_count, sums.correct / sums.count


# Eager JAX is slow enough to matter in a test suite.
_init = jax.jit(lambda model, key: model.init(key), static_argnums=0)
_evaluate = jax.jit(evaluate_cohort, static_argnums=0)
jitted_batches = jax.jit(batches.shuffled_batches, static_argnums=(3, 4, 5))


@functools.partial(jax.jit, static_argnames=("model", "optimizer"))
def jitted_training(model, params, data, batches, optimizer):
    """Trains the supernet, as a client of width 1 does; returns its update and metrics."""
    ones = jax.tree.map(jnp.ones_like, params)
    subnet = Subnet(
        model=model,
        params=params,
        apply=model.apply,
        view=None,
        ranks=None,
        partial=False,
        kept=model.groups,
        width=1.0,
        exits=model.num_exits,
        held=ones,
        masks=ones,
        supernet_ranks=None,
    )
    task = training.LocalTask(batches, KEY, jnp.int32(0), None, jnp.float32(1), None)
    rule = training.LocalRule(optimizer, hj.OBJECTIVES["cross_entropy"]())
    return training.local_training(subnet, data, task, rule)


def assert_trees_close(actual, expected, atol=1e-5):
    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)

    jax.tree.map(close, actual, expected)


def assert_trees_equal(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), actual, expected)


def max_difference(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), a, b)))
