"""What the compiled programs of a run are made from; trials that share it share programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hasa_jax import machine
from hasa_jax.allocation.allocation import Allocation, allocate
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.client.augmentation import check_augmentation
from hasa_jax.client.objectives.objective import objective_on
from hasa_jax.client.target_chunks import usual_chunk
from hasa_jax.client.training import LocalRule
from hasa_jax.execution.layout import sizes_of_buckets
from hasa_jax.execution.mesh import MeshShape, mesh_shape, parse_mesh
from hasa_jax.execution.ranks import check_ranks
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.methods.method import Method
from hasa_jax.numerics import in_32_bits
from hasa_jax.simulation.options import CLIENT_LEARNING_RATE, Execution, Training
from hasa_jax.supernet import costs, label_rows, units
from hasa_jax.supernet.types import Extraction, Model, ModelSpec

_SECONDS_AN_ARRAY = 0.3
"""About what a bucket takes to compile, for training and evaluation, by arrays of parameters."""

_MACS_A_SECOND = {"cpu": 3e10}
_MACS_A_SECOND_ELSEWHERE = 1e12
"""About what a device computes in training, by platform."""

PASSES = 3
"""A training step costs about as much as so many forward passes."""

_QUICK_SHARE = 0.3
"""A program is compiled quickly if a bucket compiles for more than this share of the run."""

_ROUNDS = 16
"""Of sizes that change from round to round, so many rounds say what is executed."""

_COPIES = 4
"""Of the parameters while a client trains: the server's, twice, the client's and a gradient."""


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A method on a supernet, with everything that its compiled programs depend on.

    Attributes:
      method: what is trained, and which part of it each client holds.
      model: the supernet.
      rule: how clients train.
      server_optimizer: takes the mean update.
      schedule: round -> factor on the clients' learning rate.
      training: epochs, batches, faults.
      execution: how cohorts run; the mode is resolved.
      bucket_share: share of the supernet's MACs that a further bucket must save for a mean client
        to be worth its compilation (see `choose_mode`).
    """

    method: Method
    model: Model
    rule: LocalRule
    server_optimizer: optax.GradientTransformation
    schedule: Callable[[jax.Array], jax.Array]
    training: Training
    execution: Execution
    bucket_share: float

    @property
    def extraction(self) -> Extraction:
        """Which part of the supernet a client holds."""
        return self.method.extraction

    @property
    def quick(self) -> bool:
        """Whether it is compiled with little effort: that of a short run, on CPUs."""
        return self.bucket_share > _QUICK_SHARE and jax.default_backend() == "cpu"

    def mesh(self, trials: int) -> MeshShape:
        """Returns the devices that some trials run on.

        Args:
          trials: how many share the program.

        Raises:
          UserError: if the mesh that was asked for does not fit devices or trials.
        """
        return mesh_shape(self.execution.mesh, trials)

    @property
    def lanes(self) -> int | None:
        """Clients in one `vmap`; None for all of a bucket."""
        # On CPUs, batched products of small matrices are slower than the products one by one.
        cpu = jax.default_backend() == "cpu"
        return self.execution.client_block or (1 if cpu else None)


@in_32_bits
def make_program(
    method: Method,
    model: ModelSpec,
    dataset: FederatedDataset,
    *,
    client_optimizer: optax.GradientTransformation | None = None,
    training: Training | None = None,
    execution: Execution | None = None,
    num_rounds: int = 15,
) -> Program:
    """Binds a model to a method and a data set, and resolves how it runs.

    Args:
      method: the method.
      model: the model's specification.
      dataset: supplies shapes, classes, and how many targets batches of texts hold.
      client_optimizer: local optimizer, fresh each round; `optax.adam(0.01)` if None.
      training: how clients and server train.
      execution: how cohorts run.
      num_rounds: rounds of the run, by which the mode `auto` and the number of buckets are chosen.

    Returns:
      The program. Make it once and share it between trials, so that they share compiled code.

    Raises:
      UserError: for parts that do not fit each other.
    """
    training, execution = training or Training(), execution or Execution()
    mesh_shape(execution.mesh, 0)
    method = dataclasses.replace(method, objective=objective_on(method.objective, dataset))
    _check_splits(dataset)
    if training.augment is not None:
        check_augmentation(training.augment, dataset.train)
    bound = supernet(method, model, dataset)
    _check_room(bound)
    extraction = method.extraction
    # An extraction that does not fit the model refuses to name a shape.
    extraction.shape(bound, max(bound.groups.values()))
    if extraction.name not in EXTRACTIONS:
        check_ranks(extraction, bound, dataset.train, training.batch_size)
    if method.label_split:
        label_rows.label_row_axes(bound)
    if execution.mode == "sliced" and extraction.order is None:
        raise UserError(
            "sliced execution cuts units, but this extraction keeps single parameters: use masked "
            "execution (`mode` auto does where it must), or an extraction that ranks units"
        )
    bucket_share = _bucket_share(bound, dataset, training, num_rounds)
    mode = execution.mode
    if mode == "auto":
        mode = choose_mode(method, bound, dataset, bucket_share)
        mode = "masked" if _shares_models(execution.mesh) else mode
    if mode == "sliced" and _shares_models(execution.mesh):
        raise UserError(
            f"`mesh` {execution.mesh} shares parameters among devices that run different clients, "
            "which sliced execution cannot: use `mode` masked, or a `mesh` with one device along "
            "all other axes"
        )
    return Program(
        method=method,
        model=bound,
        rule=LocalRule(
            optimizer=client_optimizer or optax.adam(CLIENT_LEARNING_RATE),
            objective=method.objective,
            proximal=method.proximal,
            levels=extraction.levels,
            chunk=usual_chunk(dataset.train, training.batch_size),
            augment=training.augment,
        ),
        server_optimizer=training.server_optimizer or optax.sgd(1.0),
        schedule=training.schedule or _constant,
        training=training,
        execution=dataclasses.replace(execution, mode=mode),
        bucket_share=bucket_share,
    )


def _shares_models(mesh: str) -> bool:
    """Returns whether devices share parameters while others run other clients or trials.

    Their programs then exchange parts of parameters in every turn. Sliced turns differ between
    clients, so the messages of one would wait for those of another forever.
    """
    shape = parse_mesh(mesh)
    return shape is not None and shape.model > 1 and shape.clients * shape.seeds > 1


def _check_splits(dataset: FederatedDataset) -> None:
    """Refuses splits whose examples differ in shape or type: one program evaluates both."""
    found = {
        name: [(array.shape[1:], str(array.dtype)) for array in (split.inputs, split.targets)]
        for name, split in (
            ("train", dataset.train),
            ("validation", dataset.validation),
            ("test", dataset.test),
        )
    }
    for name, kinds in found.items():
        if kinds != found["train"]:
            raise UserError(
                f"examples of the split {name!r} have shapes and types {kinds}, but those of "
                f"'train' {found['train']}: make them alike"
            )


def _check_room(model: Model) -> None:
    """Refuses a supernet that no device has room for, from its shapes, before any array exists.

    What else a run needs is counted by `memory.memory_need`.
    """
    leaves = jax.tree.leaves(model.shapes)
    count = sum(leaf.size for leaf in leaves)
    least = _COPIES * sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    available = machine.available_bytes(jax.local_devices()[0])
    if available is not None and least > available:
        raise UserError(
            f"the supernet has {count} parameters, so training it takes {machine.readable(least)} "
            f"of memory or more, but {machine.readable(available)} are available: use a smaller "
            "`hidden`, or smaller dimensions of the model"
        )


def supernet(method: Method, model: ModelSpec, dataset: FederatedDataset) -> Model:
    """Makes the supernet of a method: a model at the method's `supernet_width`.

    Args:
      method: supplies norm, scaler and width.
      model: the model's specification.
      dataset: supplies shapes and classes.

    Returns:
      The supernet.

    Raises:
      UserError: if the model does not fit the data or the method.
    """
    if isinstance(model, nn.Module):  # It has a `bind` of its own, which takes other arguments.
        raise UserError(
            f"{type(model).__name__} is a module: give `hj.from_linen` of it as `model`"
        )
    bound = model.bind(dataset, norm=method.norm, scaler=method.scaler)
    if method.supernet_width == 1:
        return bound
    return bound.resized(units.kept_of_width(bound.groups, method.supernet_width))


def choose_mode(
    method: Method, model: Model, dataset: FederatedDataset, bucket_share: float
) -> str:
    """Chooses masked execution where compiling narrow programs costs more than it saves.

    A bucket, a size that is compiled, takes about .3 s for each array of parameters. Over a run, a
    mean client that executes a share s of the supernet's MACs takes `rounds * examples * epochs *
    3 * MACs * s` multiply-accumulates, at about `3e10` a second on CPUs and `1e12` elsewhere. The
    seconds of a bucket over those of full size are the `bucket_share`. Neighbouring sizes share a
    bucket, and run at the size of the largest, so that `executed + bucket_share * buckets` is
    least. Sliced is chosen if that is below what masked execution executes, 1 or more: its one
    program, which serves all sizes and policies, is compiled in any case. An extraction of single
    parameters runs masked.

    Args:
      method: supplies extraction, policy and budget.
      model: the supernet.
      dataset: supplies the sizes of the clients.
      bucket_share: what a bucket costs, as a share of the supernet's MACs.

    Returns:
      `masked` or `sliced`.
    """
    extraction = method.extraction
    if extraction.order is None:
        return "masked"
    num_clients = dataset.train.num_clients
    allocation = allocate(
        dataset.train,
        model,
        policy=method.policy,
        # Equal scores: which client is wide hardly changes what a round executes.
        scores=np.zeros(num_clients),
        key=jax.random.key(0),
        budget=method.budget,
        extraction=extraction,
    )
    ends = sizes_of_buckets(model, extraction, allocation.sizes, bucket_share)
    executed = costs.cost_table(model, extraction, "macs")[ends].mean()
    cost = float(executed) + bucket_share * len(np.unique(ends))
    return "sliced" if cost < costs.masked_macs(model, extraction) else "masked"


def _bucket_share(
    model: Model, dataset: FederatedDataset, training: Training, num_rounds: int
) -> float:
    """Returns the seconds of compiling a bucket over those of running all clients at full size."""
    num_clients = dataset.train.num_clients
    share = (training.clients_per_round or num_clients) / num_clients
    examples = float(dataset.train.num_examples.sum()) * share * training.local_epochs
    macs = num_rounds * examples * PASSES * costs.mac_count(model, model.groups)
    rate = _MACS_A_SECOND.get(jax.default_backend(), _MACS_A_SECOND_ELSEWHERE)
    seconds = _SECONDS_AN_ARRAY * len(jax.tree.leaves(model.shapes))
    return seconds * rate / max(macs, 1.0)


def executed_share(program: Program, allocation: Allocation) -> float:
    """Returns the MACs that a run executes, over those of clients that train the supernet.

    Args:
      program: supplies the supernet, the extraction and the mode.
      allocation: sizes of the clients.

    Returns:
      In sliced execution the mean over the clients of their buckets, those of this seed by
      itself. In masked execution every client executes the supernet, and its teacher's pass where
      it has one.
    """
    model, extraction = program.model, program.extraction
    if program.execution.mode != "sliced":
        return costs.masked_macs(model, extraction)
    rounds = range(_ROUNDS if allocation.redraw else 1)
    sizes = np.stack([allocation.sizes_at(round) for round in rounds])
    ends = sizes_of_buckets(model, extraction, sizes, program.bucket_share)
    table = costs.cost_table(model, extraction, "executed")
    weights = allocation.stats.shares * allocation.takes_part
    own, executed = ((table[each] @ weights).sum() for each in (sizes, ends))
    return float(allocation.ledger.executed * executed / own)


def _constant(round: jax.Array) -> jax.Array:
    """Leaves the clients' learning rate as it is."""
    del round
    return jnp.float32(1.0)
