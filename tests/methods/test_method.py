"""A method is one object: what it refuses, how it is changed, what it allocates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.methods import describe
from hasa_jax.supernet import losses
from tests.methods.programs import rounds
from tests.support import small

KEY = jax.random.key(5)
H = 16


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"aggregation": "mode"}, "unknown `aggregation` 'mode': use one of coverage, full"),
        ({"robust": "mode"}, "unknown `robust` 'mode': use one of none, norm_clip"),
        ({"client_weights": "loss"}, "unknown `client_weights` 'loss': use one of examples"),
        ({"norm": "spectral"}, "unknown `norm` 'spectral': use one of static, batch"),
        ({"scaler": "often"}, "unknown `scaler` 'often': use one of none, train"),
        ({"trim": 0.5}, "`trim` is 0.5"),
        ({"trim": -0.1}, "`trim` is -0.1"),
        ({"trim": np.nan}, "`trim` is nan"),
        ({"proximal": -1.0}, "`proximal` is -1.0"),
        ({"proximal": np.inf}, "`proximal` is inf"),
        ({"extraction": hj.methods.scalefl().extraction}, "all their exits"),
        ({"objective": hj.methods.scalefl().objective}, "all their exits"),
        ({"extraction": hj.EXTRACTIONS["ordered_dropout"](teacher=True)}, "the other way round"),
        ({"objective": hj.OBJECTIVES["self_distillation"]()}, "the other way round"),
    ],
)
def test_what_is_no_method_is_refused(fields, match):
    with pytest.raises(hj.UserError, match=match):
        small.plain(**fields)


@pytest.mark.parametrize("name", sorted(hj.METHODS))
def test_every_field_can_be_replaced(name):
    method = hj.METHODS[name]()
    other = dataclasses.replace(method, aggregation="full", proximal=0.1)
    assert (other.aggregation, other.proximal) == ("full", 0.1)
    assert other.policy is method.policy


@pytest.mark.parametrize("name", sorted(hj.METHODS))
def test_a_method_has_the_name_of_its_factory_and_a_summary_of_one_line(name):
    method = hj.METHODS[name]()
    line = describe(method)
    assert method.name == name
    assert "\n" not in line
    assert line.startswith(f"{method.summary}: policy={method.policy.name}, ")
    for part in ("extraction", "objective"):
        assert f"{part}={getattr(method, part).name}, " in line
    assert f"norm={method.norm}, " in line


SIZES = (30, 14, 8, 6, 4, 3, 1)
SCORES = np.array([0.02, 0.09, 0.06, 0.06, 0.07, 0.08, 0.17])


def allocated(method, model=None):
    return hj.allocate(
        small.client_data(SIZES, kind="lstm"),
        model or small.lstm(hidden=H),
        policy=method.policy,
        key=KEY,
        scores=SCORES,
        budget=method.budget,
        extraction=method.extraction,
    )


class TestForgettingNothingChangesTheMethod:
    """What a method allocates follows from the method: no argument says whether to follow it."""

    @pytest.mark.parametrize("name", ["coordinate_median", "fedavg", "trimmed_mean"])
    def test_these_train_the_supernet_whatever_the_budget(self, name):
        allocation = allocated(hj.METHODS[name]())
        assert allocation.sizes.tolist() == [H] * 7
        assert np.isnan(allocation.ledger.requested)

    @pytest.mark.parametrize("name", ["federated_dropout", "fedrolex", "fjord", "heterofl"])
    def test_these_share_the_budget_evenly(self, name):
        allocation = allocated(hj.METHODS[name]())
        assert allocation.sizes.tolist() == [8] * 7
        assert allocation.ledger.requested == 0.5
        assert allocation.ledger.width == 0.5

    def test_hasa_gives_wide_subnets_to_high_scores(self):
        # Profile .2, .7, .35, .35, .5, .6, .8; the caps are 12 units. Two passes, times 1.304 and
        # 1.059, end at a mean width of .488: the largest client is left at 4.4 units.
        allocation = allocated(hj.methods.hasa())
        assert allocation.sizes.tolist() == [4, 12, 8, 8, 12, 12, 12]
        assert allocation.ledger.requested == 0.5
        # The exact projection scales by 1.514.
        exact = allocated(hj.methods.hasa(projection="exact"))
        assert exact.sizes.tolist() == [5, 12, 8, 8, 12, 12, 12]

    def test_inverse_hasa_gives_narrow_ones(self):
        # Profile .8, .3, .65, .65, .5, .4, .2 times .810; w_min is 3 units.
        sizes = allocated(hj.methods.hasa(inverse=True)).sizes
        assert sizes.tolist() == [10, 4, 9, 9, 7, 5, 3]

    def test_scalefl_shares_the_budget_evenly(self):
        model = small.lstm(hidden=H, layers=2, **small.TWO_EXITS)
        allocation = allocated(hj.methods.scalefl(), model)
        # k units of the first exit have the width .0875 k; the remainder of 5 units each goes to
        # the clients in which one more unit fits.
        assert allocation.sizes.tolist() == [6, 6, 5, 5, 5, 6, 5]
        assert allocation.ledger.requested == 0.5
        assert 0.4 < allocation.ledger.width <= 0.5

    def test_fiarse_shares_the_parameters_evenly(self):
        allocation = allocated(hj.methods.fiarse())
        # k units have 4 k^2 + 25 k + 33 of 1457 parameters: .469 for 10 units, .544 for 11.
        assert allocation.sizes.tolist() == [10, 11, 11, 10, 11, 10, 11]
        ledger = allocation.ledger
        assert (ledger.requested, ledger.unit) == (0.5, "params")
        assert 0.4 < ledger.params <= 0.5

    @pytest.mark.parametrize("name", ["federated_dropout", "fedrolex", "fjord", "heterofl"])
    def test_levels_stay_as_they_are_whatever_the_budget(self, name):
        method = hj.METHODS[name](levels=(1, 1, 0.5, 0.25), budget=0.3)
        allocation = allocated(method)
        # One client in seven has each of the first three levels, the rest has the last one.
        assert allocation.sizes.tolist() == [16, 16, 8, 4, 4, 4, 4]
        assert np.isnan(allocation.ledger.requested)

    def test_levels_of_fiarse_are_fractions_of_parameters(self):
        # k units have 4 k^2 + 25 k + 33 of 1457 parameters: .224 for 6 units, .277 for 7.
        sizes = allocated(hj.methods.fiarse(levels=(1, 0.25))).sizes
        assert sizes.tolist() == [16] * 3 + [6] * 4


@pytest.mark.parametrize("mu", [0.0, 3.0])
def test_fedprox_pulls_towards_the_broadcast(mu):
    model, data = small.mlp(), small.client_data((30,))
    start, end = rounds(model, data, [12], small.plain(proximal=mu))
    _, free = rounds(model, data, [12])
    assert (small.max_difference(start, end) < small.max_difference(start, free)) == (mu > 0)


def test_fedprox_by_hand():
    """Two full-batch steps: the second feels the pull of the first."""
    model, data = small.mlp(), small.client_data((6,))
    start, end = rounds(model, data, [12], small.plain(proximal=0.5), batch_size=8, local_epochs=2)

    def loss(params):
        logits, _ = model.apply(params, data.inputs, hj.Context(train=True))
        values, _ = losses.target_losses(logits[-1], jnp.asarray(data.targets), jnp.ones(6, bool))
        return values.mean()

    params = start
    for _ in range(2):
        params = jax.tree.map(
            lambda p, g, s: p - 0.2 * (g + 0.5 * (p - s)), params, jax.grad(loss)(params), start
        )
    small.assert_trees_close(end, params, atol=1e-6)
