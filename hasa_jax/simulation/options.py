"""How a run trains, runs on devices, and reports; with the defaults of API and command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import optax

from hasa_jax.base import UserError
from hasa_jax.client.augmentation import AugmentFn
from hasa_jax.execution import MODES
from hasa_jax.execution.mesh import AUTO, parse_mesh
from hasa_jax.server.faults import Faults
from hasa_jax.simulation.draws import DRAWS
from hasa_jax.simulation.sampling import (
    AVAILABILITY,
    POWER_OF_CHOICE,
    SAMPLERS,
    UNIFORM,
    Availability,
)

CLIENT_LEARNING_RATE = 0.01
"""Of Adam, the clients' optimizer where none is given."""


@dataclasses.dataclass(frozen=True)
class Training:
    """How clients and server train, beside what the method defines.

    Attributes:
      server_optimizer: takes the mean update; plain averaging, `optax.sgd(1.0)`, if None.
      schedule: round -> factor on the clients' learning rate; 1 if None.
      local_epochs: passes over a client's data in a round.
      batch_size: examples in a local batch.
      clients_per_round: clients drawn for each round, without replacement; 0 for all.
      sampling: how they are drawn, one of `sampling.SAMPLERS`.
      candidates: clients that `power_of_choice` draws by size, of which those with the highest
        loss train; 0 for other samplings.
      availability: which clients are available in which round, for `availability`. A round with
        fewer than `clients_per_round` trains those, and leaves the other slots empty.
      drop_nonfinite: whether a client whose update is not finite is left out of the round's mean.
      faults: clients that fail.
      augment: random change of each training input, `(inputs of one example, key) -> inputs`, such
        as `augmentation("crop", "flip")` of images; None for none. The key is that of the client,
        round, pass and example. Evaluation and calibration read the inputs as they are.
    """

    server_optimizer: optax.GradientTransformation | None = None
    schedule: Callable[[jax.Array], jax.Array] | None = None
    local_epochs: int = 1
    batch_size: int = 32
    clients_per_round: int = 0
    sampling: str = UNIFORM
    candidates: int = 0
    availability: Availability | None = None
    drop_nonfinite: bool = False
    faults: Faults = dataclasses.field(default_factory=Faults)
    augment: AugmentFn | None = None

    def __post_init__(self) -> None:
        """Refuses counts out of range."""
        _check_least("local_epochs", self.local_epochs, 1)
        _check_least("batch_size", self.batch_size, 1)
        _check_least("clients_per_round", self.clients_per_round, 0)
        _check_sampling(self)


@dataclasses.dataclass(frozen=True)
class Execution:
    """How cohorts run; results are equal within float tolerance.

    Attributes:
      mode: `masked` computes every client at full size, in one program; `sliced` computes narrow
        subnets, and compiles as many sizes as a run amortises; `auto` chooses (see
        `program.choose_mode`).
      client_block: clients in one `vmap`; 0 for one on CPUs and for all of a size elsewhere.
      mesh: devices by what they share, such as `seeds:2,clients:4`; `auto` for all devices, of
        which as many as divide them share the trials of a program, and the others the cohorts
        (see `mesh.parse_mesh`).
      stream: whether only the clients of a round are on the device, for populations that are
        larger than its memory.
    """

    mode: str = "auto"
    client_block: int = 0
    mesh: str = AUTO
    stream: bool = False

    def __post_init__(self) -> None:
        """Refuses unknown modes and counts out of range."""
        if self.mode not in ("auto", *MODES):
            raise UserError(f"unknown `mode` {self.mode!r}: use one of auto, {', '.join(MODES)}")
        _check_least("client_block", self.client_block, 0)
        parse_mesh(self.mesh)


@dataclasses.dataclass(frozen=True)
class Reporting:
    """What a run evaluates, and when.

    Attributes:
      eval_every: rounds between evaluations; the last round is evaluated in any case.
      tail_fraction: share of clients that the tail accuracy averages over.
      eval_clients: clients that are evaluated, the same in all rounds, arms and methods of a seed
        (see `views.chosen_clients`); 0 for all.
      draw: whose subnets are evaluated where they change from round to round, one of
        `draws.DRAWS`: those of the last round, or those of the next one, which no client has
        trained.
      levels: sizes, by name, whose accuracies on the test examples of all clients go into the
        table `sizes`, whether or not clients have these sizes.
    """

    eval_every: int = 5
    tail_fraction: float = 0.25
    eval_clients: int = 0
    draw: str = "last"
    levels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        _check_least("eval_every", self.eval_every, 1)
        _check_least("eval_clients", self.eval_clients, 0)
        if not 0 <= self.tail_fraction <= 1:
            raise UserError(f"`tail_fraction` is {self.tail_fraction}: it is a share, from 0 to 1")
        if self.draw not in DRAWS:
            raise UserError(f"unknown `draw` {self.draw!r}: use one of {', '.join(DRAWS)}")


def _check_sampling(training: Training) -> None:
    """Refuses ways to draw clients that do not fit each other."""
    sampling, count = training.sampling, training.clients_per_round
    if sampling not in SAMPLERS:
        raise UserError(f"unknown `sampling` {sampling!r}: use one of {', '.join(SAMPLERS)}")
    if sampling not in (UNIFORM, AVAILABILITY) and not count:
        raise UserError(
            f"`sampling` {sampling} draws some of the clients: set `clients_per_round` above 0"
        )
    if (sampling == AVAILABILITY) != (training.availability is not None):
        raise UserError(f"`sampling` {AVAILABILITY} needs `availability`, and only it does")
    if sampling != POWER_OF_CHOICE and training.candidates:
        raise UserError(f"`candidates` is read only with `sampling` {POWER_OF_CHOICE}")
    if sampling == POWER_OF_CHOICE and training.candidates < count:
        raise UserError(
            f"`candidates` is {training.candidates}: {POWER_OF_CHOICE} chooses "
            f"`clients_per_round`, {count}, of them, so it must be at least that"
        )


def _check_least(name: str, value: int, least: int) -> None:
    """Refuses a count below the least that makes sense."""
    if value < least:
        raise UserError(f"`{name}` is {value}: it must be at least {least}")
