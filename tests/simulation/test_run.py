"""Many rounds: stretches, seeds, histories."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution import MODES
from hasa_jax.simulation.views import chosen_clients
from hasa_jax.simulation.writers import TABLES
from tests.support import small

KEY = jax.random.key(8)
DATASET = small.dataset()


@functools.cache
def program_of(mode, clients_per_round):
    """Makes a program once, so that runs share what they compile."""
    return small.program(
        small.supernet("mlp"),
        DATASET.train,
        mode,
        optimizer=optax.adam(0.03),
        clients_per_round=clients_per_round,
    )


PLAIN = functools.partial(program_of, "masked", 0)


def run(program, trial, num_rounds, eval_every=2, **reporting):
    """Runs one trial."""
    reporting = hj.Reporting(eval_every=eval_every, **reporting)
    return hj.run_trials(program, [trial], num_rounds=num_rounds, reporting=reporting)[0]


def test_any_chunking_of_rounds_gives_the_same_run():
    trial = small.trial(PLAIN(), DATASET, policy=hj.POLICIES["hasa"](), key=KEY)
    one, two = (run(PLAIN(), trial, 5, every) for every in (1, 2))
    assert [record["round"] for record in one.summary] == [1, 2, 3, 4, 5]
    assert [record["round"] for record in two.summary] == [2, 4, 5]
    small.assert_trees_close(one.state.params, two.state.params, atol=1e-6)
    last = [history.metrics[-16:] for history in (one, two)]
    for record, other in zip(*last, strict=True):
        assert record == {**other, "loss": pytest.approx(other["loss"], abs=1e-5)}


def test_training_learns():
    dataset = dataclasses.replace(DATASET, test=DATASET.train)
    history = run(PLAIN(), small.trial(PLAIN(), dataset, sizes=[9] * 4), 40)
    majority = np.bincount(dataset.train.targets).max() / len(dataset.train.targets)
    assert history.summary[-1]["weighted_accuracy"] > 1.5 * majority


def test_policies_of_one_seed_share_initialisation_and_batches():
    """Matched seeds: at equal sizes two policies are the same run, bit for bit."""
    budget = hj.BudgetSpec(w_min=0.5, w_max=0.5)
    trials = [
        small.trial(PLAIN(), DATASET, policy=hj.POLICIES[name](), budget=budget)
        for name in ("uniform", "hasa")
    ]
    small.assert_trees_equal(*[run(PLAIN(), trial, 2).state.params for trial in trials])


def test_other_seeds_are_other_runs():
    trial = small.trial(PLAIN(), DATASET)
    ends = [
        run(PLAIN(), trial._replace(key=jax.random.key(seed)), 2).state.params for seed in (0, 1)
    ]
    assert small.max_difference(*ends) > 1e-3


def test_drawn_cohorts_train_alike_in_every_execution():
    policy = hj.POLICIES["levels"]((1.0, 0.5), dynamic=True)
    ends, sizes = [], set()
    for mode in MODES:
        program = program_of(mode, 2)
        trial = small.trial(program, DATASET, policy=policy)
        history = run(program, trial, 4)
        ends.append(history.state.params)
        sizes |= {tuple(trial.allocation.sizes_at(round)) for round in range(5)}
        own = [record["size"] for record in history.metrics if record["split"] == "test"]
        expected = [trial.allocation.sizes_at(round) for round in (1, 3)]
        np.testing.assert_array_equal(own, np.concatenate(expected))
    assert len(sizes) > 2
    small.assert_trees_close(*ends, atol=1e-5)


def test_who_takes_no_part_is_evaluated_but_never_trained():
    budget = hj.BudgetSpec(capacities=(1, 0.5, 1, 0.5))
    trial = small.trial(PLAIN(), DATASET, policy=hj.POLICIES["exclusive"](), budget=budget)
    history = run(PLAIN(), trial, 1)
    own = [record for record in history.metrics if record["split"] == "test"]
    assert [record["width"] for record in own] == [1, 0.5, 1, 0.5]
    # What the others hold does not change the run.
    broken = DATASET.train.replace(inputs=np.array(DATASET.train.inputs))
    for client in (1, 3):
        broken.inputs[slice(*broken.offsets[client : client + 2])] = 7
    other = run(PLAIN(), trial._replace(dataset=dataclasses.replace(DATASET, train=broken)), 1)
    small.assert_trees_equal(history.state.params, other.state.params)


def test_runs_need_a_round():
    with pytest.raises(hj.UserError, match="`num_rounds` is 0"):
        run(PLAIN(), small.trial(PLAIN(), DATASET), 0)


EXAMPLES = (7, 30, 12, 3, 9)


def assert_trials_are_themselves(program, trials, num_rounds):
    """Runs trials in one program, and one by one."""
    options = {"num_rounds": num_rounds, "reporting": hj.Reporting(eval_every=num_rounds)}
    for trial, history in zip(trials, hj.run_trials(program, trials, **options), strict=True):
        (own,) = hj.run_trials(program, [trial], **options)
        small.assert_trees_close(history.state.params, own.state.params, atol=1e-5)
        assert len(history.metrics) == len(own.metrics) > 0
        for one, other in zip(history.metrics, own.metrics, strict=True):
            assert one == {**other, "loss": pytest.approx(other["loss"], abs=1e-5)}
        for one, other in zip(history.timings, own.timings, strict=True):
            assert one.keys() == other.keys()


@pytest.mark.parametrize(
    ("devices", "examples"),
    [
        (2, (9, 7, 30, 12, 3)),
        # Padding fills up the data of the first seed.
        pytest.param(1, (8, 31, 13, 4, 10), marks=pytest.mark.slow),
        pytest.param(2, (8, 31, 13, 4, 10), marks=pytest.mark.slow),
    ],
)
def test_seeds_in_one_program_are_seeds_one_by_one(devices, examples):
    program, trials = None, []
    for seed, own in enumerate([EXAMPLES, examples]):
        dataset = small.dataset(own)
        program = program or small.program(
            small.supernet("mlp"), dataset.train, mesh=f"clients:{devices}", clients_per_round=4
        )
        key, labels = jax.random.key(seed), {"seed": seed}
        trials.append(small.trial(program, dataset, key=key, labels=labels))
    assert_trials_are_themselves(program, trials, 2)


@pytest.mark.slow
def test_seeds_in_one_program_are_calibrated_on_their_own_examples():
    """Padding that fills up the smaller seed belongs to no client."""
    model, trials = small.perceptron(norm="static"), []
    program = small.program(model, small.client_data((7, 30, 12, 3), "perceptron"))
    for seed, examples in enumerate([(7, 30, 12, 3), (90, 190, 40, 9)]):
        dataset = small.dataset(examples, kind="perceptron")
        trials.append(small.trial(program, dataset, key=jax.random.key(seed)))
    assert_trials_are_themselves(program, trials, 1)


def test_writers_get_every_record_once():
    written = {table: [] for table in TABLES}

    class Collect:
        def write(self, table, new):
            written[table].extend(new)

        def close(self):
            pass

    trial = small.trial(PLAIN(), DATASET)
    (history,) = hj.run_trials(
        PLAIN(),
        [trial],
        num_rounds=2,
        reporting=hj.Reporting(eval_every=2, levels={"half": 6}),
        writers=[Collect()],
    )
    assert written.pop("measured") == history.measured == []
    for table, records in written.items():
        assert records == getattr(history, table) != []


@pytest.mark.parametrize("stream", [False, True])
def test_a_sample_of_clients_is_evaluated_as_in_the_full_run(stream):
    dataset = small.dataset((9, 30, 12, 10, 8, 20))
    program = small.program(small.supernet("mlp"), dataset.train, clients_per_round=2)
    trial = small.trial(program, dataset, policy=hj.POLICIES["random"]())
    everyone = run(program, trial, 4)
    execution = dataclasses.replace(program.execution, stream=stream)
    program = dataclasses.replace(program, execution=execution)
    some = run(program, trial, 4, eval_clients=3, levels={"half": 6})
    names = sorted({record["client"] for record in some.metrics})
    assert len(names) == 3
    expected = [record for record in everyone.metrics if record["client"] in names]
    assert [r["client"] for r in some.metrics] == [r["client"] for r in expected]
    for record, other in zip(some.metrics, expected, strict=True):
        assert record == {**other, "loss": pytest.approx(other["loss"], abs=1e-6)}
    small.assert_trees_equal(some.state.params, everyone.state.params)
    last = [r for r in some.metrics if (r["round"], r["split"]) == (4, "test")]
    accuracy = np.array([r["accuracy"] for r in last])
    weights = [r["num_examples"] for r in last]
    assert some.summary[-1]["mean_accuracy"] == pytest.approx(accuracy.mean())
    assert some.summary[-1]["weighted_accuracy"] == pytest.approx(
        np.average(accuracy, weights=weights)
    )
    assert some.sizes[-1]["size"] == 6


def test_the_sample_follows_the_seed_and_nothing_else():
    dataset = small.dataset((9,) * 40)
    program = small.program(small.supernet("mlp"), dataset.train)
    trials = [
        small.trial(program, dataset, policy=hj.POLICIES[policy](), key=jax.random.key(seed))
        for seed in range(2)
        for policy in ("uniform", "hasa")
    ]
    chosen = [chosen_clients(trial, 10).tolist() for trial in trials]
    assert chosen[0] == chosen[1] == sorted({*chosen[0]})
    assert chosen[2] == chosen[3] != chosen[0]
    assert all(len(own) == 10 for own in chosen)
    for count in (0, 40, 41):
        assert chosen_clients(trials[0], count).tolist() == list(range(40))


def test_seeds_of_one_program_have_their_own_samples():
    dataset = small.dataset((9,) * 8)
    program = small.program(small.supernet("mlp"), dataset.train)
    trials = [
        small.trial(program, dataset, key=jax.random.key(seed), labels={"seed": seed})
        for seed in range(2)
    ]
    reporting = hj.Reporting(eval_every=2, eval_clients=3)
    histories = hj.run_trials(program, trials, num_rounds=2, reporting=reporting)
    for trial, history in zip(trials, histories, strict=True):
        names = [dataset.client_names[client] for client in chosen_clients(trial, 3)]
        tested = [r["client"] for r in history.metrics if r["split"] == "test"]
        assert tested == names
    assert len({tuple(r["client"] for r in history.metrics) for history in histories}) == 2
