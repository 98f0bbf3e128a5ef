"""What is left of a network where single parameters are cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.allocation import POLICIES, BudgetSpec, allocate
from hasa_jax.allocation.connection import CONNECTED, connection
from hasa_jax.extraction import EXTRACTIONS, importance
from hasa_jax.supernet.types import Extraction, ParameterMask
from tests.support import small

KEY = jax.random.key(3)


def scaled(model, layer, factor):
    """Initial parameters with the weights of one layer made smaller or larger."""
    params = model.init(KEY)
    return {**params, layer: jax.tree.map(lambda x: factor * x, params[layer])}


def test_a_network_without_the_weights_of_one_layer_is_severed():
    model = small.mlp()
    # 48 + 12, 96 + 8 and 40 + 5 parameters; the half of largest magnitude leaves out layer 2.
    found = connection(model, importance(), scaled(model, "Dense_1", 1e-6), 6, KEY)
    assert found.empty_layers == pytest.approx(1 / 3)
    assert found.severed


def test_a_network_with_a_weight_in_every_layer_is_not():
    model = small.mlp()
    assert connection(model, importance(), model.init(KEY), 12, KEY) == CONNECTED
    assert not connection(model, importance(threshold="layer"), model.init(KEY), 6, KEY).severed


def test_shortcuts_keep_a_path_that_empty_layers_would_cut():
    params = small.resnet18().init(KEY)
    shrunk = {
        block: {
            name: jax.tree.map(lambda x: x * jnp.float32(1e-6), leaf)
            if block.startswith("stage_4") and name.startswith("conv")
            else leaf
            for name, leaf in layers.items()
        }
        for block, layers in params.items()
    }
    found = connection(small.resnet18(), importance(), shrunk, 5, KEY)
    assert found.empty_layers > 0
    assert not found.severed


def test_texts_have_paths_too():
    model = small.transformer()
    params = jax.tree.map(jnp.zeros_like, model.init(KEY))
    assert connection(model, importance(), params, model.groups["embed"], KEY).severed
    assert not connection(model, importance(), model.init(KEY), model.groups["embed"], KEY).severed


@pytest.mark.parametrize("name", sorted(set(EXTRACTIONS) - {"importance", "pruning_greedy"}))
def test_units_never_sever(name):
    model = small.mlp()
    if name != "depth_width":
        assert connection(model, EXTRACTIONS[name](), model.init(KEY), 1, KEY) == CONNECTED


def test_the_ledger_says_how_many_clients_are_severed():
    # A plain network of five layers; its deepest convolutions have the smallest weights.
    model, data = small.cnn(), small.client_data((8, 12, 4, 9), kind="cnn")

    def severed(levels):
        return allocate(
            data,
            model,
            policy=POLICIES["levels"](levels),
            key=KEY,
            budget=BudgetSpec(unit="params"),
            extraction=importance(levels=levels),
        ).ledger.severed

    assert severed((1.0, 0.02)) == 0.5
    assert severed((1.0, 0.9)) == 0


def test_it_is_unknown_where_a_measure_looks_at_the_clients_data():
    model, data = small.mlp(), small.client_data()
    extraction = importance(measure="fisher")
    found = connection(model, extraction, model.init(KEY), 1, KEY)
    assert np.isnan(found.severed)
    assert np.isnan(found.empty_layers)
    budget = BudgetSpec(unit="params")
    ledger = allocate(
        data, model, policy=POLICIES["uniform"](), key=KEY, budget=budget, extraction=extraction
    ).ledger
    assert np.isnan(ledger.severed)


def only_last_tokens(broadcast, kept, prepared):
    """A mask that empties the rows of all tokens but the last two."""
    del kept, prepared
    rows = jnp.arange(7)[:, None] >= 5
    masks = {**jax.tree.map(jnp.ones_like, broadcast.params), "embedding": rows.astype(jnp.float32)}

    def view(params):
        return {**params, "embedding": params["embedding"] * rows}

    return ParameterMask(view, masks)


def test_all_tokens_are_tried():
    model = small.lstm()
    extraction = Extraction(shape=importance().shape, mask=only_last_tokens)
    assert connection(model, extraction, model.init(KEY), 8, KEY) == CONNECTED
