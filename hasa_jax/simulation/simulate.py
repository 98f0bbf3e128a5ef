"""A complete run in one call, and its result."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from hasa_jax.allocation.ledger import Ledger
from hasa_jax.base import FederatedDataset, Params, PyTree, ServerState, UserError
from hasa_jax.methods.method import Method
from hasa_jax.numerics import in_32_bits
from hasa_jax.simulation.allocating import make_trial
from hasa_jax.simulation.baseline import baseline
from hasa_jax.simulation.checkpoint import Checkpoints
from hasa_jax.simulation.deploy import deploy, deployed_moments
from hasa_jax.simulation.draws import scored_round, scored_state
from hasa_jax.simulation.options import Execution, Reporting, Training
from hasa_jax.simulation.program import Program, make_program
from hasa_jax.simulation.records import updates_in
from hasa_jax.simulation.run import History, run_trials
from hasa_jax.simulation.run_json import named
from hasa_jax.simulation.saved import save_run
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import chosen_clients
from hasa_jax.simulation.writers import TABLES, Writer
from hasa_jax.supernet.types import ModelSpec


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
      program: what was run.
      trial: data, sizes and key of the run.
      history: the final state and all records.
      reporting: what was evaluated.
    """

    program: Program
    trial: Trial
    history: History
    reporting: Reporting

    @property
    def state(self) -> ServerState:
        """The server's final state."""
        return self.history.state

    @property
    def ledger(self) -> Ledger:
        """Requested and achieved budgets; `executed` is that of the mode in which the run was."""
        executed = self.history.summary[-1]["budget_executed"]
        return dataclasses.replace(self.trial.allocation.ledger, executed=executed)

    @property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        """All records by table: `metrics`, `summary`, `sizes`, `measured`, `timings`."""
        return {table: getattr(self.history, table) for table in TABLES}

    def table(self) -> str:
        """Returns mean, worst and tail client test accuracy of each evaluated round, as text.

        Line `majority` is what always predicting the most frequent training target reaches. A line
        says which budget was requested and achieved, and another one how many updates did not
        arrive, if any.
        """
        lines = [f"{'round':>8}  {'mean %':>7}  {'worst %':>7}  {'tail %':>7}"]
        clients = chosen_clients(self.trial, self.reporting.eval_clients)
        trivial = baseline(self.trial.source, self.reporting.tail_fraction, clients)
        for row in (*self.history.summary, {"round": "majority", **trivial}):
            mean, worst, tail = (100 * row[f"{m}_accuracy"] for m in ("mean", "worst", "tail"))
            lines.append(f"{row['round']:>8}  {mean:>7.2f}  {worst:>7.2f}  {tail:>7.2f}")
        ledger = self.ledger
        asked = "none" if np.isnan(ledger.requested) else f"{ledger.requested:g} ({ledger.unit})"
        lines.append(
            f"{self.program.method.name}: budget {asked}; achieved width {ledger.width:.3f}, "
            f"params {ledger.params:.3f}, MACs {ledger.macs:.3f}, bytes {ledger.bytes:.3f}, "
            f"executed {ledger.executed:.3f}"
        )
        if missing := updates_in(self.history.summary[-1]).missing():
            lines.append(missing)
        return "\n".join(lines)

    def save(
        self,
        folder: str | os.PathLike[str],
        settings: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        fold: int = 0,
    ) -> pathlib.Path:
        """Writes the records as the files that the scripts write, with `run.json`.

        The columns `method`, `policy`, `extraction`, `aggregation`, `seed` and `fold` go before
        the others. The script `tables` reads the folder, and merges several of them, also with
        those of scripts.

        Args:
          folder: where the files go; made if it is not there.
          settings: what the run cannot know of itself, such as `{"client_optimizer": "sgd",
            "client_lr": 0.1}`, by the names of the scripts where they have one. Runs that differ
            in them are different arms of a table.
          seed: what tables call the run. Runs of several arms that share it are paired. The key
            as an integer if None, 7 for `jax.random.key(7)`.
          fold: which of the folds of the seed the data set is, from 1 on; 0 if there are none.
            Tables take the mean over the folds of a seed.

        Returns:
          The folder.

        Raises:
          UserError: for `settings` that are no texts, numbers or lists, or that the run records
            itself, for a seed or fold that is no integer of 0 or more, if the folder holds results
            already, or cannot be written.
        """
        rounds = int(self.state.round)
        return save_run(
            folder,
            self.program,
            self.trial,
            self.records,
            rounds,
            self.reporting,
            {} if settings is None else settings,
            named(self.trial, seed, fold),
        )

    @in_32_bits
    def subnet(self, client: str | int) -> tuple[Any, Params]:
        """Takes a client's trained subnet out of the supernet, to deploy.

        Args:
          client: name or id.

        Returns:
          A truly narrow module and its parameters. `module.apply({"params": params}, x)` of a
          linen module, and `module(x)` of an nnx module, which has its parameters, computes what
          the client's subnet computes inside the supernet. A model with static norms also needs
          `{"moments": result.moments(client)}`.

        Raises:
          UserError: for an unknown client.
        """
        number, size = self._client(client)
        return deploy(self.program, self._scored, self.trial.dataset.train, number, size)

    @in_32_bits
    def moments(self, client: str | int) -> PyTree:
        """Returns the calibrated moments of a client's subnet; empty without static norms.

        Args:
          client: name or id.

        Raises:
          UserError: for an unknown client.
        """
        number, size = self._client(client)
        return deployed_moments(self.program, self._scored, self.trial.dataset.train, number, size)

    def classes(self, client: str | int) -> np.ndarray:
        """Returns the classes among which a client's recorded accuracy chooses `[K]`, bool.

        HeteroFL and FedRolex hide the logits of classes that a client has no training example of,
        in evaluation too. Who deploys the subnet of such a method hides them as well, by
        `np.where(result.classes(client), logits, -np.inf)`. All other methods choose among all.

        Args:
          client: name or id.

        Raises:
          UserError: for an unknown client.
        """
        number, _ = self._client(client)
        train = self.trial.dataset.train
        if not self.program.method.objective.own_classes:
            return np.ones(train.num_classes, bool)
        first, last = np.asarray(train.offsets)[number : number + 2]
        targets = np.asarray(train.targets[first:last]).ravel()
        return np.bincount(targets[targets >= 0], minlength=train.num_classes) > 0

    @property
    def _scored(self) -> ServerState:
        """The final state at the round whose subnets were evaluated."""
        return scored_state(self.state, self.reporting.draw)

    def _client(self, client: str | int) -> tuple[int, int]:
        """Returns a client's id and size."""
        names = self.trial.dataset.client_names
        if client in names:
            client = names.index(str(client))
        if not isinstance(client, int | np.integer) or not 0 <= client < len(names):
            known = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
            raise UserError(f"no `client` is called {client!r}: the clients are {known}")
        round = scored_round(int(self.state.round), self.reporting.draw)
        sizes = self.trial.allocation.own_sizes_at(round)
        return int(client), int(sizes[client])


@in_32_bits
def simulate(
    method: Method,
    model: ModelSpec,
    dataset: FederatedDataset,
    *,
    num_rounds: int,
    key: jax.Array,
    client_optimizer: optax.GradientTransformation | None = None,
    training: Training | None = None,
    execution: Execution | None = None,
    reporting: Reporting | None = None,
    scores: np.ndarray | None = None,
    writers: Sequence[Writer] = (),
    checkpoints: Checkpoints | None = None,
) -> Result:
    """Trains a method for some rounds, evaluating as it goes.

    Args:
      method: what is trained, and which part of it each client holds.
      model: a model's specification.
      dataset: train, validation and test examples of every client.
      num_rounds: communication rounds.
      key: root key of the run; it is not consumed.
      client_optimizer: local optimizer, fresh each round; `optax.adam(0.01)` if None.
      training: epochs, batches, server optimizer, faults.
      execution: how cohorts run on the devices.
      reporting: what is evaluated, and when.
      scores: heterogeneity scores of the clients `[N]`; the method's own if None.
      writers: take the records as they come.
      checkpoints: where the run begins, and what it leaves there.

    Returns:
      The result.

    Raises:
      UserError: for parts that do not fit each other, a budget that cannot be met, or training that
        diverged.
    """
    program = make_program(
        method,
        model,
        dataset,
        client_optimizer=client_optimizer,
        training=training,
        execution=execution,
        num_rounds=num_rounds,
    )
    trial = make_trial(method, program.model, dataset, key, scores)
    (history,) = run_trials(
        program,
        [trial],
        num_rounds=num_rounds,
        reporting=reporting,
        writers=writers,
        checkpoints=checkpoints,
    )
    trial = trial._replace(allocation=history.allocation)
    return Result(program, trial, history, reporting or Reporting())
