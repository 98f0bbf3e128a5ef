"""Units drawn every round."""

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.extraction import random
from hasa_jax.supernet import units
from tests.support import small
from tests.support.broadcasts import KEY, ranks_of, sent


def test_it_keeps_each_unit_with_equal_probability():
    model, rounds, kept = small.mlp(first=8), 2000, 3
    params = model.init(KEY)

    def drawn(round):
        return ranks_of(random(), sent(model, params, round=round))["first"] < kept

    draws = np.asarray(jax.jit(jax.vmap(drawn))(jnp.arange(rounds)))
    share = kept / 8
    error = np.sqrt(share * (1 - share) / rounds)
    np.testing.assert_allclose(draws.mean(axis=0), share, atol=4.5 * error)


def test_it_covers_a_hidden_matrix_by_the_product_of_shares():
    model = small.mlp(first=8, second=8)
    params, rounds = model.init(KEY), 1000

    def coverage(round):
        ranks = ranks_of(random(), sent(model, params, round=round))
        masks = units.masks(model.shapes, model.axes, ranks, {"first": 2, "second": 4})
        return masks["Dense_1"]["kernel"]

    mean = jax.jit(lambda r: jnp.mean(jax.vmap(coverage)(r), axis=0))(jnp.arange(rounds))
    error = np.sqrt(1 / 8 * 7 / 8 / rounds)
    np.testing.assert_allclose(mean, 2 / 8 * 4 / 8, atol=5 * error)


def test_it_depends_on_seed_round_client_and_group():
    model = small.mlp(first=12, second=12)
    params = model.init(KEY)
    base = sent(model, params, client=1, round=1)
    others = [
        base._replace(round=jnp.int32(2)),
        base._replace(client=jnp.int32(2)),
        base._replace(key=jax.random.key(6)),
    ]
    drawn = [ranks_of(random(), broadcast) for broadcast in (base, *others)]
    permutations = {tuple(ranks[group].tolist()) for ranks in drawn for group in ranks}
    assert len(permutations) == 8


def test_a_shared_draw_is_one_for_all_clients():
    model = small.mlp()
    params = model.init(KEY)
    draws = [ranks_of(random(shared=True), sent(model, params, client=client)) for client in (0, 5)]
    small.assert_trees_equal(*draws)
    own = ranks_of(random(), sent(model, params, client=0))
    assert any(np.any(own[group] != draws[0][group]) for group in own)
