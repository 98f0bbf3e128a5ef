"""What can go wrong in numbers is found, and attributed to a client, a round and a seed."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.server.faults import Faults
from hasa_jax.simulation import health
from hasa_jax.simulation.views import OWN_TEST
from tests.support import small

EXAMPLES = (7, 30, 12, 3, 9)
DATASET = small.dataset(EXAMPLES)


def run(num_rounds, *, labels=None, method=None, **options):
    """Runs some rounds before the first evaluation."""
    program = small.program(small.supernet("mlp"), DATASET.train, method=method, **options)
    (history,) = hj.run_trials(
        program,
        [small.trial(program, DATASET, labels=labels)],
        num_rounds=num_rounds,
        reporting=hj.Reporting(eval_every=num_rounds),
    )
    return history


def test_diverged_training_is_refused():
    with pytest.raises(hj.UserError, match="round 1:"):
        run(2, optimizer=optax.sgd(1e30))


def test_a_run_names_client_round_and_seed_of_an_update_that_is_not_finite():
    with pytest.raises(
        hj.UserError,
        match=r"client 'client .' sent .* not finite in round 1 \(seed 4\).*`drop_nonfinite`",
    ):
        run(3, labels={"seed": 4}, faults=Faults(corrupted=0.2, corruption="nan"))


BROKEN = Faults(corrupted=1.0, corruption="nan")


@pytest.mark.parametrize(
    ("drop", "robust"),
    [(True, "none"), pytest.param(False, "median", marks=pytest.mark.slow)],
)
def test_a_run_that_no_client_reaches_is_refused(drop, robust):
    with pytest.raises(hj.UserError, match="no finite update arrived in rounds 1 to 2"):
        run(2, method=small.plain(robust=robust), faults=BROKEN, drop_nonfinite=drop)


@pytest.mark.parametrize(
    ("faults", "arrived"),
    [(Faults(), 10), (Faults(dropout=1.0), 0), (Faults(deadline=0.001), 0)],
)
def test_updates_that_arrive_are_counted(faults, arrived):
    (record,) = run(2, faults=faults).summary
    assert (record["updates"], record["updates_asked"]) == (arrived, 2 * len(EXAMPLES))


def test_an_update_that_is_left_out_did_not_arrive():
    faults = Faults(corrupted=0.4, corruption="nan")
    (record,) = run(2, faults=faults, drop_nonfinite=True).summary
    assert (record["updates"], record["updates_asked"]) == (6, 10)


def test_updates_that_did_not_arrive_are_said():
    assert health.Updates(10, 10).missing() == ""
    assert health.Updates(3, 10).missing() == "no update arrived in 7 of 10 client-rounds"


def test_what_the_server_did_is_not_attributed_to_a_client():
    server = optax.chain(optax.scale(1e30), optax.sgd(1e30))
    with pytest.raises(hj.UserError, match=r"rounds 1 to 4.*server's learning rate"):
        run(4, server_optimizer=server, drop_nonfinite=True)


# Two clients of weights 2 and 3, in one round of one trial.
DATA = small.client_data((2, 3))
NAMES = SimpleNamespace(dataset=SimpleNamespace(client_names=("one", "other")), labels={})


def checked(*, weight=5.0, share=1.0, finite=True, params=True, rounds=1, method=None, **training):
    """Checks what clients report of some rounds like this one, after 7 others."""
    program = small.program(small.supernet("mlp"), DATA, method=method, **training)
    cohort = small.cohort(program, DATA, [12, 12])
    cohort = jax.tree.map(lambda x: np.stack([x] * rounds)[None], cohort)
    flags = np.broadcast_to(np.asarray(finite), cohort.slots.client.shape)
    sums = (np.full((1, rounds), number) for number in (weight, share))
    found = health.RoundHealth(flags, *sums, np.full((1, rounds), 2))
    health.check_rounds(program, np.array([params]), [(cohort, found)], [NAMES], 7)


def test_every_client_once_passes():
    checked()


@pytest.mark.parametrize("wrong", [{"weight": 2.0}, {"share": 0.6}, {"weight": 10.0}])
def test_a_client_that_is_lost_or_counted_twice_is_found(wrong):
    with pytest.raises(RuntimeError, match="arrived"):
        checked(**wrong)


@pytest.mark.parametrize(
    "may_lack",
    [
        {"drop_nonfinite": True},
        {"faults": Faults(dropout=0.5)},
        {"method": small.plain(robust="median")},
    ],
)
def test_updates_may_be_lost_where_something_loses_them(may_lack):
    checked(weight=2.0, **may_lack)
    with pytest.raises(RuntimeError, match="arrived"):
        checked(weight=6.0, **may_lack)


@pytest.mark.parametrize(
    "may_lack", [{"drop_nonfinite": True}, {"method": small.plain(robust="median")}]
)
def test_silence_is_refused_unless_updates_get_lost_by_chance(may_lack):
    with pytest.raises(hj.UserError, match="no finite update arrived in rounds 8 to 9"):
        checked(weight=0.0, share=0.0, rounds=2, **may_lack)
    checked(weight=0.0, share=0.0, rounds=2, faults=Faults(dropout=0.5))


def test_the_first_round_and_client_are_named():
    # Clients are in turns; the second is in the first turn, having more examples.
    finite = np.ones((1, 3, 1, 2, 1), bool)
    finite[0, 1:, 0, 0] = False
    with pytest.raises(hj.UserError, match=r"client '(one|other)' .* in round 9:"):
        checked(finite=finite, params=False, rounds=3)


def test_a_loss_that_is_no_number_names_its_client():
    result = hj.EvaluationResult(
        view=OWN_TEST,
        client_names=("one", "other"),
        sizes=np.ones(2),
        loss=np.array([1.0, np.inf]),
        accuracy=np.ones(2),
        targets=np.ones(2),
    )
    trial = SimpleNamespace(dataset=NAMES.dataset, labels={"seed": 3})
    with pytest.raises(
        hj.UserError, match=r"client 'other' \(test\) is not finite after round 6 \(seed 3\)"
    ):
        health.check_losses(trial, [result], 6)
    trial = SimpleNamespace(dataset=NAMES.dataset, labels={"seed": 3, "fold": 2})
    with pytest.raises(hj.UserError, match=r"round 6 \(seed 3, fold 2\)"):
        health.check_losses(trial, [result], 6)
    fine = dataclasses.replace(result, loss=np.array([1.0, np.nan]))
    health.check_losses(trial, [fine], 6)
