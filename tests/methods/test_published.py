"""What the published methods promise of whole rounds, checked against plain computations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.client.objectives.multi_exit import exit_weight
from hasa_jax.execution.broadcast import broadcast_fn
from hasa_jax.extraction.measures import MEASURES
from hasa_jax.methods import method as methods
from hasa_jax.server import aggregation
from hasa_jax.supernet import losses, units
from hasa_jax.supernet.types import LocalStep
from tests.support import small

KEY = jax.random.key(31)


def rounds(model, data, kept, *, weights=None, count=1, batch_size=4, method=None, **knobs):
    """Runs some rounds of a method, or of plain partial training, in masked execution."""
    knobs = {"client_optimizer": optax.sgd(0.2), "batch_size": batch_size} | knobs
    knobs["execution"] = hj.EXECUTIONS["masked"]
    if method is None:
        algorithm = hj.partial_training(model, **knobs)
    else:
        algorithm = methods.build(hj.METHODS[method], model, **knobs)
    weights = np.ones(len(kept)) if weights is None else np.asarray(weights)
    everyone, sizes = np.arange(len(kept)), data.num_examples
    cohort = algorithm.execution.place(everyone, np.array(kept), weights, sizes, batch_size)
    start = state = algorithm.init(KEY)
    step = jax.jit(algorithm.round)
    for _ in range(count):
        state, _ = step(state, data, cohort)
    return start.params, state.params


class TestFedAvg:
    def test_one_full_batch_step_is_gradient_descent_on_all_data(self):
        model, data = small.mlp(), small.client_data((7, 3, 12))
        start, end = rounds(
            model, data, [12] * 3, weights=data.num_examples, batch_size=16, count=2
        )

        def pooled(params):
            logits, _ = model.apply(params, data.inputs, hj.Context(train=True))
            values = optax.softmax_cross_entropy_with_integer_labels(logits[-1], data.targets)
            return values.mean()

        params = start
        for _ in range(2):
            params = jax.tree.map(lambda p, g: p - 0.2 * g, params, jax.grad(pooled)(params))
        small.assert_trees_close(end, params, atol=1e-5)

    def test_equal_sizes_make_both_weightings_equal(self):
        model, data = small.mlp(), small.client_data((8, 8, 8))
        ends = [rounds(model, data, [12, 5, 8], weights=w)[1] for w in ([1, 1, 1], [8, 8, 8])]
        small.assert_trees_close(*ends, atol=1e-6)


class TestHeteroFL:
    def test_levels_keep_these_widths(self):
        # Test vector E: levels e and c of the stages 64, 128, 256, 512.
        groups = {f"stage{i}": 64 * 2**i for i in range(4)}
        assert list(units.sizes_of_units(groups, 512 // 16).values()) == [4, 8, 16, 32]
        assert list(units.sizes_of_units(groups, 512 // 4).values()) == [16, 32, 64, 128]

    def test_a_class_that_nobody_owns_keeps_its_head_row(self):
        model, data = small.perceptron(), small.client_data(kind="perceptron")
        data = data.replace(targets=np.where(data.targets == 3, 1, data.targets))
        start, end = rounds(model, data, [9, 9, 4, 5], method="heterofl")
        heads = [(tree["head_1"]["kernel"], tree["head_1"]["bias"]) for tree in (start, end)]
        for before, after in zip(*heads, strict=True):
            np.testing.assert_array_equal(before[..., 3], after[..., 3])
            assert (before[..., 0] != after[..., 0]).any()

    def test_a_client_contributes_only_its_own_rows(self):
        model = small.perceptron()
        inputs = np.random.default_rng(0).normal(size=(8, 2, 3)).astype(np.float32)
        targets = np.array([0] * 4 + [1] * 4, np.int32)
        data = hj.ClientData(inputs, targets, np.array([0, 4, 8], np.int32), small.NUM_CLASSES)
        _, both = rounds(model, data, [9, 9], method="heterofl")
        _, first = rounds(model, data, [9, 9], weights=[1, 0], method="heterofl")
        np.testing.assert_allclose(both["head_1"]["bias"][0], first["head_1"]["bias"][0], rtol=1e-6)

    def test_absent_classes_have_logit_zero_in_loss_and_gradient(self):
        logits = jnp.array([[2.0, -1.0, 5.0]])
        present = jnp.array([True, True, False])
        targets, valid = jnp.array([0]), jnp.array([True])

        def loss(z):
            step = LocalStep(lambda sizes: (z,), targets, valid, None, 1, present, jnp.int32(0))
            return hj.OBJECTIVES["masked_cross_entropy"]().loss(step)[0]

        expected = -2.0 + np.log(np.exp(2.0) + np.exp(-1.0) + 1.0)
        assert float(loss(logits)) == pytest.approx(expected, abs=1e-6)
        assert float(jax.grad(loss)(logits)[0, 2]) == 0

    def test_the_scaler_changes_nothing_before_a_batch_norm(self):
        data = small.client_data(kind="perceptron")
        moved = []
        for scaler in ("none", "train"):
            model = small.perceptron(norm="batch", scaler=scaler)
            params = model.init(KEY)
            sizes = units.sizes_of_units(model.groups, 4)
            ranks = {group: jnp.arange(size) for group, size in model.groups.items()}
            narrow = units.gather(params, model.axes, ranks, sizes)
            context = hj.Context(width=0.5, train=True)
            moved.append(model.narrow(sizes, 1)(narrow, data.inputs, context)[0][0])
        np.testing.assert_allclose(*moved, atol=1e-3)


class TestFjORD:
    LEVELS = (0.25, 0.5, 0.75, 1.0)

    def test_draws_are_uniform_over_the_levels_below_the_own(self):
        model = small.lstm(hidden=16)
        keys = jax.random.split(KEY, 4000)
        draw = jax.jit(
            jax.vmap(lambda k: units.draw_sizes(k, model, self.LEVELS, {"hidden": 12})["hidden"])
        )
        values, counts = np.unique(draw(keys), return_counts=True)
        np.testing.assert_array_equal(values, [4, 8, 12])
        np.testing.assert_allclose(counts / 4000, 1 / 3, atol=0.03)

    def test_a_width_between_levels_is_drawn_too(self):
        model = small.lstm(hidden=16)
        draw = jax.vmap(lambda k: units.draw_sizes(k, model, self.LEVELS, {"hidden": 10})["hidden"])
        np.testing.assert_array_equal(np.unique(draw(jax.random.split(KEY, 200))), [4, 8, 10])

    def test_one_level_is_fedavg(self):
        model, data = small.lstm(), small.client_data(kind="lstm")
        weights = data.num_examples
        ordered = hj.EXTRACTIONS["ordered_dropout"](levels=(1.0,))
        _, fjord = rounds(model, data, [16] * 4, weights=weights, extraction=ordered)
        _, fedavg = rounds(model, data, [16] * 4, weights=weights)
        small.assert_trees_close(fjord, fedavg, atol=1e-6)

    def test_the_smallest_client_never_moves_outer_units(self):
        model, data = small.lstm(), small.client_data(kind="lstm")
        start, end = rounds(model, data, [4, 4, 4, 4], method="fjord", count=2)
        np.testing.assert_array_equal(start["head_kernel"][4:], end["head_kernel"][4:])
        assert (start["head_kernel"][:4] != end["head_kernel"][:4]).all()

    def test_nested_update_is_the_weighted_coverage_mean(self):
        # Test vector G: FjORD averages block by block, from the widest down.
        rng = np.random.default_rng(1)
        old, widths, n = rng.normal(size=(10, 10)), [2, 6, 6, 10], np.array([3, 1, 4, 2])
        local = [rng.normal(size=(10, 10)) for _ in n]
        nested = old.copy()
        for width in (10, 8, 6, 4, 2):
            holders = [i for i, w in enumerate(widths) if w >= width]
            block = (slice(width), slice(width))
            nested[block] = sum(n[i] * local[i][block] for i in holders) / n[holders].sum()
        total = None
        for i, width in enumerate(widths):
            mask = np.zeros((10, 10), np.float32)
            mask[:width, :width] = 1
            update = jnp.asarray(mask * (local[i] - old), jnp.float32)
            part = aggregation.partial_sum(update, jnp.asarray(mask), jnp.float32(n[i]), "coverage")
            total = part if total is None else jax.tree.map(jnp.add, total, part)
        mean = aggregation.mean_update(total, "coverage")
        np.testing.assert_allclose(old + np.asarray(mean), nested, atol=1e-6)

    def test_distillation_adds_the_soft_loss_of_the_drawn_width(self):
        own, drawn = jnp.array([[1.0, 0.0, -1.0]]), jnp.array([[0.5, 0.5, 0.0]])
        step = LocalStep(
            lambda sizes: (own if sizes is None else drawn,),
            jnp.array([2]), jnp.array([True]), {"hidden": 1}, 1, None, jnp.int32(0),
        )  # fmt: skip
        loss, sums = hj.OBJECTIVES["self_distillation"]().loss(step)
        hard = float(-jax.nn.log_softmax(own)[0, 2])
        soft = float(-(jax.nn.softmax(own) * jax.nn.log_softmax(drawn)).sum())
        assert float(loss) == pytest.approx(hard + soft, abs=1e-6)
        assert float(sums.loss) == pytest.approx(hard, abs=1e-6)

    def test_distillation_trains(self):
        model, data = small.lstm(), small.client_data(kind="lstm")
        extraction = hj.EXTRACTIONS["ordered_dropout"](teacher=True)
        objective = hj.OBJECTIVES["self_distillation"]()
        start, end = rounds(model, data, [16, 8, 8, 4], extraction=extraction, objective=objective)
        assert small.max_difference(start, end) > 1e-3
        with pytest.raises(hj.UserError, match="go together"):
            rounds(model, data, [16] * 4, objective=objective)


class TestScaleFL:
    def logits_step(self, exits, round=9):
        outputs = tuple(jnp.array([[float(i), 0.0, 1.0]]) for i in range(1, 5))
        return outputs, LocalStep(
            lambda sizes: outputs,
            jnp.array([0]), jnp.array([True]), None, jnp.int32(exits), None, jnp.int32(round),
        )  # fmt: skip

    def test_exit_weights(self):
        # Test vector H.
        assert [float(exit_weight(j, 4)) for j in (1, 2, 3, 4)] == pytest.approx(
            [0.1, 0.2, 0.3, 0.4]
        )
        assert float(exit_weight(1, 1)) == 1
        for exits in range(1, 7):
            total = sum(float(exit_weight(j, exits)) for j in range(1, exits + 1))
            assert total == pytest.approx(1)

    @pytest.mark.parametrize("exits", [1, 3, 4])
    def test_loss_by_hand(self, exits):
        outputs, step = self.logits_step(exits)
        cross = [float(-jax.nn.log_softmax(z)[0, 0]) for z in outputs]
        weights = [j / (exits * (exits + 1) / 2) for j in range(1, exits + 1)]
        expected = sum(w * c for w, c in zip(weights, cross, strict=False))
        assert float(hj.OBJECTIVES["multi_exit"]().loss(step)[0]) == pytest.approx(expected)

        gamma, heat = 0.05, 3.0
        teacher = jax.nn.log_softmax(outputs[exits - 1] / heat)
        for j in range(1, exits):
            student = jax.nn.log_softmax(outputs[j - 1] / heat)
            divergence = float((jnp.exp(teacher) * (teacher - student)).mean())
            expected += weights[j - 1] * gamma * heat**2 * divergence
        objective = hj.OBJECTIVES["multi_exit"](distillation=gamma)
        assert float(objective.loss(step)[0]) == pytest.approx(expected)

    def test_distillation_waits_for_its_round(self):
        _, early = self.logits_step(3, round=5)
        with_, without = (
            hj.OBJECTIVES["multi_exit"](distillation=g, first_round=5).loss(early)[0]
            for g in (0.5, 0.0)
        )
        assert float(with_) == pytest.approx(float(without), abs=1e-7)

    def test_detaching_the_teacher_stops_its_gradient(self):
        def gradient(detach):
            objective = hj.OBJECTIVES["multi_exit"](distillation=5.0, detach_teacher=detach)

            def loss(last):
                step = LocalStep(
                    lambda sizes: (jnp.array([[2.0, 0.0]]), last),
                    jnp.array([0]), jnp.array([True]), None, 2, None, jnp.int32(1),
                )  # fmt: skip
                return objective.loss(step)[0]

            return jax.grad(loss)(jnp.array([[0.0, 1.0]]))

        plain = 2 / 3 * (np.asarray(jax.nn.softmax(jnp.array([[0.0, 1.0]]))) - [[1, 0]])
        np.testing.assert_allclose(gradient(True), plain, atol=1e-6)
        assert np.abs(gradient(False) - plain).max() > 1e-3

    def test_deeper_exits_stay_when_only_shallow_clients_train(self):
        model = small.perceptron(norm="batch", **small.TWO_EXITS)
        data = small.client_data(kind="perceptron")
        start, end = rounds(model, data, [4, 3, 4, 2], method="scalefl")
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), start, end)
        for deep, leaf in zip(*map(jax.tree.leaves, (model.depths, moved)), strict=True):
            assert leaf == (deep == 1)

    def test_a_model_without_exits_is_refused(self):
        with pytest.raises(hj.UserError, match="exits"):
            methods.build(hj.METHODS["scalefl"], small.perceptron())


class TestFIARSE:
    def test_the_count_is_of_clients_that_moved_a_coordinate(self):
        updates = jnp.array([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0]])
        parts = [
            aggregation.partial_sum(u, jnp.ones(3), jnp.float32(1), "nonzero") for u in updates
        ]
        mean = aggregation.mean_update(jax.tree.map(jnp.add, *parts), "nonzero")
        np.testing.assert_array_equal(mean, [2.0, 4.0, 0.0])

    def test_full_size_is_uniform_fedavg(self):
        model, data = small.perceptron(norm="batch"), small.client_data((8, 9, 7), "perceptron")
        _, fiarse = rounds(model, data, [9] * 3, method="fiarse")
        _, fedavg = rounds(model, data, [9] * 3, aggregation="nonzero")
        small.assert_trees_close(fiarse, fedavg, atol=1e-6)


@pytest.mark.parametrize("mu", [0.0, 3.0])
def test_fedprox_pulls_towards_the_broadcast(mu):
    model, data = small.mlp(), small.client_data((30,))
    start, end = rounds(model, data, [12], proximal=mu)
    _, free = rounds(model, data, [12])
    assert (small.max_difference(start, end) < small.max_difference(start, free)) == (mu > 0)


def test_fedprox_by_hand():
    """Two full-batch steps: the second feels the pull of the first."""
    model, data = small.mlp(), small.client_data((6,))
    start, end = rounds(model, data, [12], proximal=0.5, batch_size=8, local_epochs=2)

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


def test_weight_decay_leaves_what_a_client_does_not_hold():
    model, data = small.mlp(), small.client_data()
    optimizer = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(0.1))
    start, end = rounds(model, data, [3, 3, 3, 3], client_optimizer=optimizer)
    np.testing.assert_array_equal(start["Dense_0"]["bias"][3:], end["Dense_0"]["bias"][3:])


def test_the_learning_rate_follows_its_schedule():
    model, data = small.mlp(), small.client_data((6,))
    scales = [
        rounds(model, data, [12], batch_size=8, schedule=lambda round, s=s: jnp.float32(s))
        for s in (1.0, 0.5)
    ]
    moved = [jax.tree.map(jnp.subtract, end, start) for start, end in scales]
    small.assert_trees_close(jax.tree.map(lambda x: 0.5 * x, moved[0]), moved[1], atol=1e-6)
    assert small.max_difference(*moved) > 1e-3


def test_clients_randomness_depends_on_the_seed():
    model, data = small.mlp(), small.client_data()
    algorithm = hj.partial_training(model, client_optimizer=optax.sgd(0.2), batch_size=4)
    cohort = small.cohort(model, data, [12] * 4)
    start = algorithm.init(KEY)
    ends = [
        jax.jit(algorithm.round)(start.replace(key=jax.random.key(s)), data, cohort)[0].params
        for s in (0, 1)
    ]
    assert small.max_difference(*ends) > 1e-5


@pytest.mark.parametrize("name", sorted({*hj.EXTRACTIONS} - {"depth_width", "ordered_dropout"}))
def test_whole_subnets_make_every_extraction_fedavg(name):
    """Same split, initialisation and batches; exactly equal once mapped back."""
    model, data = small.mlp(), small.client_data()
    _, expected = rounds(model, data, [12] * 4)
    _, found = rounds(model, data, [12] * 4, extraction=hj.EXTRACTIONS[name]())
    small.assert_trees_close(found, expected, atol=1e-6)


@pytest.mark.parametrize("measure", ["fisher", "gradient", "taylor"])
def test_measures_see_through_batch_norms(measure):
    model, data = small.perceptron(norm="batch"), small.client_data(kind="perceptron")
    state = hj.partial_training(model).init(KEY)
    sent = broadcast_fn(model, state, data, 4)(jnp.int32(1))
    scores = MEASURES[measure](sent)
    for layer in ("dense_1", "dense_2", "head_1"):
        assert float(jnp.abs(scores[layer]["kernel"]).max()) > 0


def test_a_label_split_needs_named_rows():
    with pytest.raises(hj.UserError, match="'classes'"):
        hj.partial_training(small.mlp(), label_split=True)


def test_methods_share_their_initialisation():
    starts = [
        methods.build(method, small.transformer(scaler=method.scaler, **small.TWO_EXITS))
        .init(KEY)
        .params
        for name, method in hj.METHODS.items()
        if name != "fedavg"
    ]
    for other in starts[1:]:
        small.assert_trees_equal(starts[0], other)
