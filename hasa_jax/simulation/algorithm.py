"""The noun of the field: a federated algorithm, to be run step by step."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import optax

from hasa_jax.allocation.allocation import Allocation
from hasa_jax.base import ClientReport, FederatedDataset, ServerState, UserError
from hasa_jax.execution.layout import Cohort, Layout
from hasa_jax.methods.method import Method
from hasa_jax.numerics import in_32_bits
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.allocating import make_trial
from hasa_jax.simulation.draws import DRAWS, scored_round
from hasa_jax.simulation.evaluation import Evaluation, EvaluationResult, evaluate_views
from hasa_jax.simulation.feed import EVALUATED, Resident, resident
from hasa_jax.simulation.held import local_to
from hasa_jax.simulation.measuring import measured, measurement
from hasa_jax.simulation.options import Execution, Training
from hasa_jax.simulation.program import Program, make_program
from hasa_jax.simulation.round import init_state, scan_rounds
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import View, chosen_clients
from hasa_jax.supernet.types import ModelSpec


@dataclasses.dataclass(frozen=True)
class FederatedAlgorithm:
    """A method on a model and a data set, as four functions.

    Attributes:
      program: what is compiled.
      trial: data, sizes, and the root key of the allocation.
      layout: who runs where.
      feed: the data on the device.
    """

    program: Program
    trial: Trial
    layout: Layout
    feed: Resident

    @property
    def allocation(self) -> Allocation:
        """Every client's size, and the ledger of the budget."""
        return self.trial.allocation

    @in_32_bits
    def init(self, key: jax.Array) -> ServerState:
        """Returns the server's state before round 0.

        Args:
          key: root key of the run; it is not consumed.

        Returns:
          The state.
        """
        return init_state(self.program, key)

    @in_32_bits
    def sample(self, state: ServerState) -> Cohort:
        """Draws the clients of the next round: who, at which size, with which weight.

        Args:
          state: the server's state, of which the round and the key count.

        Returns:
          The cohort, on the host.

        Raises:
          UserError: if the clients must `measure` first.
        """
        if self.allocation.due(int(state.round)):
            raise UserError(
                f"clients measure before round {int(state.round)}: go on with the algorithm that "
                "`measure` of this one returns"
            )
        trial = self.trial._replace(key=state.key)
        return cohorts.draw(self.program, self.layout, trial, int(state.round), self.feed.homes[0])

    @in_32_bits
    def measure(self, state: ServerState) -> FederatedAlgorithm:
        """Has the clients measure, where a policy that reallocates needs it before the next round.

        Args:
          state: the server's state.

        Returns:
          The algorithm with new sizes of the clients, which shares all compiled code; this one
          where nothing is to be measured.
        """
        if not self.allocation.due(int(state.round)):
            return self
        sizes = cohorts.sizes_in_run([self.allocation], 0)
        asked = measurement(self.program, [self.trial], self.feed, sizes)
        states = jax.tree.map(lambda x: x[None], state)
        (trial,), _ = measured(asked, [self.trial], states, int(state.round))
        return dataclasses.replace(self, trial=trial, feed=self.feed.with_trials([trial]))

    @in_32_bits
    def round(self, state: ServerState, cohort: Cohort) -> tuple[ServerState, ClientReport]:
        """Runs one communication round.

        Args:
          state: the server's state.
          cohort: from `sample`.

        Returns:
          The state afterwards, and what the clients report `[P, V, L]`, as `cohort.slots`.
        """
        data = jax.tree.map(lambda x: x[0], self.feed.splits["train"])
        # One trial, or one round: an axis of one in front.
        stacked = local_to(cohorts.stack([cohort]), self.feed.held)
        state, report = scan_rounds(self.program, state, data, stacked)
        return state, jax.tree.map(lambda x: x[0], report)

    @in_32_bits
    def evaluate(
        self, state: ServerState, split: str = "test", draw: str = "last"
    ) -> EvaluationResult:
        """Evaluates every client's own subnet on that client's own examples.

        Args:
          state: the server's state.
          split: `validation` or `test`.
          draw: whose subnets, one of `draws.DRAWS`.

        Returns:
          Loss and accuracy of each client.

        Raises:
          UserError: for another split or draw.
        """
        if split not in EVALUATED:
            raise UserError(f"unknown `split` {split!r}: use one of {', '.join(EVALUATED)}")
        if draw not in DRAWS:
            raise UserError(f"unknown `draw` {draw!r}: use one of {', '.join(DRAWS)}")
        done = int(state.round)
        states = jax.tree.map(lambda x: x[None], state)
        sizes = self.allocation.own_sizes_at(scored_round(done, draw))
        evaluation = Evaluation(
            program=self.program,
            views=[View(split, "", None, False)],
            feed=self.feed,
            trials=[self.trial],
            sizes_in_run=sizes,
            draw=draw,
            clients=[chosen_clients(self.trial, 0)],
        )
        ((found,),) = evaluate_views(evaluation, states, done)
        return found


@in_32_bits
def build(
    method: Method,
    model: ModelSpec,
    dataset: FederatedDataset,
    *,
    key: jax.Array,
    client_optimizer: optax.GradientTransformation | None = None,
    training: Training | None = None,
    execution: Execution | None = None,
    num_rounds: int = 15,
    scores: np.ndarray | None = None,
) -> FederatedAlgorithm:
    """Builds a federated algorithm, to be run step by step.

    Args:
      method: what is trained, and which part of it each client holds.
      model: a model's specification.
      dataset: train, validation and test examples of every client.
      key: root key of the run; it is not consumed.
      client_optimizer: local optimizer, fresh each round; `optax.adam(0.01)` if None.
      training: epochs, batches, server optimizer, faults.
      execution: how cohorts run on the devices.
      num_rounds: rounds of the run, for `auto` execution and dynamic sizes.
      scores: heterogeneity scores of the clients `[N]`; the method's own if None.

    Returns:
      The algorithm.

    Raises:
      UserError: for parts that do not fit each other, or a budget that cannot be met.
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
    if program.execution.stream:
        raise UserError("a step-by-step algorithm keeps all data on the device: leave `stream` out")
    trial = make_trial(method, program.model, dataset, key, scores)
    sizes = cohorts.sizes_in_run([trial.allocation], num_rounds)
    layout = cohorts.training_layout(program, [trial], sizes)
    return FederatedAlgorithm(program, trial, layout, resident(program, [trial], layout))
